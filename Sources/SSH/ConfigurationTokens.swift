import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Expands `%h`, `${HOME}` and the like in a value of ssh_config (ssh_config(5), TOKENS and ENVIRONMENT VARIABLES).
///
/// `ssh -G` prints IdentityFile, CertificateFile and ProxyJump as they are written, and before OpenSSH 10 RevokedHostKeys too.
/// IdentityAgent and UserKnownHostsFile it prints expanded; expanding those again changes nothing unless a `%` is left.
struct ConfigurationTokens {
    private let values: [Character: String]
    private let environment: [String: String]

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// - Parameters:
    ///   - alias: the host's name as it was asked for.
    ///   - jump: the jump host nearest to the host; empty where there is none.
    init(
        alias: String, hostName: String, port: Int, user: String, hostKeyAlias: String?, jump: String,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) {
        let local = ProcessInfo.processInfo.hostName
        let account = LocalAccount.current
        values = [
            "%": "%", "n": alias, "h": hostName, "p": String(port), "r": user, "k": hostKeyAlias ?? alias, "j": jump,
            "d": account.home, "u": account.name, "i": String(getuid()), "l": local,
            "L": String(local.prefix { $0 != "." }),
        ]
        self.environment = environment
    }

    func expand(_ text: String) throws(Failure) -> String {
        // OpenSSH replaces both kinds in one pass, so that a value is not searched for tokens again.
        var expanded = ""
        var rest = text[...]
        while let character = rest.popFirst() {
            if character == "%" {
                guard let token = rest.popFirst() else { throw Failure(description: "it ends with a lone '%'") }
                guard let value = values[token] else {
                    throw Failure(description: "the token %\(token) is not supported here")
                }
                expanded += value
            } else if character == "$", rest.first == "{" {
                guard let end = rest.firstIndex(of: "}") else { throw Failure(description: "'${' without '}'") }
                let name = String(rest[rest.index(after: rest.startIndex)..<end])
                guard let value = environment[name] else {
                    throw Failure(description: "the environment variable \(name) is not set")
                }
                expanded += value
                rest = rest[rest.index(after: end)...]
            } else {
                expanded.append(character)
            }
        }
        return expanded
    }
}

/// The user that this process runs as, from the password database, where OpenSSH looks, whatever `HOME` and `USER` say.
struct LocalAccount {
    let name: String
    let home: String

    static let current: LocalAccount = {
        find { getpwuid_r(getuid(), $0, $1, $2, $3) } ?? LocalAccount(name: NSUserName(), home: Paths.home)
    }()

    static func named(_ name: String) -> LocalAccount? {
        find { getpwnam_r(name, $0, $1, $2, $3) }
    }

    private static func find(
        _ look: (
            UnsafeMutablePointer<passwd>, UnsafeMutablePointer<CChar>, Int,
            UnsafeMutablePointer<UnsafeMutablePointer<passwd>?>
        ) -> Int32
    ) -> LocalAccount? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var strings = [CChar](repeating: 0, count: 16 << 10)
        guard look(&entry, &strings, strings.count, &found) == 0, found != nil else { return nil }
        return LocalAccount(name: String(cString: entry.pw_name), home: String(cString: entry.pw_dir))
    }
}
