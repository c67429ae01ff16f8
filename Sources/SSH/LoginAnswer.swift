import Foundation

/// What answered a login in place of a shell that runs commands: a forced command, a menu, nologin(8), an expired password, a
/// shell that is not POSIX.
struct LoginAnswer: Sendable, Hashable {
    let outcome: CommandResult.Outcome
    /// What it printed, on both streams.
    let words: String

    init(outcome: CommandResult.Outcome, words: String) {
        self.outcome = outcome
        self.words = words
    }

    /// What is known to answer, by its own words.
    private enum Kind: CaseIterable {
        case otherUser, expiredPassword, noLogin, sftpOnly, csh, fish, restricted

        /// Parts of the answer, in lower case.
        var signs: [String] {
            switch self {
            // cloud-init's disable_root_opts.
            case .otherUser: ["please login as the user", "please log in as the user"]
            // pam_unix(8), and sshd's session.c where an expired password would have to be changed first.
            case .expiredPassword:
                [
                    "password has expired", "password change required", "required to change your password",
                    "account has expired",
                ]
            // nologin(8) of util-linux and shadow, and pam_nologin(8).
            case .noLogin: ["account is currently not available", "unprivileged users are not permitted to log in"]
            // sshd's session.c with `ForceCommand internal-sftp`.
            case .sftpOnly: ["sftp connections only"]
            // csh: no newline within quotes, `!` is history, and BSD's takes no word of more than 1,023 bytes.
            case .csh: ["unmatched '", "event not found", "exec: command not found", "word too long"]
            case .fish: ["fish: "]
            case .restricted: ["restricted"]
            }
        }

        var name: String? {
            switch self {
            case .otherUser, .sftpOnly: "a forced command"
            case .expiredPassword, .noLogin: nil
            case .csh: "a csh or tcsh"
            case .fish: "fish"
            case .restricted: "a restricted shell"
            }
        }
    }

    private var kind: Kind? {
        let words = words.lowercased()
        return Kind.allCases.first { $0.signs.contains { words.contains($0) } }
    }

    /// The first lines that it printed; its exit status where it printed nothing.
    private var quotation: String {
        let lines = words.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
            .filter { !$0.isEmpty }
        guard !lines.isEmpty else { return "it printed nothing and ended with \(outcome)" }
        return "'\(TerminalText.sanitize(lines.prefix(3).joined(separator: " / ")).prefix(300))' (\(outcome))"
    }

    var cause: String {
        let who = kind.map(\.name) ?? "another program"
        guard let who else { return "no command was run: \(quotation)" }
        return "\(who) answered in place of a POSIX shell, and no command was run: \(quotation)"
    }

    func advice(user: String) -> String {
        switch kind {
        case .otherUser: "write the user that it names in the inventory, with 'become: sudo'"
        case .expiredPassword: "log in as \(user) with a terminal (ssh -t) and change the password"
        case .noLogin: "name a user in the inventory that may log in, with 'become: sudo'"
        case .sftpOnly: "see ForceCommand and Subsystem in its sshd_config, or name another user in the inventory"
        case .csh, .fish, .restricted:
            "give \(user) a POSIX login shell there (chsh -s /bin/sh \(user)), or name another user in the inventory"
        case nil:
            "see what answers: ssh \(user)@HOST true; the user must get a shell (ForceCommand, command= in authorized_keys, /etc/passwd)"
        }
    }
}
