import Foundation
import SSH

/// Replaces secrets in what hosts print by pseudonyms, before it is written to a recording.
///
/// Equal secrets get equal pseudonyms within one recording and different ones different, because passwords are compared across
/// hosts. A pseudonym is a number in order of appearance: nothing of the secret, not even a hash, goes into it.
///
/// What counts as a secret: the value of a key, option or variable whose name says so (`password`, `token`, `secret`, …); every
/// environment variable of a container, but for the few that are read here; private keys, JSON Web Tokens, bootstrap tokens, bare
/// certificate keys, passwords in URLs; and the secrets that the session itself knows, wherever they stand. Text is scrubbed as
/// it is, so that what cannot be parsed stays what it was: JSON, JSON within JSON strings, YAML and shell alike.
struct SecretScrubber: Sendable {
    private var numbers: [String: Int] = [:]
    /// How known secrets are written, by their first byte, longest first.
    private let known: [[KnownSecret]]

    init(_ secrets: [Secret] = []) {
        var known: [[KnownSecret]] = Array(repeating: [], count: 256)
        for secret in secrets.map({ $0.reveal() }) where !secret.isEmpty {
            for form in Set(Redactor.forms(of: secret)).map({ Array($0.utf8) }) {
                known[Int(form[0])].append(KnownSecret(form: form, secret: secret))
            }
        }
        self.known = known.map { $0.sorted { $0.form.count > $1.form.count } }
    }

    mutating func scrub(_ text: String) -> String {
        String(decoding: scrub(Array(text.utf8)), as: UTF8.self)
    }

    mutating func scrub(_ bytes: [UInt8]) -> [UInt8] {
        var sweep = Sweep(text: bytes, known: known, numbers: numbers)
        defer { numbers = sweep.numbers }
        return sweep.run()
    }

    /// - Parameter marker: a line that begins with it is a script's own and stays as it is; no secret goes beyond it.
    mutating func scrub(_ data: Data, exceptLinesWith marker: Data) -> Data {
        guard !marker.isEmpty else { return Data(scrub(Array(data))) }
        var scrubbed = Data()
        var rest = data[...]
        while let range = rest.range(of: marker) {
            let end = rest[range.upperBound...].firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
            scrubbed += Data(scrub(Array(rest[..<range.lowerBound]))) + rest[range.lowerBound..<end]
            rest = rest[end...]
        }
        return scrubbed + Data(scrub(Array(rest)))
    }

    // MARK: Names

    private static let words = [
        "password", "passwd", "passphrase", "secret", "token", "credential", "privatekey", "apikey", "accesskey",
        "certificatekey", "encryptionkey", "signingkey", "authkey", "clientkeydata", "authpass", "requirepass",
    ]
    /// `tokenExpirationSeconds`, `secretName`, `token-auth-file` and the like name no secret.
    private static let harmlessEndings = [
        "name", "names", "namespace", "ref", "refs", "seconds", "policy", "path", "paths", "file", "files", "dir",
        "type",
        "port", "enabled", "certhash", "ttl", "count", "version", "timeout", "issuer", "audience", "audiences", "mode",
    ]

    static func isSecret(name: some StringProtocol) -> Bool {
        let plain = name.lowercased().filter { !"-_.".contains($0) }
        if harmlessEndings.contains(where: plain.hasSuffix) { return false }
        return words.contains(where: plain.contains) || plain.hasSuffix("pass") || plain.hasSuffix("pwd")
            || plain == "auth"
    }

    /// Variables of containers that a plan rests on, and that are no secret.
    static func isReadHere(variable name: String) -> Bool {
        ["KEEPALIVED_", "MINIO_STORAGE_CLASS_", "MINIO_ERASURE_", "PROVISIONER_NAME"].contains(where: name.hasPrefix)
            && !isSecret(name: name)
    }
}

private struct KnownSecret {
    /// As it is, or as a program escapes or encodes it.
    var form: [UInt8]
    var secret: String
}

/// One pass over one text. Bytes are copied to the output up to a secret, which is replaced and passed over.
private struct Sweep {
    let text: [UInt8]
    let known: [[KnownSecret]]
    var numbers: [String: Int]
    private var output: [UInt8] = []
    private var index = 0
    /// The value of the last key `name`: of `name: X, value: Y` Y is an environment variable's value.
    private var lastName: (content: String, end: Int)?

    private struct Key {
        var range: Range<Int>
        /// In quotes, with so many backslashes before each: JSON in JSON strings.
        var quote: (byte: UInt8, depth: Int)?
        /// At the beginning of a line, but for blanks, dashes and `export`: its value goes to the line's end.
        var isLine: Bool
        /// The line is one within a string, and ends with an escape or with the string.
        var isEscaped: Bool
    }

    /// What stands after a key.
    private struct Value {
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

    private mutating func copy(to end: Int) {
        output += text[index..<end]
        index = end
    }

    private mutating func replace(_ range: Range<Int>, _ pseudonym: String) {
        copy(to: range.lowerBound)
        output += pseudonym.utf8
        index = range.upperBound
    }

    /// Its number, the same wherever it stands.
    private mutating func number(_ secret: String) -> Int {
        if let number = numbers[secret] { return number }
        numbers[secret] = numbers.count + 1
        return numbers.count
    }

    private mutating func pseudonym(_ secret: String) -> String { "secret-\(number(secret))" }

    // MARK: Secrets that show by themselves

    private mutating func secret(at start: Int) -> (range: Range<Int>, with: String)? {
        let byte = text[start]
        if let found = knownSecret(at: start) { return found }
        if byte == UInt8(ascii: "-") { return privateKey(at: start) ?? option(at: start) }
        if byte == UInt8(ascii: "$") { return passwordHash(at: start) }
        guard isWord(byte), start == 0 || !isWord(text[start - 1]) else { return nil }
        if "eLB".utf8.contains(byte), let found = encoded(at: start) { return found }
        if "arm".utf8.contains(byte), let found = directive(at: start) { return found }
        return bootstrapToken(at: start) ?? certificateKey(at: start)
    }

    private mutating func knownSecret(at start: Int) -> (Range<Int>, String)? {
        for known in known[Int(text[start])] where matches(known.form, at: start) {
            let end = start + known.form.count
            // A short one may be a part of anything.
            if known.form.count < 6 {
                guard start == 0 || !isWord(text[start - 1]), end == text.count || !isWord(text[end]) else { continue }
            }
            return (start..<end, pseudonym(known.secret))
        }
        return nil
    }

    /// Between the lines that frame it, or to the end where the second one is missing.
    private mutating func privateKey(at start: Int) -> (Range<Int>, String)? {
        guard matches("-----BEGIN ", at: start),
            let frame = first("-----", from: start + 11, within: 60), contains("PRIVATE KEY", start..<frame)
        else { return nil }
        let begin = frame + 5
        let end = first("-----END", from: begin) ?? text.count
        // The same key with line ends, and with escaped ones.
        let content = string(begin..<end).replacing("\\n", with: "").filter { !$0.isWhitespace }
        return (begin..<end, pseudonym(content))
    }

    /// `--token X`, and as JSON and YAML list it: `"--token", "X"`.
    private mutating func option(at start: Int) -> (Range<Int>, String)? {
        guard matches("--", at: start), start == 0 || !isKey(text[start - 1]) else { return nil }
        let nameEnd = end(of: isKey, from: start + 2)
        guard nameEnd < text.count, SecretScrubber.isSecret(name: string(start + 2..<nameEnd)) else { return nil }
        var next = nameEnd
        var hasLineEnd = false
        var hasQuote = false
        while next < text.count, next - nameEnd < 200 {
            let byte = text[next]
            if byte == UInt8(ascii: "\n") { hasLineEnd = true }
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") { hasQuote = true }
            let isItem = hasLineEnd && byte == UInt8(ascii: "-") && next + 1 < text.count && isBlank(text[next + 1])
            if isItem { hasQuote = true }
            guard isItem || isBlank(byte) || "\n\r,\"'\\".utf8.contains(byte) else { break }
            next += 1
        }
        let valueEnd = end(of: { !isTerminator($0) }, from: next)
        guard next > nameEnd, valueEnd > next, text[next] != UInt8(ascii: "-"), !hasLineEnd || hasQuote else {
            return nil
        }
        return (next..<valueEnd, pseudonym(string(next..<valueEnd)))
    }

    /// Of crypt(3): `$6$SALT$HASH`.
    private mutating func passwordHash(at start: Int) -> (Range<Int>, String)? {
        for kind in ["$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$7$", "$y$"] where matches(kind, at: start) {
            let end = end(of: { isAlphanumeric($0) || "./$,=".utf8.contains($0) }, from: start)
            if end - start >= 20 { return (start..<end, pseudonym(string(start..<end))) }
        }
        return nil
    }

    /// A JSON Web Token, a private key in Base64, what stands after `Bearer` and `Basic`.
    private mutating func encoded(at start: Int) -> (Range<Int>, String)? {
        func isBase64(_ byte: UInt8) -> Bool { isAlphanumeric(byte) || "+/=-_".utf8.contains(byte) }
        if matches("eyJ", at: start) {
            let end = end(of: { isBase64($0) || $0 == UInt8(ascii: ".") }, from: start)
            let parts = text[start..<end].split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
            if parts.count == 3, parts[0].count > 10, parts[1].count > 10 {
                return (start..<end, pseudonym(string(start..<end)))
            }
        }
        if matches("LS0tLS1CRUdJTi", at: start) {
            let end = end(of: isBase64, from: start)
            let head = Data(base64Encoded: string(start..<min(end, start + 64))) ?? Data()
            if String(decoding: head, as: UTF8.self).contains("PRIVATE KEY") {
                return (start..<end, pseudonym(string(start..<end)))
            }
        }
        for scheme in ["Bearer ", "Basic "] where matches(scheme, at: start) {
            let begin = start + scheme.utf8.count
            let end = end(of: { isBase64($0) || ".~".utf8.contains($0) }, from: begin)
            if end - begin >= 16 { return (begin..<end, pseudonym(string(begin..<end))) }
        }
        return nil
    }

    /// kubeadm's, `abcdef.0123456789abcdef`; the pseudonym has the same form.
    private mutating func bootstrapToken(at start: Int) -> (Range<Int>, String)? {
        let dot = start + 6
        let end = start + 23
        guard end <= text.count, text[dot] == UInt8(ascii: "."), end == text.count || !isWord(text[end]),
            text[start..<dot].allSatisfy(isTokenByte), text[(dot + 1)..<end].allSatisfy(isTokenByte)
        else { return nil }
        let number = String(self.number(string(start..<end)))
        return (start..<end, "secret." + String(repeating: "0", count: 16 - number.count) + number)
    }

    /// 64 hexadecimal digits by themselves; a digest or a container's id has a prefix. The pseudonym has the same form.
    private mutating func certificateKey(at start: Int) -> (Range<Int>, String)? {
        let end = start + 64
        guard end <= text.count, end == text.count || !isWord(text[end]),
            start == 0 || !":/@-.".utf8.contains(text[start - 1]), text[start..<end].allSatisfy(isHexadecimal)
        else { return nil }
        let number = String(self.number(string(start..<end)))
        return (start..<end, String(repeating: "0", count: 64 - number.count) + number)
    }

    /// Configuration files with a blank between name and value: keepalived's `auth_pass`, Redis' `requirepass`.
    private mutating func directive(at start: Int) -> (Range<Int>, String)? {
        for name in ["auth_pass ", "requirepass ", "masterauth "] where matches(name, at: start) {
            let begin = end(of: isBlank, from: start + name.utf8.count)
            let end = end(of: { !isBlank($0) && $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\\") }, from: begin)
            if end > begin { return (begin..<end, pseudonym(string(begin..<end))) }
        }
        return nil
    }

    // MARK: Keys and values

    /// At a `:` or `=`: what stands before it is a key, or a part of a URL.
    private mutating func pairs() {
        let separator = index
        if let password = passwordInURL() {
            let pseudonym = self.pseudonym(string(password))
            return replace(password, pseudonym)
        }
        guard let key = key(before: separator) else { return copy(to: separator + 1) }
        let name = string(key.range)
        let isSecret = SecretScrubber.isSecret(name: name)
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

    private mutating func hide(_ value: Value) {
        let pseudonym = self.pseudonym(value.content)
        replace(value.range, value.quote + pseudonym + value.quote)
    }

    /// The strings of a JSON list under a secret's name.
    private mutating func list() {
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
    private func isOfVariable(_ key: Key, _ value: Value) -> Bool {
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
    private func endOfJoint(from start: Int) -> Int {
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

    private func key(before separator: Int) -> Key? {
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
        if before > 0, text[before - 1] == UInt8(ascii: "\"") { isEscaped = true }
        let isLine = quote == nil && (isEscaped || before == 0 || text[before - 1] == UInt8(ascii: "\n"))
        return Key(range: start..<end, quote: quote, isLine: isLine, isEscaped: isEscaped)
    }

    /// `nil` where there is none: it is empty, an object, a list, true, false or null.
    private func value(after separator: Int, of key: Key) -> Value? {
        var start = separator + 1
        while start < text.count, isBlank(text[start]) { start += 1 }
        guard start < text.count, !"=:{[\n\r".utf8.contains(text[start]) else { return nil }
        var open = start
        while open < text.count, text[open] == UInt8(ascii: "\\") { open += 1 }
        if open < text.count, text[open] == UInt8(ascii: "\"") || text[open] == UInt8(ascii: "'") {
            return quotedValue(from: open + 1, quote: text[open], depth: open - start)
        }
        if key.isLine, let block = blockValue(at: start, of: key) { return block }
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
    private func quotedValue(from start: Int, quote: UInt8, depth: Int) -> Value? {
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
    private func isClosing(_ backslashes: Int, _ depth: Int) -> Bool {
        backslashes < depth || (backslashes - depth) % (2 * (depth + 1)) == 0
    }

    /// YAML's `|` and `>`: the lines that are set in further than the key.
    private func blockValue(at start: Int, of key: Key) -> Value? {
        guard !key.isEscaped, text[start] == UInt8(ascii: "|") || text[start] == UInt8(ascii: ">") else { return nil }
        let lineEnd = end(of: { $0 != UInt8(ascii: "\n") }, from: start)
        guard text[(start + 1)..<lineEnd].allSatisfy({ isBlank($0) || "+-0123456789\r".utf8.contains($0) }) else {
            return nil
        }
        var line = key.range.lowerBound
        while line > 0, text[line - 1] != UInt8(ascii: "\n") { line -= 1 }
        let indent = key.range.lowerBound - line
        var end = lineEnd
        var first: Int?
        while end < text.count {
            let begin = end + 1
            let content = self.end(of: isBlank, from: begin)
            let isEmpty = content >= text.count || text[content] == UInt8(ascii: "\n")
            guard isEmpty || content - begin > indent, begin < text.count else { break }
            if !isEmpty, first == nil { first = content }
            end = self.end(of: { $0 != UInt8(ascii: "\n") }, from: begin)
        }
        guard let first, first < end else { return nil }
        let lines = string(first..<end).split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
        return Value(range: first..<end, content: lines.joined(separator: "\n"))
    }

    /// At the `:` of `scheme://user:password@host` or of Go's `user:password@tcp(host)`.
    private func passwordInURL() -> Range<Int>? {
        guard text[index] == UInt8(ascii: ":") else { return nil }
        func isUserInfo(_ byte: UInt8) -> Bool {
            !isTerminator(byte) && byte != UInt8(ascii: "/") && byte != UInt8(ascii: "@")
        }
        if matches("://", at: index) {
            let start = index + 3
            let at = end(of: isUserInfo, from: start)
            guard at < text.count, text[at] == UInt8(ascii: "@"),
                let colon = text[start..<at].firstIndex(of: UInt8(ascii: ":")), colon + 1 < at
            else { return nil }
            return (colon + 1)..<at
        }
        let at = end(of: isUserInfo, from: index + 1)
        guard at > index + 1, matches("@tcp(", at: at) || matches("@unix(", at: at) else { return nil }
        return (index + 1)..<at
    }

    // MARK: Bytes

    private func string(_ range: Range<Int>) -> String { String(decoding: text[range], as: UTF8.self) }

    private func matches(_ word: String, at start: Int) -> Bool {
        start >= 0 && start + word.utf8.count <= text.count && text[start...].starts(with: word.utf8)
    }

    private func matches(_ word: [UInt8], at start: Int) -> Bool {
        start + word.count <= text.count && text[start..<start + word.count].elementsEqual(word)
    }

    private func first(_ word: String, from start: Int, within limit: Int = .max) -> Int? {
        let last = min(text.count, limit == .max ? text.count : start + limit)
        var place = start
        while place < last {
            if matches(word, at: place) { return place }
            place += 1
        }
        return nil
    }

    private func contains(_ word: String, _ range: Range<Int>) -> Bool {
        first(word, from: range.lowerBound, within: range.count) != nil
    }

    private func end(of isPart: (UInt8) -> Bool, from start: Int) -> Int {
        var end = start
        while end < text.count, isPart(text[end]) { end += 1 }
        return end
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    private func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }

    private func isWord(_ byte: UInt8) -> Bool { isAlphanumeric(byte) || byte == UInt8(ascii: "_") }

    private func isKey(_ byte: UInt8) -> Bool {
        isWord(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
    }

    private func isTokenByte(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) && !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }

    private func isHexadecimal(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }

    private func isTerminator(_ byte: UInt8) -> Bool {
        isBlank(byte) || "\n\r,\"'\\}])&;|<>".utf8.contains(byte)
    }
}

extension Int {
    /// How many ones its binary digits end with.
    fileprivate var trailingOnes: Int { (~self).trailingZeroBitCount }
}
