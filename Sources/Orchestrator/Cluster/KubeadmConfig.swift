import Foundation
import Yams

/// kubeadm's ConfigMap, which a restore of a cluster needs.
package enum KubeadmConfig {
    /// kubectl's.
    package static let arguments = ["get", "configmap", "kubeadm-config", "-n", "kube-system", "-o", "json"]
}

/// kubeadm's `ClusterStatus`, which up to 1.21 lists every master's API endpoint in the ConfigMap `kube-system/kubeadm-config`,
/// and in which `kubectl delete node` leaves the dead one behind (kubernetes/kubeadm#1300, #1432).
public struct ClusterStatus: Sendable, Hashable {
    public let text: String
    /// Node names.
    public let endpoints: [String]
    /// Each node's `advertiseAddress`.
    private let addresses: [String: String]

    /// The nodes that are listed with an address.
    package func names(at address: String) -> [String] {
        endpoints.filter { name in addresses[name].map { IPAddress.canonical($0) } == IPAddress.canonical(address) }
    }

    /// `nil` where the ConfigMap has no ClusterStatus: Kubernetes 1.22 and newer.
    public init?(_ configMap: ConfigMap) {
        guard let text = configMap.data?["ClusterStatus"] else { return nil }
        self.init(text: text)
    }

    private init?(text: String) {
        guard !text.isEmpty, let node = try? Yams.compose(yaml: text),
            let map = node["apiEndpoints"]?.mapping
        else { return nil }
        self.text = text
        self.endpoints = map.compactMap { $0.key.string }
        var addresses: [String: String] = [:]
        for (name, endpoint) in map {
            if let name = name.string { addresses[name] = endpoint["advertiseAddress"]?.string }
        }
        self.addresses = addresses
    }

    /// The text without the entries of several nodes, of those that have one; `nil` as ``removing(_:)-(String)``.
    package func removing(_ nodes: [String]) -> String? {
        let listed = nodes.filter(endpoints.contains)
        return listed.isEmpty
            ? nil : listed.reduce(Optional(self)) { $0?.removing($1).flatMap { ClusterStatus(text: $0) } }?.text
    }

    /// The text without one node's entry, every other line as it was; `nil` where the entry is not there or is written in a way
    /// that lines cannot be taken out of.
    public func removing(_ node: String) -> String? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        func indent(_ line: String) -> Int { line.prefix { $0 == " " }.count }
        guard
            let start = lines.firstIndex(where: { line in
                let name = line.drop { $0 == " " }.filter { $0 != "\"" && $0 != "'" }
                return indent(line) > 0 && name == node + ":"
            })
        else { return nil }
        let end = lines[(start + 1)...].firstIndex { indent($0) <= indent(lines[start]) } ?? lines.endIndex
        var kept = lines
        kept.removeSubrange(start..<end)
        let result = kept.joined(separator: "\n")
        guard let parsed = try? Yams.compose(yaml: result), let map = parsed["apiEndpoints"]?.mapping,
            map.compactMap({ $0.key.string }) == endpoints.filter({ $0 != node })
        else { return nil }
        return result
    }
}
