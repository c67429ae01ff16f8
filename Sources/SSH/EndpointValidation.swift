extension Endpoint {
    /// Refuses what could be read as something else by a resolver, a shell, `ssh` or a known_hosts file: before a socket is
    /// opened. The rules are those of OpenSSH's `valid_hostname` and `valid_ruser`, and stricter.
    /// - Throws: ``SSHError`` with ``SSHError/Code/invalidEndpoint``.
    public func validate() throws(SSHError) {
        func refuse(_ what: String, _ value: String, _ why: String) -> SSHError {
            SSHError(
                .invalidEndpoint, host: TerminalText.line(name), operation: "read the endpoint",
                cause: "the \(what) \"\(TerminalText.line(value))\" \(why)")
        }
        // A backslash stands between an Active Directory domain and a user in it; the name of a jump host may begin with both.
        if let why = Self.fault(in: name, also: "@[]+$\\") { throw refuse("name", name, why) }
        if let why = Self.fault(in: host, also: "") { throw refuse("address", host, why) }
        if let why = Self.fault(in: user, also: "@+$\\") { throw refuse("user", user, why) }
        if user.hasSuffix("\\") { throw refuse("user", user, "ends with a backslash") }
        if let alias = hostKeyAlias, let why = Self.fault(in: alias, also: "") {
            throw refuse("host key alias", alias, why)
        }
        guard (1...65535).contains(port) else { throw refuse("port", "\(port)", "is not from 1 to 65535") }
        for path in identities + knownHosts + revokedHostKeys where path.isEmpty || path.utf8.contains(0) {
            throw refuse("path", path, "is empty or holds a NUL")
        }
        for jump in jumps { try jump.validate() }
    }

    private static func fault(in text: String, also allowed: String) -> String? {
        guard let first = text.utf8.first else { return "is empty" }
        if first == UInt8(ascii: "-") { return "begins with a dash, which programs take for an option" }
        let isFine = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default:
                "-._:%".utf8.contains(byte) || allowed.utf8.contains(byte)
            }
        }
        return isFine ? nil : "holds characters that names do not have"
    }
}
