import Foundation

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What becomes of claims, volumes and what is on them.
extension PlanExecution {
    mutating func cordon() {
        guard !plan.rebuilds.isEmpty else { return }
        for node in world.objects.nodes where node.name != plan.replacement.node {
            let isTouched = plan.cordons.contains(node.name)
            note(.foreignUncordoned, if: isTouched && node.isCordoned)
            note(.rebuiltElsewhere, if: !isTouched && !node.isCordoned)
        }
    }

    func isAgreed(_ claim: Claim) -> Bool {
        if world.request.acceptedLosses.contains(claim.reference) { return true }
        if case .rebuild(.disposable, _, _)? = world.rule(claim)?.rule { return true }
        return false
    }

    mutating func delete(_ lost: Plan.LostClaim, of rebuild: Plan.Rebuild) {
        guard let claim = world.objects.claims.first(where: { $0.uid == lost.claim.uid }),
            claim.spec.volumeName == lost.volume.name
        else { return note(.runStuck) }
        note(.foreignVolumeDeleted, if: world.rule(claim)?.rule == .ignore)
        destroy(lost.volume.name)
        deletedClaims.insert(claim.uid)
        world.objects.claims.removeAll { $0.uid == claim.uid }
        guard !isAgreed(claim) else {
            agreedClaims.insert(claim.uid)
            return
        }
        let minio = world.minio.first { $0.reference == rebuild.reference }
        guard let minio, let set = minio.sets.first(where: { $0.contains(lost.volume.name) }) else {
            return note(.dataLost)
        }
        note(.dataLost, if: readable(set) < set.count - minio.parity)
    }

    /// Drives of an erasure set that hold all that they should and can be read.
    func readable(_ set: [String]) -> Int {
        set.count { volume in
            guard let place = world.place[volume], world.machines[place].isUp, case .whole? = world.drives[volume]
            else {
                return false
            }
            return true
        }
    }

    /// What becomes of the data where a volume, or the claim that it is bound to, is deleted.
    mutating func destroy(_ volume: String) {
        guard let place = world.place[volume] else { return note(.livingDataDestroyed) }
        // Whose the volumes of a node are that somebody has deleted may be a guess, which the plan says and the operator agrees to.
        guard place != dead, plan.remarks == nil else { return }
        note(world.machines[place].isUp ? .livingDataDestroyed : .foreignVolumeDeleted)
    }

    mutating func recreate(_ rebuild: Plan.Rebuild) {
        for lost in rebuild.claims {
            let storageClass = world.objects.volume(lost.volume.name)?.spec.storageClassName ?? ""
            note(.podsPendingForEver, if: !bindsNewClaim(of: storageClass))
        }
        switch rebuild.kind {
        case .deployment:
            guard let deployment = world.objects.deployments.first(where: { $0.uid == rebuild.uid }) else {
                return note(.runStuck)
            }
            let owner = deployment.metadata.controller?.kind
            note(
                .podsPendingForEver, if: (owner == nil || owner == "OnecloudCluster") && !runs("onecloud-operator"))
        case .statefulSet:
            guard let set = world.objects.statefulSets.first(where: { $0.uid == rebuild.uid }) else {
                return note(.runStuck)
            }
            recreate(rebuild, of: set)
        }
    }

    mutating func recreate(_ rebuild: Plan.Rebuild, of set: StatefulSet) {
        var rebuilt: Set<Int> = []
        for lost in rebuild.claims {
            guard let ordinal = set.ordinal(ofClaim: lost.claim.name), set.ordinals.contains(ordinal) else {
                note(.podsPendingForEver)
                continue
            }
            rebuilt.insert(ordinal)
            // The pod needs all of its claims.
            for template in set.templates {
                let claim = world.objects.claim(set.namespace, set.claimName(template: template, ordinal: ordinal))
                let isStuck = claim?.spec.volumeName.flatMap { world.place[$0] } == dead
                note(.podsPendingForEver, if: isStuck)
            }
        }
        // Where the loss was agreed to, nothing is waited for.
        guard rebuild.data != .disposable, !agreedClaims.isSuperset(of: rebuild.claims.map(\.claim.uid)) else { return }
        for ordinal in set.ordinals where !rebuilt.contains(ordinal) {
            let claims = set.templates.compactMap {
                world.objects.claim(set.namespace, set.claimName(template: $0, ordinal: ordinal))
            }
            if claims.contains(where: { world.rule($0)?.rule == .ignore }) { continue }
            let pod = world.objects.pods.first { $0.namespace == set.namespace && $0.name == "\(set.name)-\(ordinal)" }
            note(.neverHealed, if: !(pod.map(isReady) ?? false))
        }
        guard rebuild.heal == .minio, let minio = world.minio.first(where: { $0.reference == rebuild.reference }) else {
            return
        }
        for set in minio.sets
        where set.contains(where: { volume in rebuild.claims.contains { $0.volume.name == volume } }) {
            // MinIO heals each drive by itself, from as many whole ones as there are data shards.
            note(.neverHealed, if: readable(set) < set.count - minio.parity)
        }
    }

    func isReady(_ pod: Pod) -> Bool {
        guard let node = pod.nodeName, pod.isReady else { return false }
        return world.objects.nodes.contains { $0.name == node && takesPods($0) }
    }

    func takesPods(_ node: Node) -> Bool {
        world.machineOfNode[node.uid].map { world.machines[$0].takesPods } ?? false
    }

    func bindsNewClaim(of storageClass: String) -> Bool {
        if let program = world.provisioners[storageClass] { return runs(program) }
        if world.objects.storageClass(storageClass)?.isStatic == true {
            let wanted = plan.rebuilds.flatMap(\.claims).count {
                world.objects.volume($0.volume.name)?.spec.storageClassName == storageClass
            }
            return world.objects.volumes.count {
                $0.spec.storageClassName == storageClass && $0.phase == "Available" && world.place[$0.name] == new
            } >= wanted
        }
        // The operator was told that nobody knows the program.
        return world.outsideProvisionerRuns || plan.warnings != nil
    }

    /// Whether a program is at work once the dead node is gone: where it is, or where its Deployment starts it.
    func runs(_ name: String) -> Bool {
        guard let program = world.programs.first(where: { $0.name == name }), program.replicas > 0, !program.isBroken
        else { return false }
        if let machine = program.machine, machine != dead, world.machines[machine].takesPods { return true }
        let masters = world.objects.nodes.filter(\.isControlPlane).map { $0.metadata.labels ?? [:] }
        let common = masters.first?.filter { label in masters.allSatisfy { $0[label.key] == label.value } } ?? [:]
        let labels =
            world.objects.nodes.filter { takesPods($0) && !$0.isCordoned }.map { $0.metadata.labels ?? [:] } + [common]
        return labels.contains { labels in program.selector.allSatisfy { labels[$0.key] == $0.value } }
    }

    mutating func delete(_ reference: ObjectReference) {
        guard let volume = world.objects.volumes.first(where: { $0.uid == reference.uid }) else { return }
        destroy(volume.name)
        let claim = volume.spec.claimRef
        let named = claim.flatMap { claim in
            world.objects.claims.first { $0.namespace == claim.namespace && $0.name == claim.name }
        }
        // Of a claim that is still there.
        note(.runStuck, if: named != nil && named?.uid == claim?.uid)
        guard volume.spec.persistentVolumeReclaimPolicy != "Delete" else { return }
        let wasBound = claim?.uid.map(deletedClaims.contains) == true
        let isNamed =
            world.request.acceptedLosses.contains("\(claim?.namespace ?? "")/\(claim?.name ?? "")")
            && (wasBound || !claimsBefore.contains("\(claim?.namespace ?? "")/\(claim?.name ?? "")"))
        note(.keptVolumeDeleted, if: !isNamed && !world.request.acceptedLosses.contains(volume.name))
    }

    /// Claims whose volumes went with the machine and that nobody deletes: their pods wait for ever, which has to be agreed to.
    mutating func leftClaims() {
        for claim in world.objects.claims {
            guard let volume = claim.spec.volumeName, world.place[volume] == dead else { continue }
            if world.rule(claim)?.rule == .ignore { continue }
            let isUsed =
                world.objects.pods.contains {
                    $0.namespace == claim.namespace && $0.spec.claimNames.contains(claim.name)
                }
                || world.objects.statefulSets.contains {
                    $0.namespace == claim.namespace && $0.ordinal(ofClaim: claim.name) != nil
                }
            note(.podsPendingForEver, if: isUsed)
        }
    }
}
