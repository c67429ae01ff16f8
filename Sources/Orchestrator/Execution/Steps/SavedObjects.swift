import Cluster
import Foundation
import Planning

/// The manifests of what a plan deletes, as they are before anything is touched: each object in a file of its own, to make it again by
/// hand.
struct SavedObjects: Sendable {
    let plan: Plan

    /// In the run's folder of saved things.
    static let folder = "objects"
    /// Says of every object which file it is in, or that it was not there any more; written last.
    static let index = folder + "/index.txt"

    /// By name and UID: the nodes, the claims with their volumes, the sets and deployments around them, the pods that nothing
    /// recreates, and the volumes.
    private var planned: [ObjectReference] {
        var objects = plan.dead.uid.map { [ObjectReference(.node, name: plan.dead.node, uid: $0)] } ?? []
        objects += [plan.failedJoin?.node, plan.failedJoin?.password].compactMap(\.self)
        for rebuild in plan.rebuilds {
            objects.append(
                ObjectReference(
                    rebuild.kind == .deployment ? .deployment : .statefulSet, namespace: rebuild.namespace,
                    name: rebuild.name, uid: rebuild.uid))
            objects += rebuild.claims.flatMap { [$0.claim, $0.volume] }
        }
        return Array(uniqued: objects + plan.lostPods + plan.volumes)
    }

    /// One question for each namespace, and one for what has none: a cluster answers each in about a second.
    private var questions: [(objects: [ObjectReference], arguments: [String])] {
        let groups = Dictionary(grouping: planned) { $0.namespace ?? "" }
        return groups.sorted { $0.key < $1.key }.map { namespace, objects in
            let names = objects.map { "\($0.kind.rawValue)/\($0.name)" }
            let scope = namespace.isEmpty ? [] : ["-n", namespace]
            return (objects, ["get"] + names + scope + ["--ignore-not-found", "-o", "json"])
        }
    }

    /// The rebuilt sets' pods and all others on the dead node are evicted, or deleted with it.
    private var podsArguments: [String] {
        ["get", "pods", "-A", "--field-selector", "spec.nodeName=\(plan.dead.node)", "-o", "json"]
    }

    func commands() -> [String] {
        questions.map { plan.kubectl($0.arguments) } + [plan.kubectl(podsArguments)]
    }

    /// Objects of the plan that are not saved; a resume may have more of them than the run began with.
    func missing(in saved: String) -> [ObjectReference] {
        guard let index = FileManager.default.contents(atPath: "\(saved)/\(Self.index)") else {
            return planned
        }
        let known = Set(String(decoding: index, as: UTF8.self).split(separator: "\n").map(String.init))
        return planned.filter { object in
            !known.contains { $0.hasPrefix("\(object): ") }
        }
    }

    /// - Parameter write: keeps a file, named relative to the folder of saved things.
    func save(_ kubectl: Kubectl, into saved: String, write: (_ data: Data, _ name: String) throws -> Void) async throws
    {
        let missing = Set(missing(in: saved))
        guard !missing.isEmpty else { return }
        var lines =
            FileManager.default.contents(atPath: "\(saved)/\(Self.index)").map {
                String(decoding: $0, as: UTF8.self).split(separator: "\n").map(String.init)
            } ?? []
        for question in questions where question.objects.contains(where: missing.contains) {
            let items = try Self.items(try await kubectl.run(question.arguments), host: kubectl.host)
            for object in question.objects where missing.contains(object) {
                // A successor of the same name is not what is deleted.
                guard let data = items[object.uid] else {
                    lines.append("\(object): was not there any more")
                    continue
                }
                let name = [object.kind.rawValue, object.namespace, object.name].compactMap { $0 }.joined(
                    separator: ".")
                try write(data, "\(Self.folder)/\(name).json")
                lines.append("\(object): \(name).json")
            }
        }
        if lines.allSatisfy({ !$0.hasPrefix("pods of ") }) {
            let name = "pods-of-\(plan.dead.node).json"
            try write(try await kubectl.run(podsArguments), "\(Self.folder)/\(name)")
            lines.append("pods of \(plan.dead.node): \(name)")
        }
        try write(Data((lines.joined(separator: "\n") + "\n").utf8), Self.index)
    }

    /// The objects of an answer by their UIDs: kubectl prints a List, the object alone where one was asked for, or nothing.
    private static func items(_ data: Data, host: String) throws -> [String: Data] {
        guard !data.isEmpty else { return [:] }
        do {
            guard let answer = try JSONSerialization.jsonObject(with: data) as? [String: Any] else {
                throw NotAnObject()
            }
            let items = answer["items"] as? [[String: Any]] ?? [answer]
            var found: [String: Data] = [:]
            for item in items {
                guard let uid = (item["metadata"] as? [String: Any])?["uid"] as? String else { throw NotAnObject() }
                found[uid] = try JSONSerialization.data(
                    withJSONObject: item, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
            }
            return found
        } catch {
            throw ClusterError(
                .badOutput, host: host, operation: "save the objects that are to be deleted",
                cause: "kubectl's JSON cannot be read",
                advice:
                    "nothing was changed; run kubectl get there by hand and look at what it prints, then: masterswap resume"
            )
        }
    }

    private struct NotAnObject: Error {}
}
