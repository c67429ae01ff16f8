import CLibSSH2

/// libssh2 as a whole.
enum Library {
    /// Whether `libssh2_init` succeeded. `libssh2_exit` is never called, because it is not safe while there are sessions.
    static let initialized: Bool = libssh2_init(0) == 0

    static let version: String = libssh2_version(0).map { String(cString: $0) } ?? "unknown"

    static func isAtLeast(_ major: Int32, _ minor: Int32, _ patch: Int32) -> Bool {
        libssh2_version(major << 16 | minor << 8 | patch) != nil
    }

    /// Before 1.11.0 RSA keys sign with SHA-1 only, which OpenSSH refuses since 8.8.
    static var signsRSAWithSHA2: Bool { isAtLeast(1, 11, 0) }
}

/// An error of libssh2, in its words.
struct LibraryError: Error, CustomStringConvertible {
    let code: Int32
    let message: String

    /// Whether the connection was lost, or can no longer be used.
    var isConnectionLoss: Bool {
        switch code {
        case LIBSSH2_ERROR_SOCKET_NONE, LIBSSH2_ERROR_SOCKET_SEND, LIBSSH2_ERROR_SOCKET_RECV,
            LIBSSH2_ERROR_SOCKET_DISCONNECT, LIBSSH2_ERROR_SOCKET_TIMEOUT, LIBSSH2_ERROR_BAD_SOCKET:
            true
        default:
            false
        }
    }

    var isRefusedRequest: Bool { code == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED }
    var isRefusedChannel: Bool { code == LIBSSH2_ERROR_CHANNEL_FAILURE }
    var description: String { "\(message) (libssh2 \(code))" }
}
