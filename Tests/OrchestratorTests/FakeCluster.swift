import Foundation
import SSH
import Synchronization

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// A cluster that answers kubectl and etcdctl from values, deletes by UID as the API server does, and writes down what was asked.
final class FakeCluster: Sendable {
    struct State: Sendable {
        var objects: KubernetesObjects
        var members: [EtcdMember]
        var configMap: ConfigMap?
        var asked: [String] = []
    }

    let state: Mutex<State>
    /// Answers what is neither kubectl's nor etcdctl's, and comes before both: the host's name and the command; `nil` passes on.
    let answer: @Sendable (String, Command) throws -> CommandResult?

    init(
        _ objects: KubernetesObjects, members: [EtcdMember] = [], configMap: ConfigMap? = nil,
        answer: @escaping @Sendable (String, Command) throws -> CommandResult? = { _, _ in nil }
    ) {
        state = Mutex(State(objects: objects, members: members, configMap: configMap))
        self.answer = answer
    }

    /// What was asked of whom, `HOST: COMMAND`.
    var asked: [String] { state.withLock(\.asked) }
    var objects: KubernetesObjects {
        get { state.withLock(\.objects) }
        set { state.withLock { $0.objects = newValue } }
    }
    var members: [EtcdMember] { state.withLock(\.members) }
    /// What was asked for that changes something.
    var acts: [String] {
        let signs = [
            " delete ", " patch ", " remove ", " annotate ", " cordon ", " uncordon ", " drain ", ": kubeadm reset",
            ": systemctl stop", ": stop the kubelet", ": start ", ": upload ", ": replace at once ",
        ]
        return asked.filter { line in !line.hasSuffix("--help") && signs.contains { line.contains($0) } }
    }

    func context(
        _ plan: Plan, in folder: TemporaryFolder, limits: RunContext.Limits = .init(), lock: ClusterLock? = nil,
        inventory: Inventory? = nil
    ) throws -> RunContext {
        RunContext(
            plan: plan, inventory: try inventory ?? RunbookCluster.inventory(),
            remotes: Remotes { Target(name: $0.name, cluster: self) },
            run: .init(id: "r", directory: folder.path), journal: try Journal(path: folder.path + "/journal.jsonl"),
            lock: lock, watch: nil, limits: limits, databasePassword: { Secret("x") }, emit: { _ in })
    }

    struct Target: Remote {
        let name: String
        let cluster: FakeCluster

        func run(_ command: Command) async throws -> CommandResult {
            cluster.state.withLock { $0.asked.append("\(name): \(command.display)") }
            if let answer = try cluster.answer(name, command) { return answer }
            let words = command.display.split(separator: " ").map(String.init)
            switch words.first {
            case "kubectl": return try cluster.kubectl(Array(words.dropFirst()), command.input)
            case "etcdctl": return try cluster.etcdctl(Array(words.dropFirst()))
            // Each master is like the others.
            case "look": return NewMasterTests.answer(command) ?? FakeCluster.output("")
            default: return FakeCluster.output("")
            }
        }
        func upload(_ contents: Data, to path: String, mode: UInt16) async throws {
            cluster.state.withLock { $0.asked.append("\(name): upload \(path)") }
        }
        func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {
            cluster.state.withLock { $0.asked.append("\(name): replace at once \(path)") }
        }
    }

    static func output(_ text: String) -> CommandResult {
        CommandResult(outcome: .exited(0), standardOutput: Data(text.utf8))
    }
    static func failure(_ text: String) -> CommandResult {
        CommandResult(outcome: .exited(1), standardError: Data(text.utf8))
    }

    private func kubectl(_ words: [String], _ input: Data?) throws -> CommandResult {
        if words.first == "delete" { return delete(words[2], input) }
        guard words.first == "get" else { return Self.output("") }
        let namespace = words.firstIndex(of: "-n").map { words[$0 + 1] }
        let objects = objects
        func one(_ found: (some KubernetesObject)?) throws -> CommandResult {
            guard let found else { return Self.failure("Error from server (NotFound): \(words[1]) not found") }
            return CommandResult(outcome: .exited(0), standardOutput: try JSONEncoder().encode(found))
        }
        func list(_ found: [some KubernetesObject]) throws -> CommandResult {
            CommandResult(outcome: .exited(0), standardOutput: try JSONEncoder().encode(["items": found]))
        }
        if words[1].contains("/") { return try several(words.dropFirst().filter { $0.contains("/") }, namespace) }
        switch words[1] {
        case KubernetesObjects.kinds: return try all()
        case "node": return try one(objects.node(words[2]))
        case "nodes": return try list(objects.nodes)
        case "pods":
            let selector = words.first { $0.hasPrefix("spec.nodeName=") }?.dropFirst("spec.nodeName=".count)
            return try list(
                objects.pods.filter {
                    (namespace == nil || $0.namespace == namespace)
                        && (selector == nil || $0.nodeName == selector.map(String.init))
                })
        case "pod": return try one(objects.pods.first { $0.namespace == namespace && $0.name == words[2] })
        case "statefulset":
            return try one(objects.statefulSets.first { $0.namespace == namespace && $0.name == words[2] })
        case "deployment":
            return try one(objects.deployments.first { $0.namespace == namespace && $0.name == words[2] })
        case "persistentvolumes": return try list(objects.volumes)
        case "persistentvolumeclaims":
            return try list(objects.claims.filter { namespace == nil || $0.namespace == namespace })
        case "persistentvolumeclaim": return try one(objects.claim(namespace ?? "", words[2]))
        case "persistentvolume": return try one(objects.volume(words[2]))
        case "configmap": return try one(state.withLock(\.configMap))
        default: return Self.failure("the fake knows no \(words[1])")
        }
    }

    /// The kinds that are asked for together, as far as a cluster here has them.
    private func all() throws -> CommandResult {
        let objects = objects
        func items(_ kind: String, _ all: [some KubernetesObject & Encodable]) throws -> [String] {
            try all.map {
                #"{"kind":"\#(kind)","# + String(decoding: try JSONEncoder().encode($0), as: UTF8.self).dropFirst()
            }
        }
        let found =
            try items("Node", objects.nodes) + items("Pod", objects.pods) + items("PersistentVolume", objects.volumes)
            + items("PersistentVolumeClaim", objects.claims) + items("StatefulSet", objects.statefulSets)
            + items("Deployment", objects.deployments)
        return Self.output(#"{"kind":"List","items":[\#(found.joined(separator: ","))]}"#)
    }

    /// `get KIND/NAME… --ignore-not-found`: a List, the object alone where one was asked for, or nothing.
    private func several(_ names: [String], _ namespace: String?) throws -> CommandResult {
        let objects = objects
        var found: [Data] = []
        for name in names {
            let parts = name.split(separator: "/").map(String.init)
            func add(_ all: [some KubernetesObject & Encodable]) throws {
                let matching = all.filter {
                    $0.name == parts[1] && ($0.metadata.namespace == nil || $0.namespace == namespace)
                }
                found += try matching.map { try JSONEncoder().encode($0) }
            }
            switch parts[0] {
            case "node": try add(objects.nodes)
            case "pod": try add(objects.pods)
            case "deployment": try add(objects.deployments)
            case "statefulset": try add(objects.statefulSets)
            case "persistentvolumeclaim": try add(objects.claims)
            case "persistentvolume": try add(objects.volumes)
            default: return Self.failure("the fake knows no \(parts[0])")
            }
        }
        if found.isEmpty { return Self.output("") }
        let items = found.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ",")
        return Self.output(names.count == 1 ? items : #"{"kind":"List","items":[\#(items)]}"#)
    }

    private func delete(_ path: String, _ input: Data?) -> CommandResult {
        state.withLock { state in
            func isIt(_ object: some KubernetesObject, _ kind: ObjectReference.Kind) -> Bool {
                ObjectReference(kind, object).apiPath == path
                    && String(decoding: input ?? Data(), as: UTF8.self).contains(#""uid":"\#(object.uid)""#)
            }
            state.objects.nodes.removeAll { isIt($0, .node) }
            state.objects.pods.removeAll { isIt($0, .pod) }
            state.objects.volumes.removeAll { isIt($0, .volume) }
            // A claim that a pod on a node mounts stays until that pod is gone.
            let pods = state.objects.pods
            for index in state.objects.claims.indices where isIt(state.objects.claims[index], .claim) {
                state.objects.claims[index].metadata.deletionTimestamp = "2022-04-13T09:00:00Z"
            }
            state.objects.claims.removeAll { claim in
                claim.metadata.deletionTimestamp != nil
                    && !pods.contains {
                        $0.nodeName != nil && $0.namespace == claim.namespace && $0.spec.claimNames.contains(claim.name)
                    }
            }
            return Self.output("")
        }
    }

    private struct MemberList: Encodable {
        struct Member: Encodable {
            var id: UInt64
            var name: String
            var peerURLs: [String]
            var clientURLs: [String]

            enum CodingKeys: String, CodingKey {
                case id = "ID"
                case name, peerURLs, clientURLs
            }
        }
        var members: [Member]
    }

    private func etcdctl(_ words: [String]) throws -> CommandResult {
        try state.withLock { state in
            switch (words[0], words[1]) {
            case ("member", "list"):
                let list = MemberList(
                    members: state.members.map {
                        .init(
                            id: UInt64($0.id, radix: 16) ?? 0, name: $0.name, peerURLs: $0.peerURLs,
                            clientURLs: $0.clientURLs)
                    })
                return CommandResult(outcome: .exited(0), standardOutput: try JSONEncoder().encode(list))
            case ("alarm", "list"): return Self.output("{}")
            case ("member", "remove"):
                state.members.removeAll { $0.id == words[2] }
                return Self.output("")
            default:
                return Self.output(
                    state.members.filter(\.isHealthy).flatMap(\.clientURLs).map { "\($0) is healthy: ok" }
                        .joined(separator: "\n"))
            }
        }
    }
}

/// Set and cleared from wherever.
final class Flag: Sendable {
    private let value = Mutex(false)
    var isSet: Bool { value.withLock { $0 } }
    func set() { value.withLock { $0 = true } }
    func clear() { value.withLock { $0 = false } }
}

extension FakeCluster {
    /// The output of a `SectionedScript`, each section with what is given for it; `nil` where the command is none.
    /// - Parameter isComplete: a section for which nothing is given printed nothing and succeeded; else it failed.
    static func sections(_ command: Command, _ texts: [String: String], isComplete: Bool = true) -> CommandResult? {
        guard let script = command.arguments.dropFirst(2).first else { return nil }
        let marks = script.matches(of: /@([0-9a-f]{16}) %s %d\\n' '?([^ ']+)/)
        guard let nonce = marks.first?.1 else { return nil }
        let end = "end-of-script"
        let names = Array(uniqued: marks.map { String($0.2) }.filter { $0 != end })
        let parts = names.map { "\(texts[$0] ?? "")\n@\(nonce) \($0) \(texts[$0] == nil && !isComplete ? 1 : 0)\n" }
        return output(parts.joined() + "\n@\(nonce) \(end) 0\n")
    }
}
