/// A host key that a person has compared and lets in: what `--accept-host-key HOST=SHA256:…` says.
public struct HostKeyAcceptance: Sendable, Hashable {
    /// The endpoint's name, or its address.
    public var host: String
    /// `SHA256:…`, as ``HostKey/fingerprint``.
    public var fingerprint: String
    /// Lets the key take the place of the ones on file: for a machine that was reinstalled. Otherwise only a host that no
    /// line is for can be accepted.
    public var replacing: Bool

    public init(host: String, fingerprint: String, replacing: Bool = false) {
        self.host = host
        self.fingerprint = fingerprint
        self.replacing = replacing
    }

    /// Reads `HOST=SHA256:…`; `nil` where it is something else.
    public init?(_ argument: String, replacing: Bool = false) {
        guard let equals = argument.firstIndex(of: "=") else { return nil }
        let host = String(argument[..<equals])
        let fingerprint = String(argument[argument.index(after: equals)...]).trimmingSuffix("=")
        let digest = fingerprint.dropFirst("SHA256:".count)
        guard !host.isEmpty, fingerprint.hasPrefix("SHA256:"), digest.utf8.count == 43 else { return nil }
        self.init(host: host, fingerprint: fingerprint, replacing: replacing)
    }

    func covers(_ endpoint: Endpoint, _ key: HostKey) -> Bool {
        (host == endpoint.name || host == endpoint.host) && fingerprint == key.fingerprint
    }
}

extension String {
    fileprivate func trimmingSuffix(_ suffix: Character) -> String {
        var text = self[...]
        while text.last == suffix { text = text.dropLast() }
        return String(text)
    }
}
