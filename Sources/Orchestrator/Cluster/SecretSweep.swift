import Foundation

/// One pass over one text. Bytes are copied to the output up to a secret, which is replaced and passed over.
struct SecretSweep {
    struct KnownSecret: Sendable {
        /// As it is, or as a program escapes or encodes it.
        var form: [UInt8]
        var secret: String
    }

    let text: [UInt8]
    let known: [[KnownSecret]]
    var numbers: [String: Int]
    private var output: [UInt8] = []
    private(set) var index = 0
    /// The value of the last key `name`: of `name: X, value: Y` Y is an environment variable's value.
    var lastName: (content: String, end: Int)?

    struct Key {
        var range: Range<Int>
        /// In quotes, with so many backslashes before each: JSON in JSON strings.
        var quote: (byte: UInt8, depth: Int)?
        /// At the beginning of a line, but for blanks, dashes and `export`: its value goes to the line's end.
        var isLine: Bool
        /// The line is one within a string, and ends with an escape or with the string.
        var isEscaped: Bool
    }

    /// What stands after a key.
    struct Value {
        /// What a pseudonym takes the place of.
        var range: Range<Int>
        /// As the program that reads it sees it: without quotes and escapes.
        var content: String
        /// Quotes that a pseudonym needs and the value does not have: it is a JSON number.
        var quote = ""
    }

    init(text: [UInt8], known: [[KnownSecret]], numbers: [String: Int]) {
        self.text = text
        self.known = known
        self.numbers = numbers
    }

    mutating func run() -> [UInt8] {
        output.reserveCapacity(text.count)
        while index < text.count {
            let byte = text[index]
            if let found = self.secret(at: index) {
                replace(found.range, found.with)
                continue
            }
            if byte == UInt8(ascii: ":") || byte == UInt8(ascii: "=") {
                pairs()
            } else {
                copy(to: index + 1)
            }
        }
        return output
    }

    mutating func copy(to end: Int) {
        output += text[index..<end]
        index = end
    }

    mutating func replace(_ range: Range<Int>, _ pseudonym: String) {
        copy(to: range.lowerBound)
        output += pseudonym.utf8
        index = range.upperBound
    }

    /// Its number, the same wherever it stands.
    mutating func number(_ secret: String) -> Int {
        if let number = numbers[secret] { return number }
        numbers[secret] = numbers.count + 1
        return numbers.count
    }

    mutating func pseudonym(_ secret: String) -> String { "secret-\(number(secret))" }

    // MARK: Bytes

    func string(_ range: Range<Int>) -> String { String(decoding: text[range], as: UTF8.self) }

    func matches(_ word: String, at start: Int) -> Bool {
        start >= 0 && start + word.utf8.count <= text.count && text[start...].starts(with: word.utf8)
    }

    func matches(_ word: [UInt8], at start: Int) -> Bool {
        start + word.count <= text.count && text[start..<start + word.count].elementsEqual(word)
    }

    func first(_ word: String, from start: Int, within limit: Int = .max) -> Int? {
        let last = min(text.count, limit == .max ? text.count : start + limit)
        var place = start
        while place < last {
            if matches(word, at: place) { return place }
            place += 1
        }
        return nil
    }

    func contains(_ word: String, _ range: Range<Int>) -> Bool {
        first(word, from: range.lowerBound, within: range.count) != nil
    }

    func end(of isPart: (UInt8) -> Bool, from start: Int) -> Int {
        var end = start
        while end < text.count, isPart(text[end]) { end += 1 }
        return end
    }

    func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }

    func isWord(_ byte: UInt8) -> Bool { isAlphanumeric(byte) || byte == UInt8(ascii: "_") }

    func isKey(_ byte: UInt8) -> Bool {
        isWord(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
    }

    func isTokenByte(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) && !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }

    func isHexadecimal(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }

    func isTerminator(_ byte: UInt8) -> Bool {
        isBlank(byte) || "\n\r,\"'\\}])&;|<>".utf8.contains(byte)
    }
}
