public import Foundation
import Inventories
public import SSH
import Yams

/// Every question to every host and its answer, without secrets: what `--record` writes and `--replay` reads.
///
/// A file has one JSON document in each line: a header, an exchange for each answer in the order in which they came, and a closing
/// line that tells that nothing is missing. `docs/recordings.md` describes it for readers.
public struct Recording: Sendable {
    /// It goes up when a key is renamed, removed or gets another meaning (docs/recording.schema.json).
    public static let format = 1

    /// How and when the recording was made.
    public struct Header: Sendable, Codable {
        /// The format's number.
        public var recording: Int
        /// The version of the program.
        public var program: String
        /// What counted as now for the whole run.
        public var at: Date
        public var verb: String
        /// Of the verb, without those that say where files are.
        public var arguments: [String]
        /// The inventory's text, without comments and secrets.
        public var inventory: String
    }

    /// One question to one host.
    public struct Exchange: Sendable, Codable {
        public var host: String
        public var question: Question
        public var answer: Answer
    }

    public struct Question: Sendable, Codable {
        /// What people see in the command's place; with the host it names the question.
        public var label: String
        /// The whole command.
        public var command: [String]
        /// What the script is made of, where it is one of several questions.
        public var sections: [String]?
    }

    /// What the host answered, or why it did not.
    public struct Answer: Sendable, Codable {
        /// When the command was sent, by the clock of the machine that recorded it.
        public var at: Date
        /// Seconds.
        public var duration: Double
        public var exitStatus: Int32?
        public var signal: String?
        public var stdout: Output?
        public var stderr: Output?
        /// Bytes beyond what is kept.
        public var droppedStdout: Int?
        public var droppedStderr: Int?
        public var error: Failure?
    }

    /// Text, or Base64 in an object where it is not UTF-8.
    public enum Output: Sendable, Hashable {
        case text(String)
        case base64(Data)
    }

    /// An `SSHError`.
    public struct Failure: Sendable, Codable {
        public var code: SSHError.Code
        public var host: String
        public var operation: String
        public var cause: String
        public var advice: String?
    }

    /// The last line.
    struct Closing: Codable {
        /// How many answers there are.
        var exchanges: Int
    }

    public var header: Header
    public var exchanges: [Exchange]
    /// The closing line is there.
    public var isComplete: Bool
}

// MARK: The file

extension Recording {
    /// - Throws: ``ClusterError`` with `localFile` where it cannot be read, or is no recording that this program understands.
    public init(contentsOf path: String) throws {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Self.fault(
                path, FileProblem.reading(path), advice: "name a file that masterswap --record has written")
        }
        let lines = data.split(separator: UInt8(ascii: "\n"))
        let foreign = Self.fault(
            path, "it is no recording", advice: "name a file that masterswap --record has written")
        guard let first = lines.first, let number = try? Self.decode(FormatNumber.self, first).recording else {
            throw foreign
        }
        guard number == Self.format else {
            throw Self.fault(
                path, "it has format \(number), this program reads format \(Self.format)",
                advice: "replay it with the version of masterswap that its first line names, or record again")
        }
        func decode<T: Decodable>(_ type: T.Type, _ number: Int) throws -> T {
            do { return try Self.decode(type, lines[number]) } catch {
                throw Self.fault(
                    path, "line \(number + 1) cannot be read",
                    advice:
                        "if the file was edited, undo that; else replay it with the version that its first line names")
            }
        }
        header = try decode(Header.self, 0)
        exchanges = []
        isComplete = false
        for number in lines.indices.dropFirst() {
            if number == lines.count - 1, let closing = try? Self.decode(Closing.self, lines[number]) {
                isComplete = closing.exchanges == exchanges.count
            } else {
                exchanges.append(try decode(Exchange.self, number))
            }
        }
    }

    private struct FormatNumber: Decodable {
        var recording: Int
    }

    package static func encode(_ line: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var container = encoder.singleValueContainer()
            try container.encode(Moment.text(date))
        }
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(line) + Data("\n".utf8)
    }

    package static func decode<T: Decodable>(_ type: T.Type, _ line: Data) throws -> T {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        decoder.dateDecodingStrategy = .custom { decoder in
            let container = try decoder.singleValueContainer()
            let text = try container.decode(String.self)
            guard let date = Moment.date(text) else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is no date")
            }
            return date
        }
        return try decoder.decode(type, from: line)
    }

    package static func fault(_ path: String, _ cause: String, advice: String) -> ClusterError {
        ClusterError(
            .localFile, host: "this machine", operation: "read the recording \(path)", cause: cause, advice: advice)
    }

    /// Dates as the file has them: in whole milliseconds, so that writing and reading one changes nothing.
    enum Moment {
        private static func milliseconds(_ date: Date) -> Int { Int((date.timeIntervalSince1970 * 1000).rounded()) }
        private static func date(_ milliseconds: Int) -> Date {
            Date(timeIntervalSince1970: Double(milliseconds) / 1000)
        }

        static func text(_ date: Date) -> String {
            let (seconds, rest) = milliseconds(date).quotientAndRemainder(dividingBy: 1000)
            let second = Self.date(seconds * 1000).formatted(.iso8601)
            return second.dropLast() + String(format: ".%03dZ", rest)
        }

        static func date(_ text: String) -> Date? {
            (try? Date.ISO8601FormatStyle(includingFractionalSeconds: true).parse(text)).map(rounded)
        }

        /// What a replay will read.
        static func rounded(_ date: Date) -> Date { Self.date(milliseconds(date)) }
    }
}

extension Recording.Output: Codable {
    private enum Keys: CodingKey {
        case base64
    }

    /// `nil` for no bytes.
    package init?(_ data: Data) {
        guard !data.isEmpty else { return nil }
        self = String(data: data, encoding: .utf8).map { .text($0) } ?? .base64(data)
    }

    package var data: Data {
        switch self {
        case .text(let text): Data(text.utf8)
        case .base64(let data): data
        }
    }

    public init(from decoder: any Decoder) throws {
        if let text = try? decoder.singleValueContainer().decode(String.self) {
            self = .text(text)
        } else {
            self = .base64(try decoder.container(keyedBy: Keys.self).decode(Data.self, forKey: .base64))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .text(let text):
            var container = encoder.singleValueContainer()
            try container.encode(text)
        case .base64(let data):
            var container = encoder.container(keyedBy: Keys.self)
            try container.encode(data, forKey: .base64)
        }
    }
}

// MARK: Questions and answers

extension Recording {
    /// Stands in a recording for the random word of each command's script, which is another one in each run.
    static let nonce = "<nonce>"
}

extension Recording.Question {
    package init(_ command: Command) {
        label = Self.label(command)
        self.command = command.arguments.map { command.withoutNonce($0) }
        sections = command.sections?.names
    }

    package static func label(_ command: Command) -> String { command.withoutNonce(command.display) }
}

extension Recording.Answer {
    /// - Throws: `SSHError`, where that was the answer.
    package func result(of command: Command) throws -> CommandResult {
        if let error {
            throw SSHError(
                error.code, host: error.host, operation: error.operation, cause: error.cause, advice: error.advice)
        }
        return CommandResult(
            outcome: signal.map { .signalled($0) } ?? .exited(exitStatus ?? 0),
            standardOutput: command.withNonce(stdout?.data), standardError: command.withNonce(stderr?.data),
            droppedOutput: droppedStdout ?? 0, droppedError: droppedStderr ?? 0, startedAt: at,
            duration: .seconds(duration))
    }
}

extension Command {
    func withoutNonce(_ text: String) -> String {
        sections.map { text.replacing($0.nonce, with: Recording.nonce) } ?? text
    }

    func withoutNonce(_ data: Data) -> Data {
        sections.map { data.replacing(Data($0.nonce.utf8), with: Data(Recording.nonce.utf8)) } ?? data
    }

    fileprivate func withNonce(_ data: Data?) -> Data {
        guard let data else { return Data() }
        return sections.map { data.replacing(Data(Recording.nonce.utf8), with: Data($0.nonce.utf8)) } ?? data
    }
}

extension Data {
    fileprivate func replacing(_ old: Data, with new: Data) -> Data {
        var result = Data()
        var rest = self[...]
        while let range = rest.range(of: old) {
            result += rest[..<range.lowerBound] + new
            rest = rest[range.upperBound...]
        }
        return result + rest
    }
}

// MARK: The inventory

extension Recording {
    /// An inventory's text for a header: as it is, but for comments and for where the database's password is kept.
    /// - Throws: where it is no YAML; it was read as an inventory before.
    package static func inventory(_ text: String) throws -> String {
        guard var root = try Yams.compose(yaml: text, .basic) else { return text }
        if var database = root["ocboot"]?["database"]?.mapping, database["password"] != nil {
            database["password"] = Yams.Node([(Yams.Node("env"), Yams.Node("NOT_RECORDED"))])
            root["ocboot"]?["database"] = .mapping(database)
        }
        return try Yams.serialize(node: root, width: -1)
    }
}
