import Foundation
public import SSH

extension Inventory {
    /// How a host is reached, by the inventory; what it leaves open has OpenSSH's defaults.
    /// - Parameter sudoPassword: for hosts with `become: sudo`.
    public func endpoint(of host: Host, sudoPassword: Secret? = nil) -> Endpoint {
        var jumps: [Endpoint] = []
        var seen: Set<String> = [host.name]
        var next = host.ssh.jump
        // An inventory host used as a jump may have one itself; a circle ends where it closes.
        while let reference = next, seen.insert(reference).inserted {
            if let hop = self.host(named: reference) {
                jumps.insert(plainEndpoint(hop.name, hop.address, hop.ssh, sudoPassword), at: 0)
                next = hop.ssh.jump
            } else if let hop = JumpReference.parse(reference) {
                var settings = host.ssh
                settings.user = hop.user ?? settings.user
                settings.port = hop.port
                jumps.insert(plainEndpoint(reference, hop.host, settings, nil), at: 0)
                next = nil
            }
        }
        var endpoint = plainEndpoint(host.name, host.address, host.ssh, sudoPassword)
        endpoint.jumps = jumps
        return endpoint
    }

    private func plainEndpoint(_ name: String, _ address: String, _ ssh: SSHSettings, _ sudoPassword: Secret?)
        -> Endpoint
    {
        func expand(_ path: String) -> String { (path as NSString).expandingTildeInPath }
        return Endpoint(
            name: name, host: address, port: ssh.port ?? 22, user: ssh.user ?? NSUserName(),
            identities: ssh.identity.map { [expand($0)] } ?? [],
            knownHosts: ssh.knownHosts.map { [expand($0)] } ?? [
                expand("~/.ssh/known_hosts"), "/etc/ssh/ssh_known_hosts",
            ],
            become: ssh.become == .sudo ? .sudo(password: sudoPassword) : .none)
    }
}
