public import Foundation

/// One member of the cluster's etcd.
public struct EtcdMember: Sendable, Hashable, Codable {
    /// Hexadecimal, as `etcdctl member remove` wants it; `member list -w json` gives it in decimal.
    public var id: String
    /// Empty until the member has started once.
    public var name: String
    public var peerURLs: [String]
    public var clientURLs: [String]
    public var isLearner: Bool
    /// As `etcdctl endpoint health` says of its client URL; `false` where it was not asked.
    public var isHealthy: Bool

    public init(
        id: String, name: String, peerURLs: [String], clientURLs: [String], isLearner: Bool = false,
        isHealthy: Bool = false
    ) {
        self.id = id
        self.name = name
        self.peerURLs = peerURLs
        self.clientURLs = clientURLs
        self.isLearner = isLearner
        self.isHealthy = isHealthy
    }

    public var isStarted: Bool { !name.isEmpty && !clientURLs.isEmpty }

    /// The addresses in its peer URLs: `https://10.0.0.1:2380` → `10.0.0.1`, `https://[fd00::1]:2380` → `fd00::1`.
    public var addresses: [String] { peerURLs.compactMap(IPAddress.host) }
}

/// What members decide together: of those that vote, a majority must be healthy.
package struct Quorum: Sendable, Hashable, CustomStringConvertible {
    package var voting: Int
    package var healthy: Int

    package init(voting: Int, healthy: Int) { (self.voting, self.healthy) = (voting, healthy) }

    package init(_ members: [EtcdMember]) {
        let voters = members.filter { !$0.isLearner }
        self.init(voting: voters.count, healthy: voters.count(where: \.isHealthy))
    }

    package var needed: Int { voting / 2 + 1 }
    package var isThere: Bool { healthy >= needed }

    package var description: String {
        "\(voting) voting member\(voting == 1 ? "" : "s"), of which \(needed) must be healthy; \(healthy) \(healthy == 1 ? "is" : "are")"
    }
}

/// etcdctl's output, read.
public enum EtcdOutput {
    private struct MemberList: Decodable {
        var members: [Member]
        package struct Member: Decodable {
            var id: UInt64
            var name: String?
            var peerURLs: [String]?
            var clientURLs: [String]?
            var isLearner: Bool?

            private enum CodingKeys: String, CodingKey {
                case id = "ID"
                case name, peerURLs, clientURLs, isLearner
            }
        }
    }

    /// The members in `etcdctl member list -w json`.
    /// - Throws: `DecodingError` where it is anything else.
    public static func members(_ json: Data) throws -> [EtcdMember] {
        try JSONDecoder().decode(MemberList.self, from: json).members.map { member in
            EtcdMember(
                id: String(member.id, radix: 16), name: member.name ?? "", peerURLs: member.peerURLs ?? [],
                clientURLs: member.clientURLs ?? [], isLearner: member.isLearner ?? false)
        }
    }

    /// Whether that is an answer of `etcdctl endpoint health`, which fails where a member is not healthy.
    public static func tellsHealth(_ text: String) -> Bool {
        text.contains("://") && (text.contains(" is healthy") || text.contains(" is unhealthy"))
    }

    /// The client URLs that `etcdctl endpoint health` calls healthy. Its text form is read because 3.3 has no other.
    ///
    /// From 3.5 on it calls every member unhealthy for as long as there is an alarm, though each has answered before: an alarm is not
    /// the loss of a member, and has a rule of its own.
    public static func healthyEndpoints(_ text: String) -> Set<String> {
        Set(
            text.split(separator: "\n").compactMap { line in
                let range =
                    line.contains(": Active Alarm(s): ")
                    ? line.range(of: " is unhealthy") : line.range(of: " is healthy")
                return range.map { String(line[..<$0.lowerBound]) }
            })
    }
}
