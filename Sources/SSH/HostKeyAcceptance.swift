/// A host key that a person has compared and accepts, as `--accept-host-key HOST=SHA256:…` gives it.
public struct HostKeyAcceptance: Sendable, Hashable {
    /// The endpoint's name, or its address.
    public var host: String
    /// `SHA256:…`, as ``HostKey/fingerprint``.
    public var fingerprint: String
    /// Whether the key replaces the ones on file, for a machine that was reinstalled. Otherwise only a host that is in no
    /// known_hosts file can be accepted.
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
        var fingerprint = String(argument[argument.index(after: equals)...])
        while fingerprint.last == "=" { fingerprint.removeLast() }
        let digest = fingerprint.dropFirst("SHA256:".count)
        guard !host.isEmpty, fingerprint.hasPrefix("SHA256:"), digest.utf8.count == 43 else { return nil }
        self.init(host: host, fingerprint: fingerprint, replacing: replacing)
    }

    func covers(_ endpoint: Endpoint, _ key: HostKey) -> Bool {
        (host == endpoint.name || host == endpoint.host) && fingerprint == key.fingerprint
    }
}
