import Inventories

extension Volume {
    /// Where a volume's data is, as seen from one node.
    package enum Location: Sendable, Hashable {
        /// On that node and on no other.
        case here
        case elsewhere
        /// It may be on that node; the text says why that is not known.
        case undecided(String)
    }

    /// Looks the node affinity up in the nodes' labels.
    /// - Parameters:
    ///   - isLocal: the data is on one node's disk: where several nodes satisfy the affinity, or none does, which one has it is not
    ///     known. Other storage is mounted wherever the affinity allows.
    package func location(from node: SelectableNode, others: [Node], isLocal: Bool) -> Location {
        guard let selector = spec.nodeAffinity?.required else {
            return isLocal ? .undecided("it has no node affinity") : .elsewhere
        }
        // Storage of a zone is on a server there: it outlives each machine, even the only one of the cluster in that zone.
        if !isLocal, selector.asksForZonesOnly { return .elsewhere }
        let matching = others.filter { selector.matches($0.selectable) == true }.map(\.name)
        switch selector.matches(node) {
        case true? where matching.isEmpty: return .here
        case true?:
            guard isLocal else { return .elsewhere }
            return .undecided(
                "\(matching.joined(separator: ", ")) \(matching.count == 1 ? "satisfies" : "satisfy") its node affinity as well as \(node.name)"
            )
        case false? where matching.isEmpty && !selector.namesItsNodes:
            return .undecided("no node satisfies its node affinity (\(selector.keys.joined(separator: ", ")))")
        case false?: return .elsewhere
        case nil where !matching.isEmpty: return .elsewhere
        case nil:
            let keys = selector.keys.filter { node.labels[$0] == nil }
            return .undecided(
                node.hasAllLabels || keys.isEmpty
                    ? "its node affinity has an operator that is not known here"
                    : "its node affinity asks for the label \(keys.joined(separator: ", ")), and the labels of \(node.name) were deleted with the node"
            )
        }
    }

    /// Its data is on that node and no other of the cluster's nodes.
    package func isOnly(on node: Node, among nodes: [Node]) -> Bool {
        location(from: node.selectable, others: nodes.filter { $0.uid != node.uid }, isLocal: true) == .here
    }

    /// The one node that it is on; `nil` where there is none, or several may have it.
    package func node(among nodes: [Node]) -> Node? {
        guard let selector = spec.nodeAffinity?.required else { return nil }
        let matching = nodes.filter { selector.matches($0.selectable) == true }
        return matching.count == 1 ? matching[0] : nil
    }

    /// The nodes that it names, by their hostname label or their name; `nil` where it asks for something else.
    public var nodes: [String]? { named { Self.hostnames($0) ?? Self.nodeNames($0) } }
    /// The same by the hostname label alone, and by the field `metadata.name` alone.
    package var hostnames: [String]? { named(Self.hostnames) }
    package var nodeNames: [String]? { named(Self.nodeNames) }

    private func named(_ values: (NodeSelector.Term) -> [String]?) -> [String]? {
        guard let terms = spec.nodeAffinity?.required?.nodeSelectorTerms else { return nil }
        let named = terms.map(values)
        guard !named.isEmpty, named.allSatisfy({ $0 != nil }) else { return nil }
        return named.flatMap { $0 ?? [] }
    }

    private static func hostnames(_ term: NodeSelector.Term) -> [String]? {
        (term.matchExpressions ?? []).first { $0.key == Node.hostnameKey && $0.operator == "In" }?.values
    }

    private static func nodeNames(_ term: NodeSelector.Term) -> [String]? {
        (term.matchFields ?? []).first { $0.key == "metadata.name" && $0.operator == "In" }?.values
    }

    /// What its node affinity asks for, for messages.
    package var affinityText: String {
        nodes?.joined(separator: ", ")
            ?? spec.nodeAffinity?.required.map { "a node by \($0.keys.joined(separator: ", "))" } ?? "no node"
    }

    /// Deleting the volume's claim, or the volume, may delete its data: it is not kept on purpose.
    package var mayBeDeleted: Bool {
        spec.persistentVolumeReclaimPolicy == "Delete" || spec.persistentVolumeReclaimPolicy == "Recycle"
    }

    /// It is on a server in the network by its kind.
    var isOnNetwork: Bool {
        spec.nfs != nil || spec.iscsi != nil || spec.cephfs != nil || spec.rbd != nil || spec.csi != nil
    }
}

extension ClusterState {
    /// The volume's data is on the disk of one node, whether its node affinity says which or not: it is a folder or a disk of the
    /// node by its kind, or of a class that the inventory declares local, or of a class without a provisioner.
    package func isLocal(_ volume: Volume) -> Bool {
        if volume.spec.local != nil || volume.spec.hostPath != nil { return true }
        guard let name = volume.spec.storageClassName else { return false }
        if inventory.cluster.localStorageClasses.contains(name) { return true }
        return !volume.isOnNetwork && objects.storageClass(name)?.isStatic == true
    }
}
