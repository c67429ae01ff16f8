/// Something that is wrong with etcd as a whole, or with a member that answers.
struct EtcdFault: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        /// Something could not be read: nothing is concluded from that.
        case unread
        case alarm
        /// None is seen, or not the same one by all.
        case leader
        case behind
    }

    var kind: Kind
    var reason: String
    var advice: String

    /// Entries that a member may be behind. etcd refuses requests itself from 5000 entries on that are not applied
    /// (`maxGapBetweenApplyAndCommitIndex`), and keeps 5000 for a member that catches up (`DefaultSnapshotCatchUpEntries`): further
    /// behind, it needs a whole snapshot from the leader, which is the worst moment for losing another one.
    static let lagLimit: UInt64 = 5000

    /// - Parameter counted: the members that a majority is made of: started, healthy, and not the dead one's.
    static func find(_ cluster: ClusterObservation, counted: [EtcdMember]) -> [EtcdFault] {
        // Without members nothing is known of etcd, and that is told elsewhere.
        guard !cluster.members.isEmpty else { return [] }
        return alarms(cluster) + statuses(cluster, counted)
    }

    private static func alarms(_ cluster: ClusterObservation) -> [EtcdFault] {
        guard let alarms = cluster.etcd.alarms else {
            return [
                EtcdFault(
                    kind: .unread, reason: "whether etcd has raised an alarm is not known: \(cluster.etcd.whyUnknown)",
                    advice: "see that etcd answers, on a master: etcdctl alarm list")
            ]
        }
        return alarms.map { alarm in
            EtcdFault(
                kind: .alarm,
                reason: "etcd has raised the alarm \(alarm.kind): \(cluster.name(ofMember: alarm.memberID))",
                advice: alarm.advice)
        }
    }

    private static func statuses(_ cluster: ClusterObservation, _ counted: [EtcdMember]) -> [EtcdFault] {
        guard cluster.etcd.statuses != nil else {
            return [
                EtcdFault(
                    kind: .unread,
                    reason: "the status of etcd's members is not known: \(cluster.etcd.whyUnknown)",
                    advice: "see that etcd answers, on a master: etcdctl endpoint status --cluster")
            ]
        }
        var faults: [EtcdFault] = []
        func add(_ kind: Kind, _ reason: String, _ advice: String) {
            faults.append(EtcdFault(kind: kind, reason: reason, advice: advice))
        }
        var known: [(member: EtcdMember, status: EtcdStatus)] = []
        for member in counted {
            if let status = cluster.etcd.status(of: member) {
                known.append((member, status))
            } else {
                add(
                    .unread, "\(cluster.name(ofMember: member.id)) is healthy and gives no status",
                    "look at it: etcdctl endpoint status --cluster; another member may answer at its address")
            }
        }
        let election = "an election takes seconds; if it stays so, look at the network between the masters"
        for (member, status) in known where status.leader == nil {
            add(.leader, "\(cluster.name(ofMember: member.id)) sees no leader", election)
        }
        func views(_ value: (EtcdStatus) -> String) -> String {
            known.map { "\($0.member.name) \(value($0.status))" }.joined(separator: ", ")
        }
        if Set(known.compactMap(\.status.leader)).count > 1 {
            add(
                .leader, "etcd's members do not agree on their leader: \(views { "sees \($0.leader ?? "none")" })",
                election)
        }
        if Set(known.map(\.status.clusterID)).count > 1 {
            add(
                .leader, "etcd's members are in different clusters: \(views { "is in \($0.clusterID)" })",
                "one was begun again with empty data: look at its etcd pod before anything is removed")
        }
        let front = known.map(\.status.progress).max() ?? 0
        for (member, status) in known where front - status.progress > lagLimit {
            add(
                .behind,
                "\(cluster.name(ofMember: member.id)) is \(front - status.progress) entries behind the others",
                "wait until it has caught up, and look at its disk: etcdctl endpoint status --cluster")
        }
        return faults
    }
}

extension EtcdAlarm {
    fileprivate var advice: String {
        switch kind {
        case .noSpace:
            "its database has reached its quota, and etcd takes no writes: compact and defragment it, or raise --quota-backend-bytes; then: etcdctl alarm disarm"
        case .corrupt:
            "that member's data differs from the others': find out which data is right before any member is removed; etcd's documentation has the procedure"
        case .other: "look it up in the documentation of this etcd: etcdctl alarm list"
        }
    }
}

extension ClusterObservation {
    /// `etcd member 14da7b338b44eee0 'lzx-ocboot-ha-test'`.
    func name(ofMember id: String) -> String {
        let member = members.first { $0.id == id }
        return "etcd member \(id)" + (member.map { $0.name.isEmpty ? "" : " '\($0.name)'" } ?? ", which is not listed")
    }
}
