import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting
import SSH
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Standard output and standard error, and whether a person sits there.
struct Terminal: Sendable {
    enum Style: String {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
    }

    let isJSON: Bool
    let isVerbose: Bool
    private let hasColor: Bool
    /// Shared by copies: whether the last line of JSON was written.
    private let answered = Answered()
    /// One for the whole program, as the terminal is.
    static let screen = LiveScreen()

    private let fixedWidth: Int?

    /// A screen of that width without colours, for looking at what would be shown.
    init(width: Int) {
        (isJSON, isVerbose, hasColor, fixedWidth) = (false, false, false, width)
    }

    init(_ options: HostOptions) { self.init(options.global, isVerbose: options.log.isVerbose) }

    init(_ options: GlobalOptions, isVerbose: Bool = false) {
        fixedWidth = nil
        isJSON = options.output == .json
        self.isVerbose = isVerbose
        let environment = ProcessInfo.processInfo.environment
        // https://no-color.org: set and not empty.
        let isRefused =
            options.noColor || environment["NO_COLOR"].map { !$0.isEmpty } == true || environment["TERM"] == "dumb"
        // Both streams show coloured words; with JSON there are none on standard output.
        let streams = options.output == .json ? [STDERR_FILENO] : [STDOUT_FILENO, STDERR_FILENO]
        hasColor = !isRefused && streams.allSatisfy { isatty($0) == 1 }
    }

    func paint(_ text: String, _ style: Style) -> String {
        hasColor ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// The verb's answer: standard output.
    func print(_ line: String) {
        Self.screen.write(Self.safe(line) + "\n", to: STDOUT_FILENO)
    }

    /// The same for a document that programs read.
    func printDocument(_ text: String) {
        Self.screen.write(text + "\n", to: STDOUT_FILENO)
    }

    /// What a host or the cluster said must not move the cursor or change what stands on the screen; colours are ``paint(_:_:)``'s.
    static func safe(_ line: String) -> String {
        var safe = ""
        var rest = line[...]
        while let style = rest.firstMatch(of: /\u{1B}\[[0-9;]*m/) {
            safe += TerminalText.sanitize(String(rest[..<style.range.lowerBound])) + style.0
            rest = rest[style.range.upperBound...]
        }
        return safe + TerminalText.sanitize(String(rest))
    }

    /// Words for a person that are no answer: standard error.
    func say(_ line: String) {
        Self.screen.write(Self.safe(line) + "\n", to: STDERR_FILENO)
    }

    /// Progress is the answer of a run in text; with JSON it would be in the way.
    func progress(_ line: String) {
        if isJSON { say(line) } else { print(line) }
    }

    /// One document, or one line, of JSON.
    func printJSON(_ value: some Encodable, pretty: Bool = true) throws {
        printDocument(try Self.document(value, pretty: pretty))
    }

    /// JSON as verbs print it, with keys in snake_case; an event's are as the journal has them.
    static func document(_ value: some Encodable, pretty: Bool = true) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting =
            pretty ? [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes] : [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// One line of JSON, where JSON is asked for.
    func printEvent(_ event: Event) {
        guard isJSON, let json = try? EventCoding.encode(event) else { return }
        if event.event == .result { answered.isResultWritten = true }
        printDocument(String(decoding: json, as: UTF8.self))
    }

    /// The last line of JSON, however it ended; written once.
    func printResult(_ result: ResultLine) {
        guard isJSON, !answered.isResultWritten, let json = try? EventCoding.encode(result) else { return }
        answered.isResultWritten = true
        printDocument(String(decoding: json, as: UTF8.self))
    }

    /// One sentence that is a verb's whole answer.
    func answer(_ text: String) {
        if isJSON { printResult(ResultLine(status: .done, text: text)) } else { print(text) }
    }

    // MARK: A person's terminal

    /// Escape sequences are understood.
    private static let isCapable =
        ProcessInfo.processInfo.environment["TERM"].map { !$0.isEmpty && $0 != "dumb" } ?? false

    /// Lines can be drawn again in place: a person's terminal, large enough, and nobody who wants every line.
    var isLive: Bool {
        guard !isJSON, !isVerbose, Self.isCapable, let size = LiveScreen.size(of: STDOUT_FILENO) else { return false }
        return size.width >= 30 && size.height >= 8
    }

    /// One line on standard error that comes and goes.
    func showStatus(_ line: (_ width: Int) -> String) {
        guard Self.isCapable, let size = LiveScreen.size(of: STDERR_FILENO) else { return }
        Self.screen.draw([paint(line(size.width), .dim)], size: size, on: STDERR_FILENO)
    }

    func clearStatus() {
        Self.screen.clear()
    }

    /// Both standard streams are a person's.
    var canAsk: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1 }

    /// Asks on standard error and reads a line from standard input; `nil` at its end.
    /// - Throws: `CancellationError` as soon as the program is interrupted.
    func ask(_ question: String) async throws -> String? {
        // What was typed before the question is no answer to it.
        _ = tcflush(STDIN_FILENO, TCIFLUSH)
        Self.screen.write(question, to: STDERR_FILENO)
        return try await Self.readLine(from: STDIN_FILENO)
    }

    static func readLine(from descriptor: Int32) async throws -> String? {
        var bytes: [UInt8] = []
        while true {
            try Task.checkCancellation()
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, 0) > 0 else {
                try await Task.sleep(for: .milliseconds(50))
                continue
            }
            var byte: UInt8 = 0
            guard read(descriptor, &byte, 1) == 1 else { return nil }
            if byte == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(byte)
        }
    }

    /// Asks on the terminal itself, whatever the standard streams are, without an echo; `nil` where there is none.
    func askSecret(_ question: String) -> Secret? {
        let descriptor = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var old = termios()
        guard tcgetattr(descriptor, &old) == 0 else { return nil }
        var silent = old
        // Ctrl-C comes as a byte, so that the echo is back before the program ends, and at once, as the end of a line does.
        silent.c_lflag &= ~tcflag_t(ECHO | ISIG)
        silent.endOfLineCharacter = old.interruptCharacter
        guard tcsetattr(descriptor, TCSAFLUSH, &silent) == 0 else { return nil }
        func restore() {
            _ = tcsetattr(descriptor, TCSAFLUSH, &old)
            Descriptor.write("\n", to: descriptor)
        }
        defer { restore() }
        Descriptor.write(question, to: descriptor)
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while read(descriptor, &byte, 1) == 1, byte != UInt8(ascii: "\n") {
            if byte == old.interruptCharacter {
                restore()
                exit(130)
            }
            bytes.append(byte)
        }
        return bytes.isEmpty ? nil : Secret(String(decoding: bytes, as: UTF8.self))
    }

    /// Of the screen that the answer goes to, in columns; `nil` where it goes to no screen.
    var width: Int? { fixedWidth ?? LiveScreen.size(of: STDOUT_FILENO).flatMap { $0.width > 20 ? $0.width : nil } }

    /// A table, in parts where the screen is narrower.
    func lines(_ table: Table) -> [String] {
        Array(
            table.split(to: width).map { part in
                let lines = part.lines
                return [paint(lines[0], .bold)] + lines.dropFirst()
            }.joined(separator: [""]))
    }

    /// Words after a mark, broken where the screen ends and set in under each other.
    /// - Parameter style: the mark's.
    func lines(_ mark: String, _ text: String, style: Style? = nil) -> [String] {
        let indent = Columns.width(mark)
        let painted = style.map { paint(mark, $0) } ?? mark
        guard let width, width > 2 * indent, indent + Columns.width(text) > width else { return [painted + text] }
        // As `wrap` has it, so that its first line is where the rest begins.
        let text = text.split(separator: " ").joined(separator: " ")
        let first = Columns.wrap(text, to: width - indent).first ?? ""
        let rest = String(text.dropFirst(first.count))
        // Under a long mark the rest is set in a little.
        let inset = indent > 8 ? 6 : indent
        return [painted + first]
            + Columns.wrap(rest, to: width - inset).map { String(repeating: " ", count: inset) + $0 }
    }
}

extension termios {
    /// The byte that Ctrl-C, or what the user has in its place, sends.
    fileprivate var interruptCharacter: UInt8 {
        // Not from a copy in a variable (`withUnsafeBytes(of: &copy)`): of that, Swift 6.2's optimiser drops the assignment, and what
        // is read is whatever the stack held, so that the first byte that was typed could count as Ctrl-C or end the question.
        withUnsafeBytes(of: c_cc) { $0[Int(VINTR)] }
    }

    /// The byte that ends a line beside the line feed.
    fileprivate var endOfLineCharacter: UInt8 {
        get { withUnsafeBytes(of: c_cc) { $0[Int(VEOL)] } }
        set { withUnsafeMutableBytes(of: &c_cc) { $0[Int(VEOL)] = newValue } }
    }
}

private final class Answered: Sendable {
    private let written = Mutex(false)

    var isResultWritten: Bool {
        get { written.withLock { $0 } }
        set { written.withLock { $0 = newValue } }
    }
}
