import Foundation

/// Values of keys whose names say that they are secret.
extension SecretSweep {
    /// At a `:` or `=`: what stands before it is a key, or a part of a URL.
    mutating func pairs() {
        let separator = index
        if let password = passwordInURL() {
            let pseudonym = self.pseudonym(string(password))
            return replace(password, pseudonym)
        }
        guard let key = key(before: separator) else { return copy(to: separator + 1) }
        let name = string(key.range)
        let isSecret = SecretScrubber.isSecret(name: name) || isOfURL(key, name)
        guard isSecret || name == "name" || name == "value" else { return copy(to: separator + 1) }
        copy(to: separator + 1)
        guard let value = value(after: separator, of: key) else {
            if isSecret { list() }
            return
        }
        if name == "name" {
            lastName = (value.content, value.range.upperBound)
        } else if isSecret || isOfVariable(key, value) {
            hide(value)
        }
    }

    /// `https://host/path?key=PW&sign=PW`: the keys of webhooks.
    private func isOfURL(_ key: Key, _ name: String) -> Bool {
        let start = key.range.lowerBound
        guard start > 0, text[start - 1] == UInt8(ascii: "?") || text[start - 1] == UInt8(ascii: "&") else {
            return false
        }
        return ["key", "sign", "sig", "signature"].contains(name)
    }

    mutating func hide(_ value: Value) {
        let pseudonym = self.pseudonym(value.content)
        replace(value.range, value.quote + pseudonym + value.quote)
    }

    /// The strings of a JSON list under a secret's name.
    package mutating func list() {
        func next(_ start: Int) -> Int { end(of: { isBlank($0) || "\n\r,".utf8.contains($0) }, from: start) }
        var place = next(index)
        guard place < text.count, text[place] == UInt8(ascii: "[") else { return }
        place = next(place + 1)
        while place < text.count, text[place] == UInt8(ascii: "\""),
            let value = quotedValue(from: place + 1, quote: text[place], depth: 0)
        {
            hide(value)
            place = next(value.range.upperBound + 1)
        }
    }

    /// Whether a key `value` stands beside the name of a variable, which comes first in what Kubernetes prints, and is none that is
    /// read here.
    func isOfVariable(_ key: Key, _ value: Value) -> Bool {
        if let lastName, endOfJoint(from: lastName.end) == key.range.lowerBound {
            return !SecretScrubber.isReadHere(variable: lastName.content)
        }
        let start = endOfJoint(from: value.range.upperBound)
        let nameEnd = end(of: isKey, from: start)
        guard string(start..<nameEnd) == "name" else { return false }
        let separator = end(of: { isBlank($0) || "\"'\\".utf8.contains($0) }, from: nameEnd)
        guard separator < text.count, text[separator] == UInt8(ascii: ":"), let key = self.key(before: separator),
            let name = self.value(after: separator, of: key)
        else { return false }
        return !SecretScrubber.isReadHere(variable: name.content)
    }

    /// Behind the quotes, commas, blanks, line ends and comments that stand between two pairs.
    func endOfJoint(from start: Int) -> Int {
        var place = start
        while place < text.count {
            let byte = text[place]
            let isComment =
                byte == UInt8(ascii: "#") && place > 0 && (isBlank(text[place - 1]) || text[place - 1] == 10)
            let isEscape = byte == UInt8(ascii: "\\") && place + 1 < text.count && "nrt".utf8.contains(text[place + 1])
            if isComment {
                place = end(of: { $0 != UInt8(ascii: "\n") }, from: place)
            } else if isEscape {
                place += 2
            } else if isBlank(byte) || "\n\r,\"'\\".utf8.contains(byte) {
                place += 1
            } else {
                break
            }
        }
        return place
    }

    package func key(before separator: Int) -> Key? {
        var end = separator
        while end > 0, isBlank(text[end - 1]) { end -= 1 }
        var quote: (byte: UInt8, depth: Int)?
        if end > 0, text[end - 1] == UInt8(ascii: "\"") || text[end - 1] == UInt8(ascii: "'") {
            let byte = text[end - 1]
            end -= 1
            let afterBackslashes = end
            while end > 0, text[end - 1] == UInt8(ascii: "\\") { end -= 1 }
            quote = (byte, afterBackslashes - end)
        }
        var start = end
        while start > 0, isKey(text[start - 1]) { start -= 1 }
        // The `n` of an escaped line end is no part of it.
        var isEscaped = false
        if start > 0, start < end, text[start - 1] == UInt8(ascii: "\\"), "nrt".utf8.contains(text[start]), quote == nil
        {
            start += 1
            isEscaped = true
        }
        while start < end, text[start] == UInt8(ascii: "-") { start += 1 }
        guard start < end else { return nil }
        var before = start
        while before > 0, isBlank(text[before - 1]) || text[before - 1] == UInt8(ascii: "-") { before -= 1 }
        if before >= 6, string(before - 6..<before) == "export" {
            before -= 6
            while before > 0, isBlank(text[before - 1]) { before -= 1 }
        }
        if before >= 2, before < start, text[before - 1] == UInt8(ascii: "n"), text[before - 2] == UInt8(ascii: "\\") {
            isEscaped = true
        }
        // A string in a list or of a key: `"password: x"`.
        if quote == nil, before > 0, text[before - 1] == UInt8(ascii: "\"") { isEscaped = true }
        let isLine = quote == nil && (isEscaped || before == 0 || text[before - 1] == UInt8(ascii: "\n"))
        return Key(range: start..<end, quote: quote, isLine: isLine, isEscaped: isEscaped)
    }

    /// `nil` where there is none: it is empty, an object, a list, true, false or null.
    package func value(after separator: Int, of key: Key) -> Value? {
        var start = separator + 1
        while start < text.count, isBlank(text[start]) { start += 1 }
        guard start < text.count, !"=:{[\n\r".utf8.contains(text[start]) else { return nil }
        var open = start
        while open < text.count, text[open] == UInt8(ascii: "\\") { open += 1 }
        if open < text.count, text[open] == UInt8(ascii: "\"") || text[open] == UInt8(ascii: "'") {
            return quotedValue(from: open + 1, quote: text[open], depth: open - start)
        }
        if let block = blockValue(at: start, of: key) { return block }
        var end = start
        if key.isLine {
            while end < text.count, text[end] != UInt8(ascii: "\n"),
                !(key.isEscaped && (text[end] == UInt8(ascii: "\\") || text[end] == UInt8(ascii: "\"")))
            {
                if text[separator] == UInt8(ascii: ":"), text[end] == UInt8(ascii: "#"), isBlank(text[end - 1]) {
                    break
                }
                end += 1
            }
            while end > start, isBlank(text[end - 1]) || text[end - 1] == UInt8(ascii: "\r") { end -= 1 }
        } else {
            end = self.end(of: { !isTerminator($0) }, from: start)
        }
        let content = string(start..<end)
        guard end > start, !["true", "false", "null", "~"].contains(content) else { return nil }
        let quote = key.quote.map { String(repeating: "\\", count: $0.depth) + String(UnicodeScalar($0.byte)) } ?? ""
        return Value(range: start..<end, content: content, quote: quote)
    }

    /// - Parameter depth: backslashes before each of its quotes.
    func quotedValue(from start: Int, quote: UInt8, depth: Int) -> Value? {
        var end = start
        var backslashes = 0
        while end < text.count {
            let byte = text[end]
            if byte == UInt8(ascii: "\\") {
                backslashes += 1
            } else if byte == quote, quote == UInt8(ascii: "'") || isClosing(backslashes, depth) {
                // YAML's two single quotes are one.
                guard quote == UInt8(ascii: "'"), end + 1 < text.count, text[end + 1] == quote else { break }
                end += 1
                backslashes = 0
            } else {
                backslashes = 0
            }
            end += 1
        }
        let close = min(end, text.count) - min(depth, backslashes)
        guard close > start else { return nil }
        let inside = string(start..<close)
        if quote == UInt8(ascii: "'") {
            return Value(range: start..<close, content: inside.replacing("''", with: "'"))
        }
        // Backslashes double and add one with each level: 0, 1, 3, 7.
        var content = inside
        for _ in 0...depth.trailingOnes {
            guard let plain = try? JSONDecoder().decode(String.self, from: Data("\"\(content)\"".utf8)) else { break }
            content = plain
        }
        return Value(range: start..<close, content: content)
    }

    /// Of a quote after so many backslashes, whether it ends a string whose quotes have `depth` of them.
    func isClosing(_ backslashes: Int, _ depth: Int) -> Bool {
        backslashes < depth || (backslashes - depth) % (2 * (depth + 1)) == 0
    }

    /// YAML's `|` and `>`: the lines that are set in further than the key. They may stand in a string, with escaped line ends.
    func blockValue(at start: Int, of key: Key) -> Value? {
        guard text[start] == UInt8(ascii: "|") || text[start] == UInt8(ascii: ">") else { return nil }
        let isHead = { (byte: UInt8) in isBlank(byte) || "+-0123456789\r".utf8.contains(byte) }
        var headEnd = end(of: isHead, from: start + 1)
        if headEnd < text.count, text[headEnd] == UInt8(ascii: "#"), isBlank(text[headEnd - 1]) {
            while headEnd < text.count, lineEnd(at: headEnd) == nil { headEnd += 1 }
        }
        guard let first = lineEnd(at: headEnd), (first > 1) == key.isEscaped else { return nil }
        // In a string with so many backslashes before its quotes, a line's end has one more.
        let depth = key.isEscaped ? first - 2 : nil
        let margin = indent(of: key)
        var begin = headEnd + first
        var content: [String] = []
        var range: Range<Int>?
        while begin < text.count {
            let from = end(of: isBlank, from: begin)
            var end = from
            while end < text.count, lineEnd(at: end) != first, !isStringEnd(at: end, depth) { end += 1 }
            let isEmpty = from == end
            guard isEmpty || from - begin > margin else { break }
            if !isEmpty {
                content.append(string(from..<end))
                range = (range?.lowerBound ?? from)..<end
            }
            guard lineEnd(at: end) == first else { break }
            begin = end + first
        }
        return range.map { Value(range: $0, content: content.joined(separator: "\n")) }
    }

    /// The bytes of the line end there: a newline, or backslashes and an `n`; `nil` where there is none.
    private func lineEnd(at place: Int) -> Int? {
        guard place < text.count else { return nil }
        if text[place] == UInt8(ascii: "\n") { return 1 }
        guard text[place] == UInt8(ascii: "\\"), place == 0 || text[place - 1] != UInt8(ascii: "\\") else { return nil }
        let letter = end(of: { $0 == UInt8(ascii: "\\") }, from: place)
        // Of `\\n` in a string the first backslash is a character.
        guard letter < text.count, text[letter] == UInt8(ascii: "n"), (letter - place).nonzeroBitCount == 1 else {
            return nil
        }
        return letter - place + 1
    }

    /// - Parameter depth: of the string's own quotes; `nil` outside of any.
    private func isStringEnd(at place: Int, _ depth: Int?) -> Bool {
        guard let depth, text[place] == UInt8(ascii: "\"") || text[place] == UInt8(ascii: "\\") else { return false }
        guard place == 0 || text[place - 1] != UInt8(ascii: "\\") else { return false }
        let quote = end(of: { $0 == UInt8(ascii: "\\") }, from: place)
        return quote < text.count && text[quote] == UInt8(ascii: "\"") && isClosing(quote - place, depth)
    }

    /// How far a key is set in: the blanks and dashes of list items before it.
    private func indent(of key: Key) -> Int {
        var start = key.range.lowerBound
        if let quote = key.quote { start -= quote.depth + 1 }
        var line = start
        while line > 0, isBlank(text[line - 1]) || text[line - 1] == UInt8(ascii: "-") { line -= 1 }
        return start - line
    }

    /// At the `:` of `scheme://user:password@host` or of Go's `user:password@tcp(host)`.
    func passwordInURL() -> Range<Int>? {
        guard text[index] == UInt8(ascii: ":") else { return nil }
        func isUserInfo(_ byte: UInt8) -> Bool {
            !isTerminator(byte) && byte != UInt8(ascii: "/") && byte != UInt8(ascii: "@")
        }
        func isAuthority(_ byte: UInt8) -> Bool { !isTerminator(byte) && !"/?#".utf8.contains(byte) }
        if matches("://", at: index) {
            let start = index + 3
            // A password may have an @ of its own: the last one ends it.
            guard let at = text[start..<end(of: isAuthority, from: start)].lastIndex(of: UInt8(ascii: "@")) else {
                return nil
            }
            guard let colon = text[start..<at].firstIndex(of: UInt8(ascii: ":")) else {
                // A user alone that is as long as a token is one.
                return at - start >= 20 ? start..<at : nil
            }
            guard colon + 1 < at else { return nil }
            return (colon + 1)..<at
        }
        let at = end(of: isUserInfo, from: index + 1)
        guard at > index + 1, matches("@tcp(", at: at) || matches("@unix(", at: at) else { return nil }
        return (index + 1)..<at
    }
}

extension Int {
    /// How many ones its binary digits end with.
    fileprivate var trailingOnes: Int { (~self).trailingZeroBitCount }
}
