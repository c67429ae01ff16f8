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

    /// Right before an act that cuts the others off for good: since the plan was made a majority may have come back, and masters may
    /// have joined. An etcd that an earlier part of the run has stopped is started again for it, as it was.
    /// - Throws: ``ClusterError`` with `changed`.
    func assertNoMajority() async throws {
        let stopped = try await look()
        if stopped.manifest == nil, stopped.kept != nil { try await move(EtcdManifest.keptPath, EtcdManifest.path) }
        let etcd = try await context.wait(
            for: "etcd on \(plan.survivor.host) to tell its members", limit: .seconds(300)
        ) { () -> RunContext.Poll<SurvivorEtcd> in
            let etcd = try await SurvivorProbe.run(on: try remote)
            return etcd.members.isEmpty ? .pending(etcd.problems.last ?? "it does not run") : .done(etcd)
        }
        if let why = plan.objection(to: etcd) {
            throw ClusterError(
                .changed, host: plan.survivor.host, operation: "see that etcd has no majority", cause: why,
                advice: "this run has come to its end: look at the cluster: masterswap check")
        }
    }

    /// Whether this part of the run, since it was begun or resumed, has seen that there is no majority.
    var hasLooked: Bool {
        get throws {
            let events = try context.run.events()
            let part = events.lastIndex { $0.event == .runStarted }.map { events[$0...] } ?? events[...]
            // It is the first thing that this step does.
            return part.contains { $0.event == .stepBegan && $0.step == CopyDataStep.stepID }
        }
    }

    func events(of step: String, _ names: Set<Event.Name>) throws -> Bool {
        try context.run.events().contains { names.contains($0.event) && $0.step == step }
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
