import Cluster
import Inventories

/// A new claim is bound by its storage class's provisioner, which therefore must run, or by a volume that was made by hand; as a rule
/// when its pod is placed, which must be able to run on the new node.
///
/// Where the provisioner's pod was on the dead node, its Deployment starts it elsewhere, unless it is scaled down or bound there.
public enum ProvisionerRunsElsewhere: SafetyRule {
    public static let id = "provisioner-runs"
    public static let prevents = "deleting claims that nobody would bind again"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        demands(input).flatMap { demand in
            demand.objection(input).map { [refusal($0.reason, advice: $0.advice)] } ?? downServices(demand)
        } + misplaced(input)
    }

    private static func downServices(_ demand: Demand) -> [Refusal] {
        guard case .provisioner(let services) = demand.supply, !services.contains(where: \.isAvailable) else {
            return []
        }
        return services.compactMap { service in
            guard case .isDown(let why, let advice) = service.state else { return nil }
            return refusal("\(demand.name) would have no provisioner: \(service.name) \(why)", advice: advice)
        }
    }

    /// Claims are bound where their pods run, and while they are rebuilt, these can run on the new node only.
    private static func misplaced(_ input: PlanningInput) -> [Refusal] {
        rebuilt(input).filter { $0.pod.fits(input.newNode) == false }.map { rebuilt in
            refusal(
                "the pods of the \(rebuilt.kind) \(rebuilt.namespace)/\(rebuilt.name) cannot run on \(input.newNodeName) by their node selector or affinity, so that their new claims would never be bound",
                advice:
                    "see what they ask for: kubectl -n \(rebuilt.namespace) get \(rebuilt.kind) \(rebuilt.name) -o yaml; or leave the claims alone under 'workloads': action: ignore"
            )
        }
    }

    /// The workloads whose claims are to be recreated, with what their pods are made from.
    private static func rebuilt(_ input: PlanningInput) -> [(
        kind: String, namespace: String, name: String, pod: PodSpec
    )] {
        input.losses.compactMap { loss in
            let template: PodTemplate?
            let kind: String
            switch loss.target {
            case .statefulSet(let name):
                (kind, template) = ("statefulset", input.state.statefulSet(loss.namespace, name)?.spec.template)
            case .deployment(let name):
                (kind, template) = ("deployment", input.state.deployment(loss.namespace, name)?.spec.template)
            case .claim: return nil
            }
            return template.map { (kind, loss.namespace, loss.target.name, $0.spec) }
        }
    }

    /// Provisioners that were not found are no reason to refuse: they may be anywhere, even outside of the cluster.
    package static func warnings(_ input: PlanningInput) -> [String] {
        let provisioners = demands(input).compactMap { demand -> String? in
            guard case .unidentified(let provisioner) = demand.supply else { return nil }
            return
                "which program provisions \(demand.name) (\(provisioner)) could not be found out: see that it runs, on another node than \(input.dead.node), before claims are deleted"
        }
        let places = rebuilt(input).filter { $0.pod.fits(input.newNode) == nil }.map { rebuilt in
            "the pods of the \(rebuilt.kind) \(rebuilt.namespace)/\(rebuilt.name) ask for node labels that \(input.newNodeName) may not get by itself: where they stay Pending, give it those that the other nodes have"
        }
        let topologies = demands(input).filter { $0.isAllowedThere == nil }.map { demand in
            "\(demand.name) makes volumes only on nodes with labels that \(input.newNodeName) may not get by itself (allowedTopologies): where the new claims of \(demand.claims.joined(separator: ", ")) stay Pending, give it those that the other nodes have"
        }
        let changes = demands(input).filter { !$0.otherToday.isEmpty }.map { demand in
            "the new claims of \(demand.claims.joined(separator: ", ")) get \(demand.name); today they have \(demand.otherToday.listed)"
        }
        return provisioners + topologies + places + changes
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

        var newClass: NewClass
        var claims: [String]
        /// The classes that these claims have today, where they are others.
        var otherToday: [String]
        var storageClass: StorageClass?
        var supply: Supply
        /// Whether its volumes may be made on the new node; `nil` where that is not known.
        var isAllowedThere: Bool?

        var name: String {
            switch newClass {
            case .named(""): "no storage class"
            case .named(let name): "the storage class \(name)"
            case .severalDefaults(let names): "one of the default storage classes \(names.listed)"
            }
        }

        /// Why its claims would not be bound, or not as the steps after it need it; `nil` where nothing is in the way.
        func objection(_ input: PlanningInput) -> (reason: String, advice: String)? {
            let claims = claims.joined(separator: ", ")
            let node = input.newNodeName
            let leaveAlone = "or leave the claims alone under 'workloads': action: ignore"
            if case .severalDefaults(let names) = newClass {
                return (
                    "the new claims of \(claims) would not be made: their claim template names no storage class, and each of \(names.listed) is said to be the default",
                    "take that from all but the one that they are to have: kubectl annotate storageclass NAME \(StorageClass.defaultAnnotation)=false --overwrite; \(leaveAlone)"
                )
            }
            guard case .named(let name) = newClass else { return nil }
            if !otherToday.isEmpty, !input.isLocal(class: name, like: otherToday) {
                return (
                    "the new claims of \(claims) would get \(self.name), and today they have \(otherToday.listed): their volumes would not be on the disk of \(node), and nothing would heal them there",
                    "where their claim template names no class, make \(otherToday[0]) the only default one (kubectl annotate storageclass NAME \(StorageClass.defaultAnnotation)=true --overwrite, =false for the others); \(leaveAlone)"
                )
            }
            if storageClass?.metadata.deletionTimestamp != nil {
                return (
                    "\(self.name) is being deleted, so that new claims of it would not be bound",
                    "recreate it first, as it was, \(leaveAlone)"
                )
            }
            if storageClass?.volumeBindingMode == "Immediate" {
                return (
                    "\(self.name) binds claims as soon as they are made (volumeBindingMode: Immediate), before their pods are placed: the new claims of \(claims) could get their volumes on any node",
                    "a storage class cannot be changed: recreate it with 'volumeBindingMode: WaitForFirstConsumer', which leaves bound claims as they are, \(leaveAlone)"
                )
            }
            if isAllowedThere == false {
                return (
                    "\(self.name) makes no volumes on \(node) (allowedTopologies), so that the new claims of \(claims) would never be bound",
                    "a storage class cannot be changed: recreate it, as it was, with \(node) among its allowedTopologies, \(leaveAlone)"
                )
            }
            guard case .volumes(let free) = supply, free < self.claims.count else { return nil }
            let needed =
                "the new claims of \(claims) would need \(self.claims.count) volumes that are Available on \(node); there \(free == 1 ? "is 1" : "are \(free)")"
            let makeThem =
                "make them first, with a node affinity for \(node) (kubernetes.io/hostname)"
            if name.isEmpty {
                return (
                    "with no storage class, which their claim template does not name and the cluster has no default of, \(needed) without a class",
                    "\(makeThem), mark a class as the default one (kubectl annotate storageclass NAME \(StorageClass.defaultAnnotation)=true --overwrite), \(leaveAlone)"
                )
            }
            return storageClass == nil
                ? (
                    "\(self.name) does not exist, so that \(needed)", "make the class again, as it was, \(leaveAlone)"
                )
                : ("\(self.name) has no provisioner, so that \(needed)", "\(makeThem), \(leaveAlone)")
        }
    }

    private static func demands(_ input: PlanningInput) -> [Demand] {
        var claims: [NewClass: [(claim: Claim, today: String)]] = [:]
        for lost in input.lost {
            guard case .rebuild(let workload) = lost.action, let claim = lost.claim else { continue }
            let today = claim.spec.storageClassName ?? lost.volume.spec.storageClassName ?? ""
            claims[input.newClass(of: lost, claim, workload), default: []].append((claim, today))
        }
        return claims.map { newClass, claims in
            guard case .named(let name) = newClass else {
                return Demand(
                    newClass: newClass, claims: claims.map(\.claim.reference), otherToday: [], supply: .volumes(0))
            }
            let supply: Demand.Supply
            let storageClass = input.state.objects.storageClass(name)
            if let storageClass, !storageClass.isStatic {
                let found = Provisioners.services(of: storageClass.provisioner, among: input.services)
                supply = found.isEmpty ? .unidentified(storageClass.provisioner) : .provisioner(found)
            } else {
                supply = .volumes(availableVolumes(ofClass: name, for: claims.map(\.claim), input))
            }
            return Demand(
                newClass: newClass, claims: claims.map(\.claim.reference),
                otherToday: Array(uniqued: claims.map(\.today).filter { $0 != name }).map { $0.isEmpty ? "none" : $0 },
                storageClass: storageClass, supply: supply,
                isAllowedThere: storageClass.map { $0.allows(input.newNode) } ?? true)
        }.sorted { $0.claims[0] < $1.claims[0] }
    }

    /// Volumes made beforehand for the new node, whose only known label is its name.
    private static func availableVolumes(ofClass name: String, for claims: [Claim], _ input: PlanningInput) -> Int {
        let node = SelectableNode(
            name: input.newNodeName, labels: [Node.hostnameKey: input.newNodeName], hasAllLabels: false)
        // On the same machine, reinstalled, those of the old disk are lost.
        let lost = Set(input.lost.map(\.volume.uid))
        return input.state.objects.volumes.count { volume in
            volume.phase == "Available" && volume.metadata.deletionTimestamp == nil && !lost.contains(volume.uid)
                && volume.spec.storageClassName ?? "" == name
                && isFree(volume, for: claims)
                && volume.spec.nodeAffinity?.required?.matches(node) == true
        }
    }

    /// Nobody's, or kept by its maker for a claim of that name that is yet to come.
    private static func isFree(_ volume: Volume, for claims: [Claim]) -> Bool {
        guard let reference = volume.spec.claimRef else { return true }
        return reference.uid ?? "" == ""
            && claims.contains { $0.namespace == reference.namespace && $0.name == reference.name }
    }
}
