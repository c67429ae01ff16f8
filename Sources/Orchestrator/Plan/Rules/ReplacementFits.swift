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
        refusals += clock(facts, host, proposal)
        if facts.disks == nil {
            refusals.append(
                refusal("the free space on \(host.name) could not be read", advice: "run there: df -Pk / /var/lib"))
        }
        for disk in facts.disks ?? [] where disk.mount != "/tmp" && disk.availableKiB < freeKiB {
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
                    advice: "run on \(primary.host): ssh-copy-id \(host.ssh.user ?? "root")@\(host.address)"))
        }
        return refusals
    }

    /// Compared with the primary's, whose certificates it will be shown.
    private static func clock(_ facts: HostFacts, _ host: Inventory.Host, _ proposal: Proposal) -> [Refusal] {
        guard let primary = proposal.primary, let reference = proposal.state.hosts[primary.host]?.facts else {
            return []
        }
        let clocks = [(host.name, facts.clockOffset), (primary.host, reference.clockOffset)]
        if let (name, _) = clocks.first(where: { $0.1 == nil }) {
            return [refusal("the clock of \(name) could not be read", advice: "run there: date +%s.%N")]
        }
        let offset = (facts.clockOffset ?? 0) - (reference.clockOffset ?? 0)
        guard abs(offset) > clockLimit else { return [] }
        return [
            refusal(
                "the clock of \(host.name) is \(Int(offset)) s off the primary's",
                advice: "set it there: chronyc makestep"
            )
        ]
    }
}
