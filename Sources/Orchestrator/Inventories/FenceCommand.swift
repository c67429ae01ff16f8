/// The command that cuts a host's power, a program of the admin's machine and its arguments.
enum FenceCommand {
    /// It is shown in plans and reports, and everybody on this machine sees its words in the process table: no password may be among them.
    static func read(_ host: StrictMapping, _ problems: ProblemList) -> [String]? {
        guard let command = host.strings("fence", isShown: false) else { return nil }
        if command.isEmpty {
            problems.add(
                host.value("fence"), "\(host.path).fence: the command is missing",
                fix: "write the program and its arguments: [ipmitool, -H, ADDRESS, …, chassis, power, off]")
        }
        if let option = passwordOption(in: command) {
            problems.add(
                host.value("fence"), "\(host.path).fence: '\(option)' has a password after it, for everybody to see",
                fix:
                    "keep it elsewhere: ipmitool reads it from a file with -f FILE, or from IPMI_PASSWORD with -E; fence agents run a program with --password-script; curl reads a file with --netrc-file"
            )
        }
        return command
    }

    /// The first word that obviously gives a password, without it: of the program itself or of one that it runs in turn, as sudo, env and
    /// `sh -c` do.
    static func passwordOption(in command: [String]) -> String? {
        var short: Regex<Substring>?
        for word in command.flatMap({ $0.split(whereSeparator: { $0.isWhitespace || "'\";".contains($0) }) }) {
            if let short, let found = word.prefixMatch(of: short) { return String(found.output) }
            // --password, --passwd, --http-password and the like, not --password-script nor --password-file.
            if let found = word.prefixMatch(of: /--?[a-z-]*passw(or)?d(?==|$)/) { return String(found.output.0) }
            if let found = word.prefixMatch(of: /[A-Za-z0-9_]*(?i:passw|passphrase|secret|token)[A-Za-z0-9_]*(?==.)/),
                !found.output.lowercased().hasSuffix("file")
            {
                return String(found.output)
            }
            if word.contains(/:\/\/[^\/@:]+:[^\/@]+@/) { return "a URL" }
            switch word.split(separator: "/").last ?? "" {
            case "ipmitool": short = /-P/
            // Options that take no value may stand before it.
            case "curl": short = /-[a-zA-Z]*u|--user(?==|$)/
            case let name
            where name.hasPrefix("fence_") || name.hasPrefix("ipmi") || ["racadm", "sshpass"].contains(name):
                short = /-p/
            default: break
            }
        }
        return nil
    }
}
