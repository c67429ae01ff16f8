/// A new claim is bound by its storage class's provisioner, which therefore must run, or by a volume that was made by hand; as a rule
/// when its pod is placed, which must be able to run on the new node.
///
/// Where the provisioner's pod was on the dead node, its Deployment starts it elsewhere, unless it is scaled down or bound there.
public enum ProvisionerRunsElsewhere: SafetyRule {
    public static let id = "provisioner-runs"
    public static let prevents = "deleting claims that nobody would bind again"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        demands(proposal).flatMap { demand -> [Refusal] in
            if demand.isLeaving {
                return [
                    refusal(
                        "\(demand.name) is being deleted, so that new claims of it would not be bound",
                        advice:
                            "make it again first, as it was, or leave the claims alone under 'workloads': action: ignore"
                    )
                ]
            }
            if demand.bindsAtOnce {
                return [
                    refusal(
                        "\(demand.name) binds claims as soon as they are made (volumeBindingMode: Immediate), before their pods are placed: the new claims of \(demand.claims.joined(separator: ", ")) could get their volumes on any node",
                        advice:
                            "a storage class cannot be changed: make it again with 'volumeBindingMode: WaitForFirstConsumer', which leaves bound claims as they are, or leave the claims alone under 'workloads': action: ignore"
                    )
                ]
            }
            switch demand.supply {
            case .provisioner(let services) where services.contains(where: \.isAvailable): return []
            case .provisioner(let services):
                return services.compactMap { service in
                    guard case .isDown(let why, let advice) = service.state else { return nil }
                    return refusal("\(demand.name) would have no provisioner: \(service.name) \(why)", advice: advice)
                }
            case .unidentified: return []
            case .volumes(let free) where free >= demand.claims.count: return []
            case .volumes(let free):
                let claims = demand.claims.joined(separator: ", ")
                return [
                    refusal(
                        "\(demand.name) has no provisioner, so that the new claims of \(claims) would need \(demand.claims.count) volumes that are Available on \(proposal.newNodeName); there \(free == 1 ? "is 1" : "are \(free)")",
                        advice:
                            "make them first, with a node affinity for \(proposal.newNodeName) (kubernetes.io/hostname), or leave the claims alone under 'workloads': action: ignore"
                    )
                ]
            }
        } + misplaced(proposal)
    }

    /// Claims are bound where their pods run, and while they are rebuilt, these can run on the new node only.
    private static func misplaced(_ proposal: Proposal) -> [Refusal] {
        rebuilt(proposal).filter { $0.pod.fits(proposal.newNode) == false }.map { rebuilt in
            refusal(
                "the pods of the \(rebuilt.kind) \(rebuilt.namespace)/\(rebuilt.name) cannot run on \(proposal.newNodeName) by their node selector or affinity, so that their new claims would never be bound",
                advice:
                    "see what they ask for: kubectl -n \(rebuilt.namespace) get \(rebuilt.kind) \(rebuilt.name) -o yaml; or leave the claims alone under 'workloads': action: ignore"
            )
        }
    }

    /// The workloads whose claims are to be recreated, with what their pods are made from.
    private static func rebuilt(_ proposal: Proposal) -> [(kind: String, namespace: String, name: String, pod: PodSpec)]
    {
        proposal.losses.compactMap { loss in
            let template: PodTemplate?
            let kind: String
            switch loss.target {
            case .statefulSet(let name):
                (kind, template) = ("statefulset", proposal.state.statefulSet(loss.namespace, name)?.spec.template)
            case .deployment(let name):
                (kind, template) = ("deployment", proposal.state.deployment(loss.namespace, name)?.spec.template)
            case .claim: return nil
            }
            return template.map { (kind, loss.namespace, loss.target.name, $0.spec) }
        }
    }

    /// Provisioners that were not found are no reason to refuse: they may be anywhere, even outside of the cluster.
    static func warnings(_ proposal: Proposal) -> [String] {
        let provisioners = demands(proposal).compactMap { demand -> String? in
            guard case .unidentified(let provisioner) = demand.supply else { return nil }
            return
                "which program provisions \(demand.name) (\(provisioner)) could not be found out: see that it runs, on another node than \(proposal.dead.node), before claims are deleted"
        }
        let places = rebuilt(proposal).filter { $0.pod.fits(proposal.newNode) == nil }.map { rebuilt in
            "the pods of the \(rebuilt.kind) \(rebuilt.namespace)/\(rebuilt.name) ask for node labels that \(proposal.newNodeName) may not get by itself: where they stay Pending, give it those that the other nodes have"
        }
        return provisioners + places
    }

    /// A storage class that claims are to be recreated of.
    private struct Demand {
        enum Supply {
            /// Those that may be its provisioner; at least one.
            case provisioner([Service])
            case unidentified(String)
            /// So many volumes that new claims on the new node can be bound to.
            case volumes(Int)
        }

        var name: String
        var claims: [String]
        var supply: Supply
        /// Whether a claim is bound before its pod is placed.
        var bindsAtOnce: Bool
        var isLeaving: Bool
    }

    private static func demands(_ proposal: Proposal) -> [Demand] {
        var claims: [String: [String]] = [:]
        for lost in proposal.lost {
            guard case .rebuild = lost.action, let claim = lost.claim else { continue }
            claims[claim.spec.storageClassName ?? lost.volume.spec.storageClassName ?? "", default: []].append(
                claim.reference)
        }
        guard !claims.isEmpty else { return [] }
        return claims.sorted { $0.key < $1.key }.map { name, claims in
            let described = name.isEmpty ? "the storage class of none" : "the storage class \(name)"
            let supply: Demand.Supply
            let storageClass = proposal.state.objects.storageClass(name)
            if let storageClass, !storageClass.isStatic {
                let found = Provisioners.services(of: storageClass.provisioner, among: proposal.services)
                supply = found.isEmpty ? .unidentified(storageClass.provisioner) : .provisioner(found)
            } else {
                supply = .volumes(availableVolumes(ofClass: name, proposal))
            }
            return Demand(
                name: described, claims: claims, supply: supply,
                bindsAtOnce: storageClass?.volumeBindingMode == "Immediate",
                isLeaving: storageClass?.metadata.deletionTimestamp != nil)
        }
    }

    /// Volumes made beforehand for the new node, whose only known label is its name.
    private static func availableVolumes(ofClass name: String, _ proposal: Proposal) -> Int {
        let node = SelectableNode(
            name: proposal.newNodeName, labels: [Node.hostnameKey: proposal.newNodeName], hasAllLabels: false)
        // On the same machine, reinstalled, those of the old disk are lost.
        let lost = Set(proposal.lost.map(\.volume.uid))
        return proposal.state.objects.volumes.count { volume in
            volume.phase == "Available" && volume.metadata.deletionTimestamp == nil && !lost.contains(volume.uid)
                && volume.spec.storageClassName ?? "" == name
                && volume.spec.claimRef == nil
                && volume.spec.nodeAffinity?.required?.matches(node) == true
        }
    }
}

/// Finds the programs that provision a storage class by the words of the provisioner's name: nothing in the API connects the two.
enum Provisioners {
    /// Words that many provisioners have in their names.
    private static let common: Set<String> = [
        "csi", "io", "com", "org", "net", "dev", "driver", "k8s", "x-k8s", "sigs", "k8s-sigs", "kubernetes", "storage",
        "local", "nfs", "disk", "block", "file", "provisioner", "cluster", "hostpath",
    ]

    static func services(of provisioner: String, among services: [Service]) -> [Service] {
        let parts = provisioner.lowercased().split(separator: "/", maxSplits: 1)
        let domain = parts.first.map { $0.split(separator: ".").map(String.init) } ?? []
        let words: [String]
        if parts.count == 2 {
            // `rancher.io/local-path`, `openebs.io/local`, `cluster.local/nfs-subdir-external-provisioner`.
            let last = String(parts[1])
            words = common.contains(last) ? [last] + domain.filter { !common.contains($0) }.prefix(1) : [last]
        } else {
            // A CSI driver: `topolvm.io`, `local.csi.openebs.io`, `driver.longhorn.io`.
            words = Array(domain.filter { !common.contains($0) }.prefix(1))
        }
        guard !words.isEmpty else { return [] }
        let named = services.filter { service in
            if let own = service.provisionerName, own != provisioner { return false }
            let text = service.words.joined(separator: " ").lowercased()
            return words.allSatisfy(text.contains)
        }
        // What says of itself that it provisions comes before what only has the word in its name, and a workload before a pod alone:
        // provisioners start helper pods.
        func preferred(_ services: [Service], _ isBetter: (Service) -> Bool) -> [Service] {
            let better = services.filter(isBetter)
            return better.isEmpty ? services : better
        }
        let provisioning = preferred(named) { service in
            service.words.contains { $0.lowercased().contains("provisioner") }
        }
        return preferred(provisioning) { !$0.isSinglePod }
    }
}
