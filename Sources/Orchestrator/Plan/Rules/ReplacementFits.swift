import SSH

/// What a join needs of the new host, looked at before anything is taken away.
public enum ReplacementFits: SafetyRule {
    public static let id = "replacement-fits"
    public static let prevents = "finding out in the middle of the join that the new host cannot do it"

    /// A certificate made now must be valid on the new host, and etcd warns from a second on.
    static let clockLimit = 30.0
    /// kubelet's image garbage collection and etcd want room; less fails within the hour.
    static let freeKiB = 5 << 20

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        let state = proposal.state
        let host = proposal.replacement
        guard let facts = state.facts(host) else { return [] }
        var refusals: [Refusal] = []
        let reference = proposal.primary.flatMap { state.hosts[$0.host]?.facts?.clockOffset } ?? 0
        let offset = facts.clockOffset - reference
        if abs(offset) > clockLimit {
            refusals.append(
                refusal(
                    "the clock of \(host.name) is \(Int(offset)) s off the primary's",
                    advice: "set it there: chronyc makestep"))
        }
        for disk in facts.disks where disk.mount != "/tmp" && disk.availableKiB < freeKiB {
            refusals.append(
                refusal(
                    "\(host.name) has \(disk.availableKiB >> 10) MiB free on \(disk.mount)",
                    advice: "make room: 5 GiB at least"))
        }
        for (target, cause) in facts.unreachable.sorted(by: { $0.key < $1.key }) {
            refusals.append(
                refusal(
                    "\(host.name) cannot open a connection to \(target): \(cause)",
                    advice: "look at routes and firewalls between them"))
        }
        if let primary = proposal.primary, let cause = state.hosts[primary.host]?.facts?.deniedLogins[host.address] {
            refusals.append(
                refusal(
                    "\(primary.host) cannot log in to \(host.name) (\(host.address)) by SSH without a password, as ocboot will: \(cause)",
                    advice:
                        "run on \(primary.host): ssh-copy-id \(ShellQuoting.quote("\(host.ssh.user ?? "root")@\(host.address)"))"
                ))
        }
        return refusals
    }
}
