import Foundation

/// What answered a login in place of a shell that runs commands: a forced command, a menu, nologin(8), an expired password, a
/// shell that is not POSIX.
struct LoginAnswer: Sendable, Hashable {
    let outcome: CommandResult.Outcome
    /// What the program printed, on both streams.
    let words: String

    /// An answer that is known: parts of its words in lower case; which program it is, `nil` for a message of the system itself; and
    /// what to do.
    private typealias Known = (signs: [String], who: String?, advice: @Sendable (_ user: String) -> String)

    private static let known: [Known] = [
        // cloud-init's disable_root_opts.
        (
            ["please login as the user", "please log in as the user"], "a forced command",
            { _ in "write the user that it names in the inventory, with 'become: sudo'" }
        ),
        // pam_unix(8), and sshd's session.c where an expired password would have to be changed first.
        (
            [
                "password has expired", "password change required", "required to change your password",
                "account has expired",
            ], nil, { "log in as \($0) with a terminal (ssh -t) and change the password" }
        ),
        // nologin(8) of util-linux and shadow, and pam_nologin(8).
        (
            ["account is currently not available", "unprivileged users are not permitted to log in"], nil,
            { _ in "name a user in the inventory that may log in, with 'become: sudo'" }
        ),
        // sshd's session.c with `ForceCommand internal-sftp`.
        (
            ["sftp connections only"], "a forced command",
            { _ in "see ForceCommand and Subsystem in its sshd_config, or name another user in the inventory" }
        ),
        // csh: no newline within quotes, `!` is history, and BSD's takes no word of more than 1,023 bytes.
        (
            ["unmatched '", "event not found", "exec: command not found", "word too long"], "a csh or tcsh",
            needsPOSIXShell
        ),
        (["fish: "], "fish", needsPOSIXShell),
        (["restricted"], "a restricted shell", needsPOSIXShell),
    ]

    @Sendable private static func needsPOSIXShell(_ user: String) -> String {
        "give \(user) a POSIX login shell there (chsh -s /bin/sh \(user)), or name another user in the inventory"
    }

    private var known: Known? {
        let words = words.lowercased()
        return Self.known.first { $0.signs.contains { words.contains($0) } }
    }

    /// The first lines that the program printed, and its exit status.
    private var quotation: String {
        let lines = words.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
            .filter { !$0.isEmpty }
        guard !lines.isEmpty else { return "it printed nothing and ended with \(outcome)" }
        return "'\(TerminalText.sanitize(lines.prefix(3).joined(separator: " / ")).prefix(300))' (\(outcome))"
    }

    var cause: String {
        let who = known.map(\.who) ?? "another program"
        guard let who else { return "no command was run: \(quotation)" }
        return "\(who) answered in place of a POSIX shell, and no command was run: \(quotation)"
    }

    func advice(user: String) -> String {
        known?.advice(user)
            ?? "see what answers: ssh \(user)@HOST true; the user must get a shell (ForceCommand, command= in authorized_keys, /etc/passwd)"
    }
}
