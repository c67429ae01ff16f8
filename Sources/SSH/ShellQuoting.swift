/// Quoting of argument vectors for a POSIX shell, and of one word for any login shell: the only place where it is done.
public enum ShellQuoting {
    /// One argument, as a shell word. Plain words stay as they are, for the reader's sake.
    public static func quote(_ argument: String) -> String {
        let isPlain = !argument.isEmpty && argument.utf8.allSatisfy(isPlainByte)
        if isPlain { return argument }
        // By bytes: to Swift a quote and a combining accent are one character, which is not a quote; to a shell it is one.
        var quoted = [quote]
        for byte in argument.utf8 {
            if byte == quote { quoted += escapedQuote } else { quoted.append(byte) }
        }
        quoted.append(quote)
        return String(decoding: quoted, as: UTF8.self)
    }

    private static let quote = UInt8(ascii: "'")
    private static let escapedQuote = Array("'\\''".utf8)

    /// Arguments as one line that a POSIX shell splits into just these.
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
    // Between single quotes all of them take printable ASCII as it stands, with four exceptions: the quote itself; the backslash, which fish
    // takes for an escape before a quote or another backslash; the exclamation mark, which is history to csh and tcsh; and the
    // newline, which ends a quoted word there. Those are never sent.

    /// A word of ours that has none of them in it.
    static func quoteForAnyShell(_ word: String) -> String {
        assert(word.utf8.allSatisfy(isAlikeInAllShells))
        return "'\(word)'"
    }

    /// Any text, as the inside of a quoted word that `printf %b` decodes. No backslash stands before a
    /// quote, another backslash or an exclamation mark.
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
