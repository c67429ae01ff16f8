extension CheckReport: KeptReport {
    public static var folder: String { "checks" }

    /// Says what is different from an earlier check.
    public mutating func compare(with last: CheckReport) {
        since = last.at
        changes = Self.changes(from: last, to: self)
    }

    /// A problem is the same one while its code and subject are: its words carry figures that change every time.
    static func changes(from last: CheckReport, to now: CheckReport) -> [Change] {
        func has(_ finding: Finding, _ report: CheckReport) -> Bool {
            report.findings.contains { $0.code == finding.code && $0.subject == finding.subject }
        }
        var changes = now.findings.filter { !has($0, last) }
            .map { Change(kind: .newProblem, subject: $0.subject, text: $0.text) }
        // Where no master answers, nothing of the cluster is known: what was wrong with it is not gone.
        if now.source != nil {
            changes += last.findings.filter { !has($0, now) }
                .map { Change(kind: .goneProblem, subject: $0.subject, text: $0.text) }
        }
        let isSeen = [last, now].allSatisfy { report in report.hosts.contains(where: \.reached) }
        if isSeen, last.vipHolders != now.vipHolders {
            func place(_ holders: [String]) -> String {
                holders.isEmpty ? "no host" : holders.joined(separator: " and ")
            }
            changes.append(
                Change(
                    kind: .vipMoved, subject: "vip", text: "from \(place(last.vipHolders)) to \(place(now.vipHolders))")
            )
        }
        guard last.source != nil, now.source != nil else { return changes }
        let nodes = (last.nodes.map(\.name), now.nodes.map(\.name))
        changes += nodes.1.filter { !nodes.0.contains($0) }.map {
            Change(kind: .nodeAdded, subject: $0, text: "is a node now")
        }
        changes += nodes.0.filter { !nodes.1.contains($0) }
            .map { Change(kind: .nodeRemoved, subject: $0, text: "is no node any more") }
        // etcd that could not be asked is a finding; its members are not gone.
        guard !last.members.isEmpty, !now.members.isEmpty else { return changes }
        changes += now.members.filter { member in !last.members.contains { $0.id == member.id } }
            .map { Change(kind: .memberAdded, subject: "etcd", text: "member \($0.id) \($0.name)") }
        changes += last.members.filter { member in !now.members.contains { $0.id == member.id } }
            .map { Change(kind: .memberRemoved, subject: "etcd", text: "member \($0.id) \($0.name)") }
        return changes
    }
}
