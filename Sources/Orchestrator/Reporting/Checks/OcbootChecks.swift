import Cluster
import Inventories
import Planning

/// What would stop ocboot in the night of a replacement: on the primary, where it is run, and on every host that it would name.
enum OcbootChecks {
    static func findings(_ state: ClusterState) -> [CheckReport.Finding] {
        guard let ocboot = state.inventory.ocboot, let primary = state.primary, let seen = state.facts(primary) else {
            return []
        }
        guard let facts = seen.ocboot else {
            return [
                .init(
                    code: .ocbootCannotRun, severity: .warning, subject: primary.name,
                    text: "ocboot's directory \(ocboot.directory) is not there, or could not be read",
                    advice: "put the ocboot of release \(ocboot.onecloudVersion) there, or set ocboot.directory")
            ]
        }
        do throws(OcbootInvocation.Obstacle) {
            _ = try OcbootInvocation(
                ocboot, facts, distribution: state.inventory.cluster.distribution,
                product: state.cluster.cloud.product)
        } catch {
            return [
                .init(
                    code: .ocbootCannotRun, severity: .warning, subject: primary.name,
                    text: "ocboot cannot be used: \(error.reason)", advice: error.advice)
            ]
        }
        guard let row = facts.release.flatMap({ OcbootRelease.find($0, hasK3s: facts.hasK3s) }) else { return [] }
        return hosts(state, primary).flatMap { host -> [CheckReport.Finding] in
            guard let facts = state.facts(host) else { return [] }
            return OcbootRequirements.unmet(
                // A spare that was joined, and is called one in the inventory still, is new no more.
                facts, row, isNew: host.role == .spare && state.node(of: host) == nil,
                distribution: state.inventory.cluster.distribution
            ).map { what in
                .init(
                    code: .unsuitableForOcboot, severity: .warning, subject: host.name, text: what,
                    advice:
                        "ocboot ends where a host that it names is like that: change it before a master has to be replaced"
                )
            }
        }
    }

    /// Those that it would name if a master were replaced now.
    private static func hosts(_ state: ClusterState, _ primary: Inventory.Host) -> [Inventory.Host] {
        let masters =
            state.inventory.cluster.distribution.ocbootNamesEveryMaster
            ? state.liveMasters : [primary]
        return masters + state.inventory.hosts.filter { $0.role == .spare && state.node(of: $0) == nil }
    }
}
