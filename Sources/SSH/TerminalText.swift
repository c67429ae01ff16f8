/// Makes text from hosts safe for a terminal.
public enum TerminalText {
    /// Replaces control characters by visible escapes (`\u{1B}` becomes `\x1b`), so that a host cannot move the cursor, change the title
    /// or answer for the user. Newline and tab stay, as do all printable characters of Unicode except those that change the direction
    /// of writing, by which a line can be made to look like another.
    public static func sanitize(_ text: String) -> String {
        // Nearly all text from hosts is ASCII, which is checked by bytes.
        if text.utf8.allSatisfy({ (0x20..<0x7F).contains($0) || $0 == 0x0A }) { return text }
        if text.unicodeScalars.allSatisfy({ !isHarmful($0) }) { return text }
        var safe = ""
        for scalar in text.unicodeScalars {
            guard isHarmful(scalar) else {
                safe.unicodeScalars.append(scalar)
                continue
            }
            let digits = String(scalar.value, radix: 16)
            safe += scalar.value < 0x100 ? "\\x" + (digits.count < 2 ? "0" : "") + digits : "\\u{\(digits)}"
        }
        return safe
    }

    /// The same for text that has to stay on one line: newlines and tabs become `\n` and `\t`.
    public static func line(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                sanitize(text).unicodeScalars.flatMap { scalar -> [Unicode.Scalar] in
                    switch scalar {
                    case "\n": ["\\", "n"]
                    case "\t": ["\\", "t"]
                    default: [scalar]
                    }
                }))
    }

    private static func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09, 0x0A: false
        case 0..<0x20, 0x7F..<0xA0: true
        case 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
