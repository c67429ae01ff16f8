import Foundation

extension UserConfiguration {
    /// Expands `%h`, `${HOME}` and similar tokens in a value of ssh_config (ssh_config(5), TOKENS and ENVIRONMENT VARIABLES).
    ///
    /// `ssh -G` prints IdentityFile, CertificateFile and ProxyJump as they are written, and before OpenSSH 10 RevokedHostKeys too.
    /// IdentityAgent and UserKnownHostsFile it prints expanded; expanding those again changes nothing unless a `%` is left.
    struct Tokens {
        private let values: [Character: String]
        private let environment: [String: String]

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
                "%": "%", "n": alias, "h": hostName, "p": String(port), "r": user, "k": hostKeyAlias ?? alias,
                "j": jump,
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
}
