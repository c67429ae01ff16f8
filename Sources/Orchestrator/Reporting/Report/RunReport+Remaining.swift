import Planning

extension RunReport {
    /// What a finished replacement leaves to people, each as a whole sentence; empty where the run is not done and verified.
    public var remaining: [String] {
        guard status == 0 else { return [] }
        if let recovery { return remaining(recovery) }
        guard let plan else { return [] }
        let (old, new) = (plan.dead.host, plan.replacement.host)
        var remaining: [String] = []
        if old != new {
            remaining.append(
                "In the inventory, take \(old) out of the hosts and write 'role: master' for \(new): the next check and the next replacement go by it."
            )
            remaining.append(
                "The disk of \(old) may still hold its etcd member, its static pods and the VIP: leave it without power, or erase its disk before it is on this network again."
            )
        }
        if plan.ocboot != nil {
            remaining.append(
                "The cloud has records of its own. Where \(new) is to run servers, see it in 'climc host-list' and enable it: climc host-enable \(plan.replacement.node)."
                    + (old == new
                        ? ""
                        : " The record of \(old), and of the servers that ran there, stays until somebody decides about it.")
            )
        }
        return remaining
    }

    private func remaining(_ plan: RecoveryPlan) -> [String] {
        let names = plan.dead.map(\.host)
        return names.map { "Replace \($0): masterswap replace \($0) --with SPARE." } + [
            "The disks of \(names.joined(separator: " and ")) hold members of the old etcd and the VIP: leave them without power, or erase them before they are on this network again."
        ]
    }
}
