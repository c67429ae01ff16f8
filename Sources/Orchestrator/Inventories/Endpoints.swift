import Foundation
public import SSH

extension Inventory {
    /// How each host is reached, by its name: by the inventory, and where that leaves something open, by the user's ssh_config.
    /// - Parameter sudoPassword: for hosts with `become: sudo`.
    public func endpoints(
        sudoPassword: Secret? = nil, configurations: UserConfigurations = UserConfigurations()
    ) async -> [String: Result<Endpoint, SSHError>] {
        await withTaskGroup(of: (String, Result<Endpoint, SSHError>).self) { group in
            for host in hosts {
                let draft = draft(of: host, sudoPassword: sudoPassword)
                group.addTask { (draft.name, await draft.resolved(configurations)) }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    package func draft(of host: Host, sudoPassword: Secret? = nil) -> EndpointDraft {
        var draft = draft(host.name, host.address, host.ssh)
        draft.become = host.ssh.become == .sudo ? .sudo(password: sudoPassword) : .none
        draft.jumps = jumps(host.ssh, seen: [host.name])
        return draft
    }

    private func draft(_ name: String, _ address: String, _ ssh: SSHSettings) -> EndpointDraft {
        var draft = EndpointDraft(
            name: name, host: address, port: ssh.port, user: ssh.user, identities: ssh.identity.map { [$0] },
            knownHosts: ssh.knownHosts.map { [$0] })
        draft.algorithms = ssh.algorithms ?? .current
        return draft
    }

    /// The one jump host that the settings name, with its own way before it; `nil` leaves the way to ssh_config.
    private func jumps(_ ssh: SSHSettings, seen: Set<String>) -> [EndpointDraft]? {
        guard let reference = ssh.jump else { return nil }
        if reference == SSHSettings.noJump { return [] }
        if let hop = host(named: reference) {
            // A circle is a mistake that the reader has refused.
            guard !seen.contains(hop.name) else { return [] }
            var draft = draft(hop.name, hop.address, hop.ssh)
            draft.jumps = jumps(hop.ssh, seen: seen.union([hop.name]))
            return [draft]
        }
        guard let hop = JumpReference.parse(reference) else { return [] }
        var settings = ssh
        settings.user = hop.user ?? settings.user
        settings.port = hop.port
        return [draft(reference, hop.host, settings)]
    }
}
