import Foundation

/// Secrets that show by themselves.
extension SecretSweep {
    package mutating func secret(at start: Int) -> (range: Range<Int>, with: String)? {
        let byte = text[start]
        if let found = knownSecret(at: start) { return found }
        if byte == UInt8(ascii: "-") { return privateKey(at: start) ?? option(at: start) ?? shortOption(at: start) }
        if byte == UInt8(ascii: "$") { return passwordHash(at: start) }
        if byte >= 0x80 { return chineseNote(at: start) }
        guard isWord(byte), start == 0 || !isWord(text[start - 1]) else { return nil }
        if "eLB".utf8.contains(byte), let found = encoded(at: start) { return found }
        if byte == UInt8(ascii: "h"), let found = webhook(at: start) { return found }
        if "arm".utf8.contains(byte), let found = directive(at: start) { return found }
        return bootstrapToken(at: start) ?? certificateKey(at: start)
    }

    mutating func knownSecret(at start: Int) -> (Range<Int>, String)? {
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
    mutating func privateKey(at start: Int) -> (Range<Int>, String)? {
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
    mutating func option(at start: Int) -> (Range<Int>, String)? {
        guard matches("--", at: start), start == 0 || !isKey(text[start - 1]) else { return nil }
        let nameEnd = end(of: isKey, from: start + 2)
        guard nameEnd < text.count, SecretScrubber.isSecret(name: string(start + 2..<nameEnd)) else { return nil }
        var next = nameEnd
        var hasLineEnd = false
        var hasQuote = false
        while next < text.count, next - nameEnd < 200 {
            let byte = text[next]
            if byte == UInt8(ascii: "\\"), next + 1 < text.count, "nr".utf8.contains(text[next + 1]) {
                hasLineEnd = true
                next += 2
                continue
            }
            if byte == UInt8(ascii: "\n") { hasLineEnd = true }
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") { hasQuote = true }
            let isItem = hasLineEnd && byte == UInt8(ascii: "-") && next + 1 < text.count && isBlank(text[next + 1])
            if isItem { hasQuote = true }
            guard isItem || isBlank(byte) || "\n\r,\"'\\".utf8.contains(byte) else { break }
            next += 1
        }
        let valueEnd = endOfWord(from: next)
        guard next > nameEnd, valueEnd > next, text[next] != UInt8(ascii: "-"), !hasLineEnd || hasQuote else {
            return nil
        }
        return (next..<valueEnd, pseudonym(string(next..<valueEnd)))
    }

    /// Of a value in quotes, which may have blanks in it, the quote or the backslash before it; of a bare one what ends a word.
    func endOfWord(from start: Int) -> Int {
        guard start > 0, text[start - 1] == UInt8(ascii: "\"") || text[start - 1] == UInt8(ascii: "'") else {
            return end(of: { !isTerminator($0) }, from: start)
        }
        let quote = text[start - 1]
        let close = end(of: { $0 != quote && $0 != UInt8(ascii: "\\") && $0 != UInt8(ascii: "\n") }, from: start)
        return close < text.count && text[close] != UInt8(ascii: "\n")
            ? close : end(of: { !isTerminator($0) }, from: start)
    }

    /// `密码: X`: what operators of Cloudpods write into comments.
    mutating func chineseNote(at start: Int) -> (Range<Int>, String)? {
        guard let word = ["密码", "口令", "密钥", "令牌"].first(where: { matches($0, at: start) }) else { return nil }
        var next = end(of: isBlank, from: start + word.utf8.count)
        guard let separator = [":", "=", "："].first(where: { matches($0, at: next) }) else { return nil }
        next = end(of: { isBlank($0) || "\"'\\".utf8.contains($0) }, from: next + separator.utf8.count)
        let value = next..<end(of: { !isTerminator($0) }, from: next)
        return value.isEmpty ? nil : (value, pseudonym(string(value)))
    }

    /// Programs and their options of one letter that take a password.
    private struct ShortOption {
        var programs: [String]
        /// A word that stands between the two, such as `login`.
        var verb: String?
        var letter: String
        /// `-p PW`, and `-pPW`.
        var isApart = true
        /// Of `user:PW` the password alone is one.
        var followsColon = false
    }

    private static let shortOptions = [
        // Of `-p PW` mysql takes PW for the database.
        ShortOption(programs: ["mysql", "mysqldump", "mysqladmin", "mariadb"], letter: "p", isApart: false),
        ShortOption(programs: ["sshpass", "mongo", "mongosh", "mongodump"], letter: "p"),
        ShortOption(
            programs: ["docker", "podman", "buildah", "skopeo", "nerdctl", "helm"], verb: "login", letter: "p"),
        ShortOption(programs: ["redis-cli"], letter: "a"),
        ShortOption(
            programs: ["ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldapwhoami", "ldappasswd"], letter: "w"),
        ShortOption(programs: ["ipmitool"], letter: "P"),
        ShortOption(programs: ["etcdctl"], letter: "-user", followsColon: true),
        ShortOption(programs: ["curl"], letter: "u", followsColon: true),
        ShortOption(programs: ["curl"], letter: "U", followsColon: true),
        ShortOption(programs: ["curl"], letter: "-user", followsColon: true),
        ShortOption(programs: ["curl"], letter: "-proxy-user", followsColon: true),
    ]

    /// `mysql -pPW`, `sshpass -p PW`, `curl -u user:PW`: in a shell's line, and as JSON and YAML list it.
    private mutating func shortOption(at start: Int) -> (Range<Int>, String)? {
        guard start > 0, isBlank(text[start - 1]) || "\"',[".utf8.contains(text[start - 1]) else { return nil }
        for option in Self.shortOptions {
            guard let nameEnd = endOfName(option, at: start + 1) else { continue }
            let next = end(of: { isBlank($0) || "=\"',\\".utf8.contains($0) }, from: nameEnd)
            guard next < text.count, next == nameEnd ? option.letter.count == 1 : option.isApart else { continue }
            let valueEnd = endOfWord(from: next)
            var value = next..<valueEnd
            if option.followsColon {
                guard let colon = text[value].firstIndex(of: UInt8(ascii: ":")) else { continue }
                value = (colon + 1)..<valueEnd
            }
            guard !value.isEmpty, text[next] != UInt8(ascii: "-"), isWordBefore(start, option) else { continue }
            return (value, pseudonym(string(value)))
        }
        return nil
    }

    /// Of `-sSu user:PW` the last of several letters takes the value.
    private func endOfName(_ option: ShortOption, at start: Int) -> Int? {
        if matches(option.letter, at: start) { return start + option.letter.utf8.count }
        guard option.letter.count == 1, option.isApart else { return nil }
        let letters = end(of: { isAlphanumeric($0) }, from: start)
        guard letters < text.count, isBlank(text[letters]), letters - start <= 8,
            matches(option.letter, at: letters - 1)
        else { return nil }
        return letters
    }

    /// Whether the command that an option belongs to is one of these.
    private func isWordBefore(_ start: Int, _ option: ShortOption) -> Bool {
        var begin = start
        while begin > 0, start - begin < 400, !"\n;|&".utf8.contains(text[begin - 1]) { begin -= 1 }
        let words = text[begin..<start].split { isBlank($0) || "\"',[]()`$".utf8.contains($0) }.map {
            String(decoding: $0, as: UTF8.self).split(separator: "/").last.map(String.init) ?? ""
        }
        guard let program = words.lastIndex(where: option.programs.contains) else { return false }
        return option.verb.map(words[program...].contains) ?? true
    }

    /// Slack's, whose path is its secret.
    mutating func webhook(at start: Int) -> (Range<Int>, String)? {
        let place = "hooks.slack.com/services/"
        guard matches(place, at: start) else { return nil }
        let path = (start + place.utf8.count)..<end(of: { !isTerminator($0) }, from: start + place.utf8.count)
        return path.isEmpty ? nil : (path, pseudonym(string(path)))
    }

    /// Of crypt(3): `$6$SALT$HASH`.
    mutating func passwordHash(at start: Int) -> (Range<Int>, String)? {
        for kind in ["$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$7$", "$y$"] where matches(kind, at: start) {
            let end = end(of: { isAlphanumeric($0) || "./$,=".utf8.contains($0) }, from: start)
            if end - start >= 20 { return (start..<end, pseudonym(string(start..<end))) }
        }
        return nil
    }

    /// A JSON Web Token, a private key in Base64, what stands after `Bearer` and `Basic`.
    mutating func encoded(at start: Int) -> (Range<Int>, String)? {
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
    mutating func bootstrapToken(at start: Int) -> (Range<Int>, String)? {
        let dot = start + 6
        let end = start + 23
        guard end <= text.count, text[dot] == UInt8(ascii: "."), end == text.count || !isWord(text[end]),
            text[start..<dot].allSatisfy(isTokenByte), text[(dot + 1)..<end].allSatisfy(isTokenByte)
        else { return nil }
        let number = String(self.number(string(start..<end)))
        return (start..<end, "secret." + String(repeating: "0", count: 16 - number.count) + number)
    }

    /// 64 hexadecimal digits by themselves; a digest or a container's id has a prefix. The pseudonym has the same form.
    mutating func certificateKey(at start: Int) -> (Range<Int>, String)? {
        let end = start + 64
        guard end <= text.count, end == text.count || !isWord(text[end]),
            start == 0 || !":/@-.".utf8.contains(text[start - 1]), text[start..<end].allSatisfy(isHexadecimal)
        else { return nil }
        let number = String(self.number(string(start..<end)))
        return (start..<end, String(repeating: "0", count: 64 - number.count) + number)
    }

    /// Configuration files with a blank between name and value: keepalived's `auth_pass`, Redis' `requirepass`.
    mutating func directive(at start: Int) -> (Range<Int>, String)? {
        for name in ["auth_pass ", "requirepass ", "masterauth "] where matches(name, at: start) {
            let begin = end(of: isBlank, from: start + name.utf8.count)
            let end = end(of: { !isBlank($0) && $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\\") }, from: begin)
            if end > begin { return (begin..<end, pseudonym(string(begin..<end))) }
        }
        return nil
    }
}
