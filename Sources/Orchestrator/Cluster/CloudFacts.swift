import Foundation
import Yams

/// What of the cloud's and the cluster's settings a configuration of ocboot would write over, as it is now. What could not be read is
/// `nil`, and is left out there.
public struct CloudFacts: Sendable, Hashable {
    /// Of the OnecloudCluster: `FullStack`, `CMP`, `Edge`, …
    public var product: String?
    public var imageRepository: String?
    /// Of kubeadm's ClusterConfiguration, or of k3s's config.yaml on a master.
    public var podNetwork: String?
    public var serviceNetwork: String?
    public var domain: String?
    /// kubeadm's controlPlaneEndpoint, by which a new master joins; empty where its configuration has none.
    public var controlPlaneEndpoint: String?
    /// The release that kubeadm's configuration names, which a new master is made of.
    public var kubernetesVersion: String?
    /// calico's IP_AUTODETECTION_METHOD.
    public var autodetection: String?

    public init() {}

    /// One line for each field, `NAME=VALUE`. Never the whole spec: it has the database's password.
    static let jsonpath =
        #"{range .items[*]}product={.spec.productVersion}{"\n"}repository={.spec.imageRepository}{"\n"}{end}"#

    package mutating func read(onecloud lines: [String]) {
        for line in lines {
            let words = line.split(separator: "=", maxSplits: 1).map(String.init)
            guard words.count == 2, !words[1].isEmpty else { continue }
            switch words[0] {
            case "product": product = words[1]
            case "repository": imageRepository = words[1]
            default: break
            }
        }
    }

    /// kubeadm's ClusterConfiguration, in the ConfigMap `kube-system/kubeadm-config`.
    package mutating func read(_ configMap: ConfigMap) {
        guard let text = configMap.data?["ClusterConfiguration"], let node = try? Yams.compose(yaml: text),
            node.mapping != nil
        else { return }
        controlPlaneEndpoint = node["controlPlaneEndpoint"]?.string ?? ""
        kubernetesVersion = node["kubernetesVersion"]?.string
        guard let networking = node["networking"] else { return }
        podNetwork = networking["podSubnet"]?.string
        serviceNetwork = networking["serviceSubnet"]?.string
        domain = networking["dnsDomain"]?.string
    }

    /// The lines of k3s's config.yaml that say so; the file has the token, too, which is not read.
    static let k3sKeys = ["cluster-cidr", "service-cidr", "cluster-domain"]

    package mutating func read(k3s lines: [String]) {
        for line in lines {
            let words = line.split(separator: ":", maxSplits: 1).map {
                $0.trimmingCharacters(in: CharacterSet(charactersIn: " \"'"))
            }
            guard words.count == 2, !words[1].isEmpty else { continue }
            switch words[0] {
            case "cluster-cidr": podNetwork = words[1]
            case "service-cidr": serviceNetwork = words[1]
            case "cluster-domain": domain = words[1]
            default: break
            }
        }
    }
}

/// docker's daemon.json, as far as ocboot writes over it.
public struct DockerDaemon: Sendable, Hashable, Decodable {
    public var mirrors: [String]?
    public var insecureRegistries: [String]?

    private enum CodingKeys: String, CodingKey {
        case mirrors = "registry-mirrors"
        case insecureRegistries = "insecure-registries"
    }

    public init(mirrors: [String]? = nil, insecureRegistries: [String]? = nil) {
        self.mirrors = mirrors
        self.insecureRegistries = insecureRegistries
    }
}
