package import Cluster
package import Inventories

/// etcd takes a change of its members well: no alarm, one leader that all see, every member that counts close behind it.
public enum EtcdIsWell: SafetyRule {
    public static let id = "etcd-is-well"
    public static let prevents =
        "changing the members of an etcd that takes no writes, has damaged data or is still catching up"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        let cluster = input.state.cluster
        // A half-finished join is cleaned up by a step; QuorumSurvives counts members that are not healthy.
        let counted = input.remainingMembers.filter { $0.isHealthy && $0.isStarted }
        let leaders = Set(counted.compactMap { cluster.etcd.status(of: $0)?.leader })
        let dead = input.deadMembers.filter { leaders.contains($0.id) && !input.fences }
        return faults(cluster, counted: counted, input.state.inventory.cluster.distribution).map(\.refusal)
            + dead.map {
                refusal(
                    "etcd's leader is the dead one's member \($0.id)",
                    advice: "it lives, or has died within the last seconds: look again")
            }
    }

    /// Something that is wrong with etcd as a whole, or with a member that answers.
    package struct Fault: Sendable, Hashable {
        package enum Kind: Sendable, Hashable {
            /// Something could not be read: nothing is concluded from that.
            case unread
            case alarm
            /// None is seen, or not the same one by all.
            case leader
            case behind
            /// Members have different data, though none has raised an alarm.
            case data
        }

        package var kind: Kind
        package var refusal: Refusal
    }

    /// Entries that a member may be behind. etcd refuses requests itself from 5000 entries on that are not applied
    /// (`maxGapBetweenApplyAndCommitIndex`), and keeps 5000 for a member that catches up (`DefaultSnapshotCatchUpEntries`): further
    /// behind, it needs a whole snapshot from the leader, which is the worst moment for losing another one.
    static let lagLimit: UInt64 = 5000

    /// Revisions by which a member's data may seem to be others than they are: it tells its revision a moment after its index.
    static let revisionTolerance: Int64 = 100

    /// Each entry of the log adds one revision at most, and the same one on each member: further on in the log, a member has no lower
    /// revision, and none higher by more than the entries between. etcd does not compare them itself.
    /// - Returns: a pair that cannot be.
    static func differing<Status: Sequence<EtcdStatus>>(_ statuses: Status) -> (EtcdStatus, EtcdStatus)? {
        let told = statuses.filter { $0.raftAppliedIndex != nil && $0.revision != nil }.sorted {
            $0.progress < $1.progress
        }
        for (place, less) in told.enumerated() {
            for more in told[(place + 1)...] {
                let entries = Int64(clamping: more.progress - less.progress)
                let revisions = Int64(clamping: more.revision ?? 0) - Int64(clamping: less.revision ?? 0)
                if revisions < -revisionTolerance || revisions - revisionTolerance > entries { return (less, more) }
            }
        }
        return nil
    }

    /// - Parameter counted: the members that a majority is made of: started, healthy, and not the dead one's.
    package static func faults(
        _ cluster: ClusterObservation, counted: [EtcdMember], _ distribution: Inventory.Distribution
    ) -> [Fault] {
        // Without members nothing is known of etcd, and that is told elsewhere.
        guard !cluster.members.isEmpty else { return [] }
        return alarms(cluster, distribution) + statuses(cluster, counted, distribution)
    }

    private static func alarms(_ cluster: ClusterObservation, _ distribution: Inventory.Distribution) -> [Fault] {
        guard let alarms = cluster.etcd.alarms else {
            return [
                Fault(
                    kind: .unread,
                    refusal: refusal(
                        "whether etcd has raised an alarm is not known: \(cluster.etcd.whyUnknown)",
                        advice: "see that etcd answers, on a master: \(distribution.alarmQuestion)"))
            ]
        }
        return alarms.map { alarm in
            let member = cluster.name(ofMember: alarm.memberID)
            let told =
                switch alarm.kind {
                case .noSpace:
                    refusal(
                        "etcd has raised the alarm NOSPACE: \(member)",
                        advice:
                            "its database has reached its quota, and etcd takes no writes: compact and defragment it, or raise --quota-backend-bytes; then: \(distribution.etcdctlByHand) alarm disarm"
                    )
                case .corrupt:
                    refusal(
                        "etcd has raised the alarm CORRUPT: \(member)",
                        advice:
                            "that member's data differs from the others': find out which data is right before any member is removed; etcd's documentation has the procedure"
                    )
                case .other(let number):
                    refusal(
                        "etcd has raised the alarm number \(number): \(member)",
                        advice: "look it up in the documentation of this etcd: \(distribution.alarmQuestion)")
                }
            return Fault(kind: .alarm, refusal: told)
        }
    }

    private static func statuses(
        _ cluster: ClusterObservation, _ counted: [EtcdMember], _ distribution: Inventory.Distribution
    ) -> [Fault] {
        guard cluster.etcd.statuses != nil else {
            return [
                Fault(
                    kind: .unread,
                    refusal: refusal(
                        "the status of etcd's members is not known: \(cluster.etcd.whyUnknown)",
                        advice: "see that etcd answers, on a master: \(distribution.statusQuestion)"))
            ]
        }
        var faults: [Fault] = []
        func add(_ kind: Fault.Kind, _ refusal: Refusal) { faults.append(Fault(kind: kind, refusal: refusal)) }
        var known: [(member: EtcdMember, status: EtcdStatus)] = []
        for member in counted {
            if let status = cluster.etcd.status(of: member) {
                known.append((member, status))
            } else {
                add(
                    .unread,
                    refusal(
                        "\(cluster.name(ofMember: member.id)) is healthy and gives no status",
                        advice:
                            "look at it: \(distribution.statusQuestion); another member may answer at its address"))
            }
        }
        let election = "an election takes seconds; if it stays so, look at the network between the masters"
        for (member, status) in known where status.leader == nil {
            add(.leader, refusal("\(cluster.name(ofMember: member.id)) sees no leader", advice: election))
        }
        func views(_ value: (EtcdStatus) -> String) -> String {
            known.map { "\($0.member.name) \(value($0.status))" }.joined(separator: ", ")
        }
        if Set(known.compactMap(\.status.leader)).count > 1 {
            add(
                .leader,
                refusal(
                    "etcd's members do not agree on their leader: \(views { "sees \($0.leader ?? "none")" })",
                    advice: election))
        }
        if Set(known.map(\.status.clusterID)).count > 1 {
            add(
                .leader,
                refusal(
                    "etcd's members are in different clusters: \(views { "is in \($0.clusterID)" })",
                    advice:
                        "one was begun again with empty data: look at \(distribution.etcdLog), before anything is removed"
                ))
        }
        if let (less, more) = differing(known.map(\.status)) {
            func told(_ status: EtcdStatus) -> String {
                "\(cluster.name(ofMember: status.memberID)) is at revision \(status.revision ?? 0) after entry \(status.progress)"
            }
            add(
                .data,
                refusal(
                    "etcd's members do not have the same data: \(told(less)), \(told(more))",
                    advice:
                        "as after --force-new-cluster or k3s' --cluster-reset (etcd #14009): change nothing, find out which one's data is right, and keep a snapshot of each: etcd's documentation has the procedure for a corrupt member"
                ))
        }
        // Of what any of them knows of, not only of what another has applied: all of them may be behind.
        let front = known.map { max($0.status.raftIndex, $0.status.progress) }.max() ?? 0
        for (member, status) in known where front - status.progress > lagLimit {
            add(
                .behind,
                refusal(
                    "\(cluster.name(ofMember: member.id)) is \(front - status.progress) entries behind the log",
                    advice: "wait until it has caught up, and look at its disk: \(distribution.statusQuestion)"))
        }
        return faults
    }
}

extension ClusterObservation {
    /// `etcd member 14da7b338b44eee0 'lzx-ocboot-ha-test'`.
    package func name(ofMember id: String) -> String {
        let member = members.first { $0.id == id }
        return "etcd member \(id)" + (member.map { $0.name.isEmpty ? "" : " '\($0.name)'" } ?? ", which is not listed")
    }
}
