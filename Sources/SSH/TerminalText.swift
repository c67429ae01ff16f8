/// Text from elsewhere, made harmless for a terminal.
public enum TerminalText {
    /// Control characters, but for tab and newline, become U+FFFD: no remote program moves the cursor or sets a title here.
    public static func sanitize(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let isControl = (scalar.value < 0x20 && scalar != "\t" && scalar != "\n") || (0x7F...0x9F).contains(scalar.value)
            result.append(isControl ? "\u{FFFD}" : scalar)
        }
        return String(result)
    }
}
