import Cluster
import Foundation
import Planning
import SSH

/// The survivor's own etcd, as the steps of a recovery look at it and run it.
struct SurvivorMember {
    let plan: RecoveryPlan
    let context: RunContext

    static let next = "go on with: masterswap resume"

    private var remote: any Remote { get throws { try context.remote(plan.survivor.host) } }
    var etcdctl: Etcdctl { get throws { Etcdctl(inContainerOn: try remote) } }

    func look() async throws -> SurvivorEtcd { try await SurvivorProbe.look(on: try remote) }

    /// Why it is not the only member; `nil` where it is, and leads itself.
    func whyNotAlone(_ etcd: SurvivorEtcd) -> String? {
        guard etcd.isRunning else { return "etcd does not run" }
        guard let status = etcd.status else { return "etcd does not answer: \(etcd.problems.joined(separator: "; "))" }
        guard etcd.members.map(\.id) == [plan.etcd.memberID] else {
            return "its members are \(etcd.members.map { "\($0.id) '\($0.name)'" }.joined(separator: ", "))"
        }
        return status.leader == plan.etcd.memberID ? nil : "it has no leader yet"
    }

    /// What the copy of the data holds; `nil` where there is none, or nothing could read it.
    var copied: EtcdDatabase? {
        FileManager.default.contents(atPath: "\(context.run.savedDirectory)/\(Self.copiedName)")
            .flatMap { try? EventCoding.decode(EtcdDatabase.self, from: $0) }
    }
    static let copiedName = "etcd-data.json"

    /// It is the same cluster, with all that the copy has.
    /// - Returns: what was compared.
    /// - Throws: ``ClusterError`` with `changed`.
    func compareData() async throws -> String {
        let status = try await etcdctl.ownStatus()
        func changed(_ cause: String) -> ClusterError {
            ClusterError(
                .changed, host: plan.survivor.host, operation: "compare etcd's data", cause: cause,
                advice:
                    "do nothing more to this cluster: the data of before is in \(context.run.savedDirectory), to be restored by hand"
            )
        }
        if let id = plan.etcd.clusterID, status.clusterID != id {
            throw changed("its cluster id is \(status.clusterID), and was \(id)")
        }
        guard let copied else { return "it is at revision \(status.revision)" }
        guard status.revision >= copied.revision else {
            throw changed("it is at revision \(status.revision), and the copy at \(copied.revision)")
        }
        return "it is at revision \(status.revision), the copy is at \(copied.revision)"
    }

    /// Gives the kubelet a manifest, at once: a file beside it, renamed into place.
    func write(_ manifest: EtcdManifest) async throws {
        try await remote.upload(Data(manifest.text.utf8), to: EtcdManifest.path, mode: 0o600)
    }

    /// What the kubelet has, or what was put aside.
    /// - Throws: ``ClusterError`` with `changed` where there is neither.
    func manifest(_ etcd: SurvivorEtcd) throws -> EtcdManifest {
        if let manifest = etcd.manifest ?? etcd.kept { return manifest }
        throw ClusterError(
            .changed, host: plan.survivor.host, operation: "read \(EtcdManifest.path)",
            cause: "it is not there, nor at \(EtcdManifest.keptPath)",
            advice:
                "put it back: it is in \(context.run.savedDirectory)/\(LocalFile.safeName(plan.survivor.host)).tar; then: masterswap resume"
        )
    }

    /// Moves one of the two paths to the other; where that is done already, nothing.
    func move(_ from: String, _ to: String) async throws {
        let result = try await remote.run(
            .script(
                #"[ ! -e "$1" ] || mv -f -- "$1" "$2""#, [from, to], timeout: .seconds(20),
                label: "mv \(from) \(to)"))
        guard result.succeeded else { throw failure("move \(from) to \(to)", result) }
    }

    func failure(_ operation: String, _ result: CommandResult) -> ClusterError {
        ClusterError(
            .commandFailed, host: plan.survivor.host, operation: operation,
            cause: "\(result.outcome): \(result.errorText.lastLines(2))", advice: Self.next)
    }

    /// The commands by which it is looked at, for a plan.
    static func looks(_ plan: RecoveryPlan) -> [String] { ["\(plan.survivor.host): \(SurvivorProbe.operation)"] }

    static func etcdctl(_ plan: RecoveryPlan, _ arguments: [String]) -> String {
        "\(plan.survivor.host): \(Etcdctl.label(arguments))"
    }
}
