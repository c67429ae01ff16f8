import Yams

/// What only the whole of an inventory shows: addresses used twice, no master, a jump host that is not there.
struct InventoryWhole {
    let inventory: Inventory
    /// Where each host stands in the file.
    let root: StrictMapping
    let problems: ProblemList

    func check() {
        let hostsNode = root.value("hosts")
        func node(of host: Inventory.Host) -> YAMLNode? { hostsNode?[host.name] }
        var byName: [String: String] = [:]
        var byAddress: [String: String] = [:]
        var byNode: [String: String] = [:]
        for host in inventory.hosts {
            if let name = host.node {
                if let other = byNode[name] {
                    problems.add(
                        node(of: host), "hosts.\(host.name): \(other) is the node \(name) already",
                        fix: "correct one of the two, or take it out")
                }
                byNode[name] = host.name
            }
            // Nodes' names are in lower case: one of the two would be taken for the other.
            if let other = byName[host.name.lowercased()] {
                problems.add(
                    node(of: host), "hosts.\(host.name): differs from \(other) by upper and lower case only",
                    fix: "give one of the two another name, or take it out")
            }
            byName[host.name.lowercased()] = host.name
            if let other = byAddress[host.address] {
                problems.add(
                    node(of: host), "hosts.\(host.name): \(other) has the address \(host.address) already",
                    fix: "correct one of the two, or take it out")
            }
            byAddress[host.address] = host.name
            if host.address == inventory.cluster.vip {
                problems.add(
                    node(of: host), "hosts.\(host.name): \(host.address) is the VIP, not a host's own address",
                    fix: "write the address that stays with the host: kubectl get nodes -o wide")
            }
            if let jump = host.ssh.jump, !JumpReference.isValid(jump, in: inventory) {
                problems.add(
                    node(of: host),
                    "hosts.\(host.name): jump '\(jump)' is neither an inventory host nor user@host:port",
                    fix: "write a name of this file, user@host:port, or 'none' for a direct connection")
            }
            if host.ssh.jump == host.name {
                problems.add(
                    node(of: host), "hosts.\(host.name): jumps through itself", fix: "write 'jump: none' for that host")
            } else if let way = circle(of: host) {
                problems.add(
                    node(of: host),
                    "hosts.\(host.name): the jump hosts go round in a circle: \(way.joined(separator: ", "))",
                    fix: "write 'jump: none' for the one of them that is reached directly")
            }
        }
        if inventory.masters.isEmpty, hostsNode != nil {
            problems.add(
                hostsNode, "hosts: no host has 'role: master'",
                fix: "write 'role: master' for each master of the cluster")
        }
    }

    /// The jump hosts from a host on, where they lead back to it.
    private func circle(of host: Inventory.Host) -> [String]? {
        var way = [host.name]
        var next = host.ssh.jump.flatMap { inventory.host(named: $0) }
        while let hop = next, way.count <= inventory.hosts.count {
            way.append(hop.name)
            if hop.name == host.name { return way }
            next = hop.ssh.jump.flatMap { inventory.host(named: $0) }
        }
        return nil
    }
}
