/// What went wrong between here and a host: the host, the operation, the cause and what to do next.
public struct SSHError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What went wrong, for programs; a person reads `cause` and `advice`.
    public enum Code: String, Sendable, Hashable, CaseIterable, Codable {
        /// The endpoint cannot be used as written: a name that begins with `-`, a NUL, a port out of range.
        case invalidEndpoint
        /// The name did not resolve.
        case unresolved
        /// There is no TCP connection: it was refused, there is no route, or no answer came within the connect timeout.
        case unreachable
        /// The jump host cannot be reached, or does not open a connection to the host. Nothing is known of the host itself.
        case jumpFailed
        /// The TCP connection was made, and the SSH handshake failed or did not end in time.
        case handshakeFailed
        /// The host is in no known_hosts file.
        case hostKeyUnknown
        /// The host's key differs from those on file, in its type or its value, or is revoked.
        case hostKeyMismatch
        case authenticationFailed
        /// The login works, and another program than a shell answers: a forced command, a menu, nologin. Nothing ran.
        case noShell
        /// The deadline passed; the remote process was told to end.
        case timedOut
        case cancelled
        /// The connection was lost before the command was sent: nothing ran.
        case connectionLost
        /// The command was sent, and neither its exit status nor a signal came back: it may be running still.
        case outcomeUnknown
        /// The host refused to write or rename a file.
        case remoteFile
        /// The file has changed since the decision to replace it was made.
        case fileChanged
        /// A fault in libssh2 or in the way that it is used here, or this machine is short of descriptors, threads or memory.
        case libraryFault
    }

    /// The kind of fault.
    public var code: Code
    /// The endpoint's name; a jump host's, where the fault is there.
    public var host: String
    /// What was in progress, for example `connect` or `run systemctl status kubelet`.
    public var operation: String
    /// What happened, with the system's or the server's own words where there are any.
    public var cause: String
    /// The next thing to try.
    public var advice: String?

    /// Creates an error. Without advice that of its code is shown.
    public init(_ code: Code, host: String, operation: String, cause: String, advice: String? = nil) {
        self.code = code
        self.host = host
        self.operation = operation
        self.cause = cause
        self.advice = advice
    }

    /// Host, operation and cause, without the advice.
    public var message: String { "\(host): \(operation): \(cause)" }
    public var description: String { "\(message); \(advice ?? code.advice)" }

    /// Whether the error says nothing of the host itself but that it could not be reached or trusted.
    public var isUnreachableOrUntrusted: Bool {
        switch code {
        case .unresolved, .unreachable, .jumpFailed, .handshakeFailed, .hostKeyUnknown, .hostKeyMismatch,
            .authenticationFailed, .noShell,
            .connectionLost, .invalidEndpoint:
            true
        case .timedOut, .cancelled, .outcomeUnknown, .remoteFile, .fileChanged, .libraryFault:
            false
        }
    }
}

extension SSHError {
    /// A fault of libssh2 or of this machine, which says nothing of the host.
    static func localFault(_ error: any Error, host: String, operation: String) -> SSHError {
        guard (error as? SystemError)?.isOfThisMachine == true else {
            return SSHError(.libraryFault, host: host, operation: operation, cause: "\(error)")
        }
        return SSHError(
            .libraryFault, host: host, operation: operation, cause: "\(error)",
            advice: "this machine is short of it: see ulimit -n and ulimit -u, or lower --concurrency")
    }
}

/// An error in words, to which the caller adds the host and the operation.
struct Failure: Error, CustomStringConvertible {
    let description: String
}

extension SSHError.Code {
    /// The next thing to try, where the place that throws the error gives no better advice.
    public var advice: String {
        switch self {
        case .invalidEndpoint: "correct the host's entry: address, port, user, jump"
        case .unresolved: "write an address, or a name that this machine can look up"
        case .unreachable: "see that the host is up, that address and port are right, and that no firewall is between"
        case .jumpFailed: "see that the jump host is up, and that it allows forwarding (AllowTcpForwarding)"
        case .handshakeFailed: "try it with OpenSSH: ssh -v; look at the sshd's log there"
        case .hostKeyUnknown: "see that the key is the host's own, then accept it: --accept-host-key HOST=SHA256:..."
        case .hostKeyMismatch:
            "find out why before anything else; only if the host was reinstalled: --replace-host-key HOST=SHA256:..."
        case .authenticationFailed: "try it with OpenSSH: ssh -v; see that the key is in authorized_keys there"
        case .noShell:
            "see that the user gets a POSIX shell there: ForceCommand, command= in authorized_keys, /etc/passwd"
        case .timedOut: "see whether the host is overloaded, or give it longer: --command-timeout"
        case .cancelled: "start it again when you want it done"
        case .connectionLost: "nothing ran; try again"
        case .outcomeUnknown:
            "look at the host before it is tried again: the command may have run, or may be running still"
        case .remoteFile: "look at the folder there: room, owner, read-only?"
        case .fileChanged: "check the file on the host, then try again: it is read again"
        case .libraryFault: "try again; if it stays, report it with the output of -v"
        }
    }
}
