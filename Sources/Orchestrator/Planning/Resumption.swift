import Cluster
import Inventories

// Until ocboot is started, nothing of a run's plan has to stay as it was: what is left is planned again from what is seen, and every
// rule is asked again.

extension ReplacementRequest {
    /// - Parameters:
    ///   - plan: what the run was agreed to.
    ///   - replacement: another spare; `nil` for the plan's.
    ///   - run: its name.
    ///   - losses: accepted beyond the plan's.
    public init(again plan: Plan, of run: String, with replacement: String?, accepting losses: [String], fences: Bool) {
        self.init(
            dead: plan.dead.host, replacement: replacement ?? plan.replacement.host, acceptedLosses: losses,
            drainTimeout: plan.drainTimeout, fences: fences,
            restoresSurvivors: plan.ocboot?.restoresSurvivors == true,
            // How long the node must have been NotReady was asked when the run began.
            notReadyFor: 0)
        resumes = run
        acceptedBefore = plan.acceptedLosses
    }
}

extension Plan {
    /// This plan, with what only an earlier plan of the same run could see: of a node or member that is gone by now,
    /// and what it passes over.
    public func continuing(_ earlier: Plan) -> Plan {
        var plan = self
        if plan.dead.uid == nil {
            plan.dead = earlier.dead
        } else if plan.dead.uid != earlier.dead.uid, plan.fences != true {
            plan.nodeReturned = true
        }
        plan.member = plan.member ?? earlier.member
        // Of another spare nothing is known that would have to be passed over.
        plan.passedOver = plan.replacement.host == earlier.replacement.host ? earlier.passedOver : nil
        return plan
    }

    /// What this plan does beyond an earlier one of the same run that was agreed to, a sentence each; what ``failedJoin``, ``fences`` and
    /// ``nodeReturned`` add are steps of their own.
    public func beyond(_ earlier: Plan) -> [String] {
        var news: [String] = []
        if replacement.host != earlier.replacement.host {
            news.append("\(replacement.node) takes the place of \(dead.node), not \(earlier.replacement.node)")
        }
        if primary.host != earlier.primary.host {
            news.append("ocboot is run on \(primary.host), not on \(earlier.primary.host)")
        }
        if promotes, !earlier.promotes || primary.host != earlier.primary.host {
            news.append("keepalived on \(primary.host) becomes MASTER")
        }
        if let member, member.id != earlier.member?.id {
            news.append("the etcd member \(member.id) '\(member.name)' is removed")
        }
        news += Self.new(claims, earlier.claims).map {
            "the claim \($0.claim.reference) is deleted, with its volume \($0.volume.name)"
        }
        news += Self.new(volumes, earlier.volumes).map { "the volume \($0.name) is deleted" }
        news += rebuilds.filter { rebuild in
            rebuild.isDataLost && !earlier.rebuilds.contains { $0.uid == rebuild.uid && $0.isDataLost }
        }.map { "the data of \($0.reference) is lost for good" }
        news += Self.new(lostPods, earlier.lostPods).map { "the pod \($0.reference) is lost: nothing makes it again" }
        news += (unsound ?? []).filter { master in !(earlier.unsound ?? []).contains { $0.host == master.host } }
            .map { "\($0.node) is not whole and is left as it is: \($0.reasons.joined(separator: "; "))" }
        return news
    }

    private var claims: [LostClaim] { rebuilds.flatMap(\.claims) }

    private static func new<Element: Hashable>(_ now: [Element], _ before: [Element]) -> [Element] {
        let known = Set(before)
        return now.filter { !known.contains($0) }
    }
}

extension Refused {
    /// Whether all that is refused may be well in a moment: right after an act of a run pods move, etcd has an election, or the VIP is
    /// on its way.
    /// - Parameter isSilent: the old master gives no answer, so that its node and member, which may just have been on, are soon seen so.
    public func maySettle(whereOldMasterIsSilent isSilent: Bool) -> Bool {
        var rules: Set = [
            EtcdIsWell.id, OneVIPHolder.id, OperatorRuns.id, OtherReplicasAreHealthy.id, ProvisionerRunsElsewhere.id,
            SurvivorsAreSound.id, CriticalDataSurvives.id,
        ]
        if isSilent { rules.insert(NodeIsDead.id) }
        return refusals.allSatisfy { $0.isUnreachable || rules.contains($0.rule) }
    }
}
