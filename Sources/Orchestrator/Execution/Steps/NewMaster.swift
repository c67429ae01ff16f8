import Cluster
import Inventories
import Planning

/// Whether the new master is one like the others: what ocboot may have left out, be it that it failed half-way or that it ended well
/// without all of it. A node may be Ready long before.
struct NewMaster {
    let plan: Plan

    /// Something that the other masters have.
    struct Lack: Sendable, Hashable, CustomStringConvertible {
        var description: String
        /// What to do by hand.
        var remedy: String
    }

    // MARK: What lasts: labels, taints, files

    /// - Parameter node: the new one.
    func lacks(_ node: Node, _ context: RunContext) async throws -> [Lack] {
        let nodes = try await context.kubectl().list(Node.self, ["nodes"])
        let others = plan.survivors.compactMap { survivor in nodes.first { $0.name == survivor.node } }
        let distribution = context.distribution
        let own = try await MasterTraits.look(distribution, on: try context.remote(plan.replacement.host))
        // Each survivor may have a static pod of its own; what all of them have belongs to a master.
        var traits: [(host: String, traits: MasterTraits)] = []
        for survivor in plan.survivors {
            traits.append(
                (survivor.host, try await MasterTraits.look(distribution, on: try context.remote(survivor.host))))
        }
        return labels(node, others) + taints(node, others) + manifests(own, traits, distribution)
            + keepalived(own, traits, distribution)
    }

    /// The roles that all the others have. What else an administrator may have labelled them with, no join gives.
    func labels(_ node: Node, _ others: [Node]) -> [Lack] {
        shared(others).filter { isRole($0.key) && node.metadata.labels?[$0.key] != $0.value }.map {
            let label = "\($0.key)=\($0.value)"
            return Lack(description: "the label \(label)", remedy: "kubectl label node \(node.name) \(label)")
        }
    }

    /// Labels that all the others have, that are no roles, and that it does not have.
    func furtherLabels(_ node: Node, _ others: [Node]) -> [String] {
        shared(others).filter { !isRole($0.key) && node.metadata.labels?[$0.key] == nil }.map {
            "\($0.key)=\($0.value)"
        }
    }

    private func shared(_ others: [Node]) -> [(key: String, value: String)] {
        guard let first = others.first?.metadata.labels else { return [] }
        return first.filter { label in others.allSatisfy { $0.metadata.labels?[label.key] == label.value } }
            .sorted { $0.key < $1.key }
    }

    private func isRole(_ label: String) -> Bool {
        label.hasPrefix("node-role.kubernetes.io/") || label == OcbootConfiguration.controllerLabel
            || label == OcbootConfiguration.hostLabel
                && plan.ocboot.flatMap { OcbootConfiguration.joinsAsHost($0.configuration) } == true
    }

    /// Those of a condition come and go with it.
    func taints(_ node: Node, _ others: [Node]) -> [Lack] {
        func lasting(_ node: Node) -> Set<Node.Taint> {
            Set((node.spec?.taints ?? []).filter { !$0.key.hasPrefix("node.kubernetes.io/") })
        }
        guard let first = others.first else { return [] }
        let own = lasting(node)
        let shared = others.map(lasting).reduce(lasting(first)) { $0.intersection($1) }
        let known = others.reduce(into: Set<Node.Taint>()) { $0.formUnion(lasting($1)) }
        let missing = shared.subtracting(own).map {
            Lack(description: "the taint \($0)", remedy: "kubectl taint node \(node.name) \($0)")
        }
        let foreign = own.subtracting(known).map {
            Lack(
                description: "freedom from the taint \($0), which no other master has",
                remedy: "kubectl taint node \(node.name) \($0)-")
        }
        return (missing + foreign).sorted { $0.description < $1.description }
    }

    func manifests(
        _ own: MasterTraits, _ others: [(host: String, traits: MasterTraits)], _ distribution: Inventory.Distribution
    ) -> [Lack] {
        guard let first = others.first else { return [] }
        let shared = others.reduce(first.traits.manifests) { $0.intersection($1.traits.manifests) }
        return shared.subtracting(own.manifests).sorted().map {
            let file = "\(distribution.manifestDirectory)/\($0)"
            return Lack(
                description: "the static pod's manifest \(file)",
                remedy:
                    "write \(file) on \(plan.replacement.host), after that of \(first.host) and with its own addresses")
        }
    }

    /// It hears the others' keepalived, and is none of their masters.
    func keepalived(
        _ own: MasterTraits, _ others: [(host: String, traits: MasterTraits)], _ distribution: Inventory.Distribution
    ) -> [Lack] {
        let file = distribution.keepalivedManifest
        let known = others.compactMap { other -> (host: String, manifest: KeepalivedManifest)? in
            if case .manifest(let manifest) = other.traits.keepalived { (other.host, manifest) } else { nil }
        }
        // Where no other has one, as with the VIP on a load balancer, it needs none; a file that is missing is told as such.
        guard let (host, manifest) = known.first, own.keepalived != .absent else { return [] }
        let problems: [String] =
            switch own.keepalived {
            case .absent: []
            case .unreadable(let why): ["one that can be read (\(why))"]
            case .manifest(let own):
                (own.virtualIPs.contains(plan.vip) ? [] : ["the VIP \(plan.vip)"])
                    + (own.routerID == manifest.routerID ? [] : ["the router id \(manifest.routerID) of \(host)"])
                    + (own.password == manifest.password ? [] : ["the password of \(host)"])
                    + (own.state == .backup ? [] : ["the state BACKUP"])
            }
        return problems.map {
            Lack(
                description: "in keepalived's manifest \($0)",
                remedy: "compare \(file) on \(plan.replacement.host) with that of \(host), and correct it")
        }
    }

    // MARK: What runs

    /// Its static pods, and those that each of the others runs, as far as they do not run on it, with why.
    func staticPods(_ objects: KubernetesObjects) -> [String] {
        let own = Self.staticPods(of: plan.replacement.node, objects)
        return usual(objects).union(own.keys).sorted().compactMap { name in
            guard let pod = own[name] else { return "the static pod \(name)-\(plan.replacement.node) is not there" }
            return pod.isReady ? nil : "the static \(Placement.state(of: pod))"
        }
    }

    /// Of the survivors' static pods those that each of them runs, as far as they are not Ready: one that somebody else has put on one
    /// of them is not the cluster's.
    func unreadyOfSurvivors(_ objects: KubernetesObjects) -> [String] {
        let usual = usual(objects)
        return plan.survivors.flatMap { master in
            Self.staticPods(of: master.node, objects).filter { usual.contains($0.key) && !$0.value.isReady }.values
        }.map { "static pod \($0.name) is not Ready" }.sorted()
    }

    /// The static pods that each survivor runs, without the node's name.
    private func usual(_ objects: KubernetesObjects) -> Set<String> {
        let names = plan.survivors.map { Set(Self.staticPods(of: $0.node, objects).keys) }
        return names.dropFirst().reduce(names.first ?? []) { $0.intersection($1) }
    }

    private static func staticPods(of node: String, _ objects: KubernetesObjects) -> [String: Pod] {
        Dictionary(
            objects.pods.filter { $0.isMirror && $0.nodeName == node && $0.name.hasSuffix("-\(node)") }.map {
                (String($0.name.dropLast(node.count + 1)), $0)
            }, uniquingKeysWith: { $1 })
    }
}
