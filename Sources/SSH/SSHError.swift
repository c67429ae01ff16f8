/// What went wrong between here and a host: the host, the operation, the cause and what to do next.
public struct SSHError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Code: String, Sendable, Hashable, CaseIterable, Codable {
        /// The endpoint cannot be used as written: a name that begins with `-`, a NUL, a port out of range.
        case invalidEndpoint
        /// The name did not resolve.
        case unresolved
        /// No TCP connection: refused, no route, or no answer within the connect timeout.
        case unreachable
        /// TCP was there, the SSH handshake failed or did not end in time.
        case handshakeFailed
        /// The host is in no known_hosts file.
        case hostKeyUnknown
        /// The host's key is another than the one on file, of whatever type, or is revoked.
        case hostKeyMismatch
        case authenticationFailed
        /// The deadline passed; the remote process was told to end.
        case timedOut
        case cancelled
        /// The connection was lost before the command was sent: nothing ran.
        case connectionLost
        /// The command was sent, and neither its exit status nor a signal came back: it may be running still.
        case outcomeUnknown
        /// The host refused to write or rename a file.
        case remoteFile
        /// The file is not what it was when the decision to replace it was made.
        case fileChanged
        /// A fault in libssh2 or in the way that it is used here.
        case libraryFault
    }

    public var code: Code
    public var host: String
    /// In progress when it happened: `connect`, `run systemctl status kubelet`.
    public var operation: String
    public var cause: String
    /// The next thing to try.
    public var advice: String?

    public init(_ code: Code, host: String, operation: String, cause: String, advice: String? = nil) {
        self.code = code
        self.host = host
        self.operation = operation
        self.cause = cause
        self.advice = advice
    }

    public var description: String {
        let head = "\(host): \(operation): \(cause)"
        guard let advice else { return head }
        return "\(head); \(advice)"
    }

    /// Nothing can be said about the host itself, only that it could not be reached or trusted.
    public var isUnreachableOrUntrusted: Bool {
        switch code {
        case .unresolved, .unreachable, .handshakeFailed, .hostKeyUnknown, .hostKeyMismatch, .authenticationFailed,
            .connectionLost, .invalidEndpoint:
            true
        case .timedOut, .cancelled, .outcomeUnknown, .remoteFile, .fileChanged, .libraryFault:
            false
        }
    }
}
