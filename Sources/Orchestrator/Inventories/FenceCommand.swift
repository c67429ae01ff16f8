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

    /// The first argument that obviously gives a password, without it.
    static func passwordOption(in command: [String]) -> String? {
        let program = command.first.map { String($0.split(separator: "/").last ?? "") } ?? ""
        var (short, long): (String?, [String]) = (nil, ["--password", "--passwd"])
        switch program {
        case "ipmitool": short = "-P"
        case "curl": (short, long) = ("-u", long + ["--user"])
        case _ where program.hasPrefix("fence_"): short = "-p"
        default: break
        }
        for argument in command.dropFirst() {
            if let short, argument.hasPrefix(short) { return short }
            if let found = long.first(where: { argument == $0 || argument.hasPrefix($0 + "=") }) { return found }
        }
        return nil
    }
}
