/// Quoting of argument vectors for a POSIX shell: the only place where it is done.
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
}
