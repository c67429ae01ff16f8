/// Text measured in a terminal's columns.
enum Columns {
    /// Chinese, Japanese and Korean characters and most symbols take two; everything else is taken to have one.
    static func width(_ text: String) -> Int {
        text.reduce(0) { $0 + width($1) }
    }

    private static func width(_ character: Character) -> Int {
        switch character.unicodeScalars.first?.value ?? 0 {
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
            0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
            2
        default: 1
        }
    }

    /// Cut, with an ellipsis, where it is wider than that.
    static func fit(_ text: String, to limit: Int) -> String {
        guard width(text) > limit else { return text }
        var cut = ""
        var used = 0
        for character in text {
            used += width(character)
            if used > limit - 1 { break }
            cut.append(character)
        }
        return cut + "…"
    }

    /// Broken into lines no wider than that, between words where there are any.
    static func wrap(_ text: String, to limit: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ").map(String.init) {
            if !line.isEmpty, width(line) + 1 + width(word) <= limit {
                line += " " + word
                continue
            }
            if !line.isEmpty { lines.append(line) }
            line = word
            while width(line) > limit, limit > 1 {
                var piece = ""
                for character in line {
                    if width(piece) + width(character) > limit { break }
                    piece.append(character)
                }
                lines.append(piece)
                line.removeFirst(piece.count)
            }
        }
        return line.isEmpty ? lines : lines + [line]
    }

    static func pad(_ text: String, to limit: Int) -> String {
        text + String(repeating: " ", count: max(0, limit - width(text)))
    }
}
