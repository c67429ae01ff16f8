package import Inventories
package import SSH

/// What makes a host a master on its own disk: its static pods, and keepalived among them.
package struct MasterTraits: Sendable, Hashable {
    /// The names of the files in the manifests' folder.
    package var manifests: Set<String>
    package var keepalived: HostFacts.Keepalived

    package init(manifests: Set<String>, keepalived: HostFacts.Keepalived) {
        self.manifests = manifests
        self.keepalived = keepalived
    }

    private static let operation = "look at the static pods' manifests"

    package static func command(_ distribution: Inventory.Distribution) -> Command {
        script(distribution).command(label: operation, timeout: .seconds(20))
    }

    private static func script(_ distribution: Inventory.Distribution) -> SectionedScript {
        var script = SectionedScript()
        // What the kubelet passes over, such as an editor's copy, begins with a dot, which the glob leaves out.
        script.section(
            "manifests",
            "cd \(distribution.manifestDirectory) || exit 1; for file in *; do [ -f \"$file\" ] && echo \"$file\"; done; true"
        )
        script.section("keepalived", HostProbe.readKeepalived(distribution))
        return script
    }

    /// - Throws: `SSHError`; ``ClusterError`` with `badOutput`.
    package static func look(_ distribution: Inventory.Distribution, on remote: any Remote) async throws -> Self {
        let script = script(distribution)
        let result = try await remote.run(script.command(label: operation, timeout: .seconds(20)))
        let sections = try script.parse(result, host: remote.name, operation: operation)
        // A host without the folder has none of them.
        return Self(
            manifests: Set(sections["manifests"]?.lines ?? []), keepalived: HostProbe.keepalived(sections["keepalived"])
        )
    }
}
