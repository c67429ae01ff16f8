import Foundation
public import SSH

extension Inventory {
    /// How each host is reached, by its name: by the inventory, and where that leaves something open, by the user's ssh_config.
    /// - Parameter sudoPassword: for hosts with `become: sudo`.
    public func endpoints(sudoPassword: Secret? = nil) async -> [String: Result<Endpoint, SSHError>] {
        var endpoints: [String: Result<Endpoint, SSHError>] = [:]
        var open: [EndpointDraft] = []
        for host in hosts {
            let draft = draft(of: host, sudoPassword: sudoPassword)
            if draft.isOpen { open.append(draft) } else { endpoints[host.name] = .success(draft.endpoint(nil)) }
        }
        // Asking ssh(1) costs a process a host; nothing is asked where nothing is open.
        await withTaskGroup(of: (String, Result<Endpoint, SSHError>).self) { group in
            for draft in open { group.addTask { (draft.name, await draft.resolved()) } }
            for await (name, endpoint) in group { endpoints[name] = endpoint }
        }
        return endpoints
    }

    func draft(of host: Host, sudoPassword: Secret? = nil) -> EndpointDraft {
        var draft = EndpointDraft(
            name: host.name, host: host.address, port: host.ssh.port, user: host.ssh.user,
            identities: host.ssh.identity.map { [$0] }, knownHosts: host.ssh.knownHosts.map { [$0] },
            become: host.ssh.become == .sudo ? .sudo(password: sudoPassword) : .none)
        if host.ssh.jump != nil { draft.jumps = jumps(to: host) }
        return draft
    }

    /// Outermost first. An inventory host used as a jump may have one itself; a circle ends where it closes.
    private func jumps(to host: Host) -> [Endpoint] {
        var jumps: [Endpoint] = []
        var seen: Set<String> = [host.name]
        var next = host.ssh.jump
        while let reference = next, seen.insert(reference).inserted {
            if let hop = self.host(named: reference) {
                jumps.insert(plainEndpoint(hop.name, hop.address, hop.ssh), at: 0)
                next = hop.ssh.jump
            } else if let hop = JumpReference.parse(reference) {
                var settings = host.ssh
                settings.user = hop.user ?? settings.user
                settings.port = hop.port
                jumps.insert(plainEndpoint(reference, hop.host, settings), at: 0)
                next = nil
            }
        }
        return jumps
    }

    private func plainEndpoint(_ name: String, _ address: String, _ ssh: SSHSettings) -> Endpoint {
        EndpointDraft(
            name: name, host: address, port: ssh.port, user: ssh.user, identities: ssh.identity.map { [$0] },
            knownHosts: ssh.knownHosts.map { [$0] }
        ).endpoint(nil)
    }
}

extension EndpointDraft {
    /// Whether ssh_config could still say something.
    fileprivate var isOpen: Bool { user == nil || identities == nil || knownHosts == nil }
}
