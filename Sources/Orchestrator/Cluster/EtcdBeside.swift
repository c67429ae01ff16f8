import Foundation
import Inventories
import SSH

/// etcd inside of k3s, asked without etcdctl, which the hosts of such a cluster do not have.
///
/// The list of members is what a member's peer port gives to one that joins (`/members`). Its health and its numbers each member tells
/// on 127.0.0.1:2381, to its own host alone. Its client port speaks gRPC only, from 1.28.3 on, and whether its JSON gateway is on
/// depends on the release.
public struct EtcdBeside: Sendable, Hashable {
    /// Hexadecimal, as ``EtcdMember/id``.
    public var memberID: String
    public var version: String
    /// It reads by way of a leader and a majority. An alarm is no loss of a member; it is told in ``alarms``.
    public var isHealthy: Bool
    public var alarms: [EtcdAlarm]
    public var hasLeader: Bool
    public var isLeader: Bool
    public var committed: UInt64
    public var applied: UInt64
    /// Of its data; `nil` where it did not tell.
    public var revision: UInt64?

    public init(
        memberID: String, version: String = "3.5.9", isHealthy: Bool = true, alarms: [EtcdAlarm] = [],
        hasLeader: Bool = true, isLeader: Bool = false, committed: UInt64 = 0, applied: UInt64 = 0,
        revision: UInt64? = nil
    ) {
        self.memberID = memberID
        self.version = version
        self.isHealthy = isHealthy
        self.alarms = alarms
        self.hasLeader = hasLeader
        self.isLeader = isLeader
        self.committed = committed
        self.applied = applied
        self.revision = revision
    }

    fileprivate static let place = "127.0.0.1:2381"
    private static let numbers = [
        "id", "version", "has_leader", "is_leader", "proposals_committed_total", "proposals_applied_total",
    ]

    /// Shell text that prints what the member on this host tells of itself; nothing where there is none.
    static let script = """
        told() { LC_ALL=C timeout 5 bash -c 'exec 3<>/dev/tcp/\(place.replacing(":", with: "/")) && printf "GET /%s HTTP/1.0\\r\\n\\r\\n" "$0" >&3 && cat <&3' "$1" 2>/dev/null; }
        told health | grep '^{"health"'
        told metrics | grep '^etcd_server_\\(\(numbers.joined(separator: "\\|"))\\)[ {]\\|^\(SurvivorProbe.revisionMetric) '
        true
        """

    /// How the question is told to people.
    package static let label = "read health and metrics of etcd at \(place)"

    package static let membersLabel = "read etcd's members at its peer port"

    /// - Returns: `nil` where no member told of itself.
    init?(_ lines: [String]) {
        struct Health: Decodable {
            var health: String
            var reason: String?
        }
        var health: Health?
        var values: [String: String] = [:]
        for line in lines {
            if line.hasPrefix("{") {
                health = try? JSONDecoder().decode(Health.self, from: Data(line.utf8))
                continue
            }
            // `etcd_server_has_leader 1`, `etcd_server_id{server_id="cc0780510ec0fd33"} 1`.
            let words = line.split(separator: " ")
            if line.hasPrefix(SurvivorProbe.revisionMetric + " ") { values["revision"] = words.last.map(String.init) }
            guard words.count == 2, line.hasPrefix("etcd_server_") else { continue }
            let name = words[0].dropFirst("etcd_server_".count).prefix { $0 != "{" }
            let label = words[0].split(separator: "\"")
            values[String(name)] = String(label.count == 3 ? label[1] : words[1])
        }
        func told(_ name: String) -> UInt64? {
            values[name].flatMap(Double.init).flatMap { UInt64(exactly: $0.rounded()) }
        }
        func number(_ name: String) -> UInt64 { told(name) ?? 0 }
        guard let health, let id = values["id"], let version = values["version"] else { return nil }
        let alarm = health.reason.flatMap { $0.hasPrefix("ALARM ") ? $0.dropFirst("ALARM ".count) : nil }
        let kind: EtcdAlarm.Kind? =
            switch alarm {
            case nil: nil
            case "NOSPACE"?: .noSpace
            case "CORRUPT"?: .corrupt
            default: .other(0)
            }
        self.init(
            memberID: id, version: version, isHealthy: health.health == "true" || alarm != nil,
            alarms: kind.map { [EtcdAlarm(memberID: id, kind: $0)] } ?? [], hasLeader: values["has_leader"] == "1",
            isLeader: values["is_leader"] == "1", committed: number("proposals_committed_total"),
            applied: number("proposals_applied_total"), revision: told("revision"))
    }
}

extension EtcdOutput {
    /// The members in the answer of a peer port's `/members`.
    /// - Throws: `DecodingError` where it is anything else.
    static func peerMembers(_ json: Data) throws -> [EtcdMember] {
        struct Member: Decodable {
            var id: UInt64
            var name: String?
            var peerURLs: [String]?
            var clientURLs: [String]?
            var isLearner: Bool?
        }
        return try JSONDecoder().decode([Member].self, from: json).map { member in
            EtcdMember(
                id: String(member.id, radix: 16), name: member.name ?? "", peerURLs: member.peerURLs ?? [],
                clientURLs: member.clientURLs ?? [], isLearner: member.isLearner ?? false)
        }
    }

    /// A member that told nothing of itself is not healthy, as one that does not answer etcdctl.
    static func mark(_ members: [EtcdMember], _ told: [EtcdBeside]) -> [EtcdMember] {
        members.map { member in
            var member = member
            member.isHealthy = told.contains { $0.memberID == member.id && $0.isHealthy }
            return member
        }
    }
}

extension ClusterObservation {
    /// Puts to the list of members what each of them tells on its own host.
    mutating func take(_ told: [EtcdBeside]) {
        guard !members.isEmpty else { return }
        members = EtcdOutput.mark(members, told)
        guard !told.isEmpty else {
            etcd = EtcdCondition(problems: ["on no master etcd tells its health at \(EtcdBeside.place)"])
            return
        }
        let leader = told.first(where: \.isLeader)?.memberID ?? "a member that was not asked"
        etcd = EtcdCondition(
            statuses: told.map {
                EtcdStatus(
                    memberID: $0.memberID, clusterID: "", version: $0.version,
                    leader: $0.isLeader ? $0.memberID : $0.hasLeader ? leader : nil, raftIndex: $0.committed,
                    raftAppliedIndex: $0.applied, revision: $0.revision)
            }, alarms: Array(uniqued: told.flatMap(\.alarms)))
    }
}
