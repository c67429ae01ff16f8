import Execution
import Planning

extension RunReport {
    /// What a finished replacement leaves to people, each as a whole sentence; empty where the run is not done and verified.
    public var remaining: [String] {
        guard status == 0 else { return [] }
        if let recovery { return remaining(recovery) }
        guard let plan else { return [] }
        let (old, new) = (plan.dead.host, plan.replacement.host)
        var remaining = passedOver(plan)
        if old != new, inventoryUpdate == nil {
            remaining.append(
                "In the inventory, take \(old) out of the hosts and write 'role: master' for \(new): the next check and the next replacement go by it (another time: --update-inventory)."
            )
        }
        if old != new, steps.contains(where: { $0.outcome == .passedOver && plan.isOfData($0.id) }) {
            remaining.append(
                "Keep the disk of \(old) as it is, and leave it without power, until what was passed over is whole: it may hold the last copy."
            )
        } else if old != new {
            remaining.append(
                "The disk of \(old) may still hold its etcd member, its static pods and the VIP: leave it without power, or erase its disk before it is on this network again."
            )
        }
        if plan.ocboot != nil { remaining += cloudRecords(plan) }
        return remaining
    }

    private func passedOver(_ plan: Plan) -> [String] {
        let passed = Set(steps.filter { $0.outcome == .passedOver }.map(\.id))
        return ReplacementSteps.make(plan).filter { passed.contains($0.id) }.map { step in
            "'\(step.title)' was passed over; what that leaves: \(step.leftUndone ?? "all of it")."
        }
    }

    /// What the cloud knows of its hosts is in its own database, which no join writes but for the new host's registration.
    private func cloudRecords(_ plan: Plan) -> [String] {
        let (old, new) = (plan.dead.node, plan.replacement.node)
        var records = [
            "The cloud registers a new host as disabled. Where \(new) is to run servers, see it: climc host-list --search \(new); and enable it: climc host-enable \(new)."
        ]
        guard old != new else { return records }
        records.append(
            "The cloud's record of \(old), and of the servers that ran there, stays until somebody decides about it: climc host-list --search \(old); climc server-list --host \(old) --system."
        )
        records.append(
            "OVN may still have the chassis of \(old); by its hostname it is in: kubectl -n onecloud exec deployment/default-ovn-north -- ovn-sbctl show; once nothing of \(old) is to come back, ovn-sbctl chassis-del takes it out."
        )
        return records
    }

    private func remaining(_ plan: RecoveryPlan) -> [String] {
        let names = plan.dead.map(\.host)
        return names.map { "Replace \($0): masterswap replace \($0) --with SPARE." } + [
            "The disks of \(names.joined(separator: " and ")) hold members of the old etcd and the VIP: leave them without power, or erase them before they are on this network again."
        ]
    }
}
