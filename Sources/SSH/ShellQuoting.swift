/// Quotes argument vectors for a POSIX shell, and one word for any login shell. Nothing else in the project quotes.
public enum ShellQuoting {
    /// Quotes one argument as a shell word. Plain words stay as they are, so that a person can read them.
    public static func quote(_ argument: String) -> String {
        let isPlain = !argument.isEmpty && argument.utf8.allSatisfy(isPlainByte)
        if isPlain { return argument }
        // It works on bytes: a quote with a combining accent is one character to Swift, and not a quote; to a shell it is a quote.
        var quoted = [quote]
        for byte in argument.utf8 {
            if byte == quote { quoted += escapedQuote } else { quoted.append(byte) }
        }
        quoted.append(quote)
        return String(decoding: quoted, as: UTF8.self)
    }

    private static let quote = UInt8(ascii: "'")
    private static let escapedQuote = Array("'\\''".utf8)

    /// Quotes arguments as one line that a POSIX shell splits into these arguments.
    public static func join(_ arguments: [String]) -> String {
        arguments.map(quote).joined(separator: " ")
    }

    private static func isPlainByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default:
            "-_./:=@%+,".utf8.contains(byte)
        }
    }

    // MARK: Any login shell
    //
    // Between single quotes all of them take printable ASCII literally, with four exceptions, which are never sent: the quote itself; the
    // backslash, which is an escape to fish before a quote or another backslash; the exclamation mark, which is history to csh and tcsh;
    // and the newline, which ends a quoted word there.

    /// Quotes a word of ours that has none of them in it.
    static func quoteForAnyShell(_ word: String) -> String {
        assert(word.utf8.allSatisfy(isAlikeInAllShells))
        return "'\(word)'"
    }

    /// Encodes any text as the inside of a quoted word that `printf %b` decodes. No backslash comes before a quote, another backslash or
    /// an exclamation mark.
    static func encodeForAnyShell(_ text: String) -> String {
        var encoded: [UInt8] = []
        encoded.reserveCapacity(text.utf8.count + text.utf8.count / 4)
        for byte in text.utf8 {
            if isAlikeInAllShells(byte) {
                encoded.append(byte)
            } else if byte == UInt8(ascii: "\n") {
                encoded += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
            } else {
                // `\0` and three octal digits (POSIX, printf).
                let digits = [byte >> 6, byte >> 3 & 7, byte & 7].map { UInt8(ascii: "0") + $0 }
                encoded += [UInt8(ascii: "\\"), UInt8(ascii: "0")] + digits
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    private static func isAlikeInAllShells(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "'"), UInt8(ascii: "\\"), UInt8(ascii: "!"): false
        default: (0x20...0x7E).contains(byte)
        }
    }
}
