import Cluster
import Inventories

/// The storage class that a claim gets when it is recreated.
enum NewClass: Hashable {
    /// Empty: none, so that a volume without a class is asked for.
    case named(String)
    /// It names none, and of several classes each says that it is the default.
    case severalDefaults([String])
}

extension PlanningInput {
    /// A StatefulSet's claim is made from its template, which may name another class than the claim has today, or none; an operator
    /// makes its claim as before.
    func newClass(of lost: LostVolume, _ claim: Claim, _ workload: Inventory.Workload) -> NewClass {
        let today = claim.spec.storageClassName ?? lost.volume.spec.storageClassName ?? ""
        guard case .statefulSet(let name) = workload.target,
            let template = state.statefulSet(claim.namespace, name)?.template(ofClaim: claim.name),
            let spec = template.spec
        else { return .named(today) }
        if let named = template.metadata.annotations?[Claim.classAnnotation] ?? spec.storageClassName {
            return .named(named)
        }
        let defaults = state.objects.storageClasses.filter(\.isDefault)
        if defaults.count > 1, isOneOfSeveralDefaultsTaken {
            // The newest, and of those the first by name (kubernetes/kubernetes, pkg/volume/util/storageclass.go).
            let newest = defaults.max { left, right in
                let moments = (left.metadata.creationTimestamp ?? "", right.metadata.creationTimestamp ?? "")
                return moments.0 == moments.1 ? left.name > right.name : moments.0 < moments.1
            }
            return .named(newest?.name ?? "")
        }
        return defaults.count > 1 ? .severalDefaults(defaults.map(\.name).sorted()) : .named(defaults.first?.name ?? "")
    }

    /// From 1.26 on; before, the API server makes no claim where several classes are the default.
    private var isOneOfSeveralDefaultsTaken: Bool {
        let version = primary.flatMap { state.objects.node($0.node)?.kubernetes }
        return version.map { $0 >= KubernetesVersion(1, 26) } ?? false
    }

    /// A volume of it is on one node's disk, so that it can be waited for there, and healed.
    /// - Parameter others: classes that are known to be so.
    package func isLocal(class name: String, like others: [String]) -> Bool {
        guard let storageClass = state.objects.storageClass(name), !storageClass.isStatic else { return true }
        return state.inventory.cluster.localStorageClasses.contains(name)
            || others.contains { state.objects.storageClass($0)?.provisioner == storageClass.provisioner }
    }
}
