import Foundation
import SSH

/// Errors that waiting may fix: an API server that restarts, a VIP on the move, a connection that was dropped.
package enum Transient {
    package static func isTransient(_ error: any Error) -> Bool {
        if let error = error as? SSHError {
            return switch error.code {
            case .unreachable, .jumpFailed, .handshakeFailed, .connectionLost, .outcomeUnknown, .timedOut: true
            case .invalidEndpoint, .unresolved, .hostKeyUnknown, .hostKeyMismatch, .authenticationFailed, .noShell,
                .cancelled,
                .remoteFile, .fileChanged, .libraryFault:
                false
            }
        }
        guard let error = error as? ClusterError, error.code == .commandFailed else { return false }
        // The server's own verdict counts, whatever else the text has in it.
        if let reason = error.serverReason { return KubectlMessage.isPassing(reason) }
        return signs.contains { error.cause.localizedCaseInsensitiveContains($0) }
    }

    /// Without what to do next, which is nothing yet.
    package static func message(_ error: any Error) -> String {
        (error as? SSHError)?.message ?? (error as? ClusterError)?.message ?? "\(error)"
    }

    /// What kubectl and etcdctl print when the server side is away for the moment.
    private static let signs = [
        "connection refused", "was refused", "i/o timeout", "Client.Timeout", "TLS handshake timeout", "EOF",
        "ServiceUnavailable", "server is currently unable", "etcdserver: leader changed",
        "etcdserver: request timed out",
        "no route to host", "connection reset", "context deadline exceeded", "error dialing backend",
        "container not found", "unable to upgrade connection", "etcdserver: no leader", "InternalError",
    ]
}
