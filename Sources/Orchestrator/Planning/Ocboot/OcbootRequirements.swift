package import Cluster
package import Inventories

/// What ocboot asks of every host that it names before it does anything, survivors among them; where one does not have it, the whole
/// run ends (its role utils/misc-check, and common).
package enum OcbootRequirements {
    /// - Returns: what the host lacks, as phrases; empty also where that could not be read.
    package static func unmet(
        _ facts: HostFacts, _ row: OcbootRelease, isNew: Bool, distribution: Inventory.Distribution
    ) -> [String] {
        let machine = facts.machine
        var unmet: [String] = []
        if let processors = machine.processors, processors < row.processors {
            unmet.append("has \(processors) processors, ocboot \(row.name) wants \(row.processors)")
        }
        // As ocboot rounds it.
        if let memory = machine.memoryKiB, (memory + (1 << 19)) >> 20 < row.memoryGiB {
            unmet.append("has \(memory >> 10) MiB of memory, ocboot \(row.name) wants \(row.memoryGiB) GiB")
        }
        let name = facts.hostname.lowercased()
        // That of a new host is refused by a rule of its own, whatever joins it.
        if (!isNew && name.hasPrefix("localhost")) || (row.refusesNamesWithADigitFirst && name.first?.isNumber == true)
        {
            unmet.append("is called \(facts.hostname), which ocboot \(row.name) refuses")
        }
        if !row.systems.isEmpty, let id = machine.systemID?.lowercased(),
            let version = machine.systemVersion?.lowercased()
        {
            let known = row.systems[id]
            let major = version.prefix { $0 != "." }
            if known.map({ !$0.isEmpty && !$0.contains(String(major)) }) ?? true {
                let wanted =
                    known.map { "\(id) \($0.joined(separator: " or "))" }
                    ?? row.systems.keys.sorted().joined(separator: ", ")
                unmet.append("runs \(id) \(version), and ocboot \(row.name) takes \(wanted)")
            }
        }
        if row.needsOldCgroups, let system = machine.systemID, ["debian", "ubuntu"].contains(system),
            let arguments = machine.kernelArguments, !arguments.contains("systemd.unified_cgroup_hierarchy=0")
        {
            unmet.append(
                "was not started with systemd.unified_cgroup_hierarchy=0, as ocboot \(row.name) wants it on \(system)")
        }
        if isNew, distribution.bringsRuntime, let runtimes = facts.runtimes, !runtimes.isEmpty {
            unmet.append(
                "runs \(runtimes.joined(separator: " and ")), and k3s brings a container runtime of its own: Cloudpods wants a machine without one"
            )
        }
        return unmet
    }

    /// The hosts that ocboot will name in a replacement: the new one, the primary, and with some kinds every other survivor.
    package static func hosts(_ input: PlanningInput) -> [Inventory.Host] {
        let inventory = input.state.inventory
        let survivors =
            inventory.cluster.distribution.ocbootNamesEveryMaster
            ? input.survivors : [input.primary].compactMap(\.self)
        return [input.replacement] + survivors.compactMap { inventory.host(named: $0.host) }
    }
}
