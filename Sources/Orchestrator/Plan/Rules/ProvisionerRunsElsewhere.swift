/// A new claim is bound by its storage class's provisioner, which therefore must run, or by a volume that was made by hand; as a rule
/// when its pod is placed, which must be able to run on the new node.
///
/// Where the provisioner's pod was on the dead node, its Deployment starts it elsewhere, unless it is scaled down or bound there.
public enum ProvisionerRunsElsewhere: SafetyRule {
    public static let id = "provisioner-runs"
    public static let prevents = "deleting claims that nobody would bind again"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        demands(proposal).flatMap { demand -> [Refusal] in
            let claims = demand.claims.joined(separator: ", ")
            if let why = demand.noClass {
                return [
                    refusal(
                        "the new claims of \(claims) would get no storage class: their claim template names none, and \(why)",
                        advice:
                            "mark the class that they are to have, and no other, as the default: kubectl annotate storageclass NAME \(StorageClass.defaultAnnotation)=true; or leave the claims alone under 'workloads': action: ignore"
                    )
                ]
            }
            if demand.isAllowedThere == false {
                return [
                    refusal(
                        "\(demand.name) makes no volumes on \(proposal.newNodeName) (allowedTopologies), so that the new claims of \(claims) would never be bound",
                        advice:
                            "a storage class cannot be changed: make it again, as it was, with \(proposal.newNodeName) among its allowedTopologies, or leave the claims alone under 'workloads': action: ignore"
                    )
                ]
            }
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
                        "\(demand.name) binds claims as soon as they are made (volumeBindingMode: Immediate), before their pods are placed: the new claims of \(claims) could get their volumes on any node",
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
        let topologies = demands(proposal).filter { $0.isAllowedThere == nil }.map { demand in
            "\(demand.name) makes volumes only on nodes with labels that \(proposal.newNodeName) may not get by itself (allowedTopologies): where the new claims of \(demand.claims.joined(separator: ", ")) stay Pending, give it those that the other nodes have"
        }
        return provisioners + topologies + places
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
        /// Whether its volumes may be made on the new node; `nil` where that is not known.
        var isAllowedThere: Bool?
        /// Why the claims would get no class at all.
        var noClass: String?
    }

    private static func demands(_ proposal: Proposal) -> [Demand] {
        var claims: [NewClass: [String]] = [:]
        for lost in proposal.lost {
            guard case .rebuild(let workload) = lost.action, let claim = lost.claim else { continue }
            claims[newClass(of: claim, lost.volume, workload, proposal), default: []].append(claim.reference)
        }
        return claims.sorted { $0.value[0] < $1.value[0] }.map { newClass, claims in
            guard case .named(let name) = newClass else {
                return Demand(
                    name: "", claims: claims, supply: .volumes(0), bindsAtOnce: false, isLeaving: false,
                    noClass: newClass.whyNone)
            }
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
                isLeaving: storageClass?.metadata.deletionTimestamp != nil,
                isAllowedThere: storageClass.map { $0.allows(proposal.newNode) } ?? true)
        }
    }

    /// The storage class that a claim gets when it is made again.
    private enum NewClass: Hashable {
        case named(String)
        /// It names none, and of these each says that it is the default.
        case byDefault([String])

        var whyNone: String {
            guard case .byDefault(let classes) = self, !classes.isEmpty else { return "no class is the default one" }
            return "each of \(classes.listed) is said to be the default"
        }
    }

    /// A StatefulSet's claim is made from its template, which may name another class than the claim has today, or none; an operator
    /// makes its claim as before.
    private static func newClass(
        of claim: Claim, _ volume: Volume, _ workload: Inventory.Workload, _ proposal: Proposal
    ) -> NewClass {
        let today = claim.spec.storageClassName ?? volume.spec.storageClassName ?? ""
        guard case .statefulSet(let name) = workload.target,
            let template = proposal.state.statefulSet(claim.namespace, name)?.template(ofClaim: claim.name)?.spec
        else { return .named(today) }
        if let named = template.storageClassName { return .named(named) }
        let defaults = proposal.state.objects.storageClasses.filter(\.isDefault).map(\.name).sorted()
        return defaults.count == 1 ? .named(defaults[0]) : .byDefault(defaults)
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
