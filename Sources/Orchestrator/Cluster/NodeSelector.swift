/// Which nodes a volume can be mounted on or a pod can run on (core/v1 NodeSelector): terms are alternatives, the requirements
/// within one must all hold.
public struct NodeSelector: Sendable, Hashable, Codable {
    public var nodeSelectorTerms: [Term]

    public struct Term: Sendable, Hashable, Codable {
        public var matchExpressions: [Requirement]?
        /// Of the node's fields; only `metadata.name` exists.
        public var matchFields: [Requirement]?
    }

    public struct Requirement: Sendable, Hashable, Codable {
        public var key: String
        public var `operator`: String
        public var values: [String]?
    }
}

/// A node as a selector sees it.
package struct SelectableNode: Sendable, Hashable {
    package var name: String
    package var labels: [String: String]
    /// A deleted node has left nothing but its name and its hostname label: whether it had others is not known.
    package var hasAllLabels = true

    package init(name: String, labels: [String: String], hasAllLabels: Bool = true) {
        self.name = name
        self.labels = labels
        self.hasAllLabels = hasAllLabels
    }
}

extension Node {
    package var selectable: SelectableNode { SelectableNode(name: name, labels: metadata.labels ?? [:]) }
}

extension NodeSelector {
    /// - Returns: `nil` where it depends on a label that is not known, or on an operator that is not.
    package func matches(_ node: SelectableNode) -> Bool? {
        Self.any(nodeSelectorTerms.map { $0.matches(node) })
    }

    /// The label keys of its terms, each once.
    package var keys: [String] {
        Array(uniqued: nodeSelectorTerms.flatMap { $0.matchExpressions ?? [] }.map(\.key))
    }

    /// Every term names the nodes that it means, by their hostname label or their name.
    var namesItsNodes: Bool {
        nodeSelectorTerms.allSatisfy { term in
            (term.matchExpressions ?? []).contains { $0.key == Node.hostnameKey && $0.operator == "In" }
                || (term.matchFields ?? []).contains { $0.key == "metadata.name" && $0.operator == "In" }
        }
    }

    /// Every term asks for zones or regions and for nothing else: Kubernetes' own labels, or those of a CSI driver, such as
    /// `topology.ebs.csi.aws.com/zone`.
    var asksForZonesOnly: Bool {
        nodeSelectorTerms.allSatisfy { term in
            let keys = (term.matchExpressions ?? []).map(\.key)
            return !keys.isEmpty && (term.matchFields ?? []).isEmpty
                && keys.allSatisfy { key in ["zone", "region"].contains { key.hasSuffix("/\($0)") } }
        }
    }

    fileprivate static func any(_ answers: [Bool?]) -> Bool? {
        if answers.contains(true) { return true }
        return answers.contains(nil) ? nil : false
    }

    fileprivate static func all(_ answers: [Bool?]) -> Bool? {
        if answers.contains(false) { return false }
        return answers.contains(nil) ? nil : true
    }
}

extension PodSpec {
    /// Whether its node selector and its required node affinity allow it on a node.
    /// - Returns: `nil` where that depends on a label that is not known.
    package func fits(_ node: SelectableNode) -> Bool? {
        let labels = (nodeSelector ?? [:]).map { key, value -> Bool? in
            node.labels[key].map { $0 == value } ?? (node.hasAllLabels ? false : nil)
        }
        let affinity = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
        return NodeSelector.all(labels + (affinity.map { [$0.matches(node)] } ?? []))
    }
}

extension NodeSelector.Term {
    package func matches(_ node: SelectableNode) -> Bool? {
        let expressions = matchExpressions ?? []
        let fields = matchFields ?? []
        // An empty term matches no node.
        guard !expressions.isEmpty || !fields.isEmpty else { return false }
        let byLabel = expressions.map { requirement -> Bool? in
            guard let value = node.labels[requirement.key] else {
                return node.hasAllLabels ? requirement.matches(nil) : nil
            }
            return requirement.matches(value)
        }
        let byField = fields.map { $0.key == "metadata.name" ? $0.matches(node.name) : nil }
        return NodeSelector.all(byLabel + byField)
    }
}

extension NodeSelector.Requirement {
    /// - Parameter value: the label's; `nil` where the node does not have it.
    /// - Returns: `nil` for an operator that is not known.
    package func matches(_ value: String?) -> Bool? {
        let values = values ?? []
        switch `operator` {
        case "In": return value.map(values.contains) ?? false
        // Satisfied by a node without the label, too (apimachinery's labels.Requirement).
        case "NotIn": return value.map { !values.contains($0) } ?? true
        case "Exists": return value != nil
        case "DoesNotExist": return value == nil
        case "Gt", "Lt":
            guard values.count == 1, let limit = Int64(values[0]), let number = value.flatMap({ Int64($0) }) else {
                return false
            }
            return `operator` == "Gt" ? number > limit : number < limit
        default: return nil
        }
    }
}
