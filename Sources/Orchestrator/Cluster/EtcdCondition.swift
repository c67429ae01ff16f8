public import Foundation
import Inventories
import SSH

/// What one member of etcd says of itself: `etcdctl endpoint status`.
public struct EtcdStatus: Sendable, Hashable {
    /// Hexadecimal, as ``EtcdMember/id``.
    public var memberID: String
    public var clusterID: String
    /// `3.4.23`.
    public var version: String
    /// The member that it takes for the leader; `nil` where it knows none.
    public var leader: String?
    public var raftIndex: UInt64
    /// `nil` up to etcd 3.3, which does not say it.
    public var raftAppliedIndex: UInt64?
    /// Of its data; `nil` where it did not tell.
    public var revision: UInt64?
    /// As it words them: `etcdserver: no leader`; empty up to etcd 3.3.
    public var errors: [String]

    public init(
        memberID: String, clusterID: String = "1", version: String = "3.4.23", leader: String?, raftIndex: UInt64,
        raftAppliedIndex: UInt64? = nil, revision: UInt64? = nil, errors: [String] = []
    ) {
        self.memberID = memberID
        self.clusterID = clusterID
        self.version = version
        self.leader = leader
        self.raftIndex = raftIndex
        self.raftAppliedIndex = raftAppliedIndex
        self.revision = revision
        self.errors = errors
    }

    /// How much of the log has become data.
    public var progress: UInt64 { raftAppliedIndex ?? raftIndex }
}

/// An alarm that a member raised; it holds for the whole cluster until it is disarmed.
public struct EtcdAlarm: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        /// A member's database has reached its quota: etcd takes no writes but deletions.
        case noSpace
        /// A member's data differs from the others'.
        case corrupt
        case other(Int)
    }

    public var memberID: String
    public var kind: Kind

    public init(memberID: String, kind: Kind) {
        self.memberID = memberID
        self.kind = kind
    }
}

/// What etcd says of itself beside its list of members. What could not be read is `nil`, and ``problems`` says why.
public struct EtcdCondition: Sendable, Hashable {
    /// Of the members that answered.
    public var statuses: [EtcdStatus]?
    public var alarms: [EtcdAlarm]?
    public var problems: [String]

    public init(statuses: [EtcdStatus]? = nil, alarms: [EtcdAlarm]? = nil, problems: [String] = []) {
        self.statuses = statuses
        self.alarms = alarms
        self.problems = problems
    }

    public func status(of member: EtcdMember) -> EtcdStatus? { statuses?.first { $0.memberID == member.id } }

    package var whyUnknown: String { problems.isEmpty ? "etcd was not asked" : problems.joined(separator: "; ") }
}

extension EtcdOutput {
    private struct Endpoint: Decodable {
        var status: Status

        private enum CodingKeys: String, CodingKey {
            case status = "Status"
        }

        /// What is zero or empty is left out by etcdctl.
        struct Status: Decodable {
            var header: Header
            var version: String?
            var leader: UInt64?
            var raftIndex: UInt64?
            var raftAppliedIndex: UInt64?
            var errors: [String]?
        }
        struct Header: Decodable {
            var cluster: UInt64
            var member: UInt64
            var revision: UInt64?

            private enum CodingKeys: String, CodingKey {
                case cluster = "cluster_id"
                case member = "member_id"
                case revision
            }
        }
    }

    /// The members that answered `etcdctl endpoint status -w json`. A member that does not answer is missing from it, and makes the
    /// exit status 1; where none answered it is `null`.
    /// - Throws: `DecodingError` where it is anything else.
    public static func statuses(_ json: Data) throws -> [EtcdStatus] {
        try (JSONDecoder().decode([Endpoint]?.self, from: json) ?? []).map { endpoint in
            let status = endpoint.status
            return EtcdStatus(
                memberID: String(status.header.member, radix: 16),
                clusterID: String(status.header.cluster, radix: 16),
                version: status.version ?? "", leader: status.leader.flatMap { $0 == 0 ? nil : String($0, radix: 16) },
                raftIndex: status.raftIndex ?? 0, raftAppliedIndex: status.raftAppliedIndex,
                revision: status.header.revision, errors: status.errors ?? [])
        }
    }

    private struct AlarmList: Decodable {
        var alarms: [Alarm]?
        struct Alarm: Decodable {
            var memberID: UInt64
            var alarm: Int?
        }
    }

    /// The alarms in `etcdctl alarm list -w json`: `{}`, or a header alone, where there is none.
    /// - Throws: `DecodingError` where it is anything else.
    public static func alarms(_ json: Data) throws -> [EtcdAlarm] {
        // AlarmType of etcd's rpc.proto: 0 is none, which no member raises.
        try (JSONDecoder().decode(AlarmList.self, from: json).alarms ?? []).filter { $0.alarm ?? 0 != 0 }.map { alarm in
            let kind: EtcdAlarm.Kind =
                switch alarm.alarm {
                case 1: .noSpace
                case 2: .corrupt
                case let number: .other(number ?? 0)
                }
            return EtcdAlarm(memberID: String(alarm.memberID, radix: 16), kind: kind)
        }
    }
}

extension Etcdctl {
    /// A member that does not answer costs the two seconds, one after the other.
    package static let statusArguments = ["endpoint", "status", "--cluster", "-w", "json", "--command-timeout=2s"]
    static let alarmArguments = ["alarm", "list", "-w", "json", "--command-timeout=2s"]

    /// - Throws: `SSHError`; ``ClusterError`` where etcdctl does not answer, or not as it should.
    package func alarms() async throws -> [EtcdAlarm] {
        guard distribution.hasEtcdctl else { return Array(uniqued: try await beside().flatMap(\.alarms)) }
        let answer = try await run(Self.alarmArguments)
        do {
            return try EtcdOutput.alarms(answer.standardOutput)
        } catch {
            throw ClusterError(
                .badOutput, host: host, operation: Self.label(Self.alarmArguments),
                cause: "its JSON cannot be read: \(error)",
                advice: "run it there by hand and look at what it prints; then: masterswap resume")
        }
    }

    /// Shell text that prints the JSON that etcdctl answers beside the member of `$node`, and nothing else; where there is none, it
    /// ends with 1, and standard error says why. The JSON counts, not the exit status: a member that does not answer makes it 1.
    static func question(
        _ arguments: [String], _ kubectl: String, _ distribution: Inventory.Distribution
    ) -> String {
        """
        \(Etcdctl.ways(kubectl, distribution))
        set -- \(arguments.joined(separator: " "))
        for way in direct by_shell; do
            answer=$($way "$@")
            case $answer in '{'*|'['*|null) printf '%s' "$answer"; exit 0 ;; esac
        done
        exit 1
        """
    }

    /// Reads what the two sections of the probe's script hold.
    package static func condition(
        status: SectionedScript.Section?, alarms: SectionedScript.Section?, host: String
    ) -> EtcdCondition {
        var condition = EtcdCondition()
        func read<T>(
            _ section: SectionedScript.Section?, _ arguments: [String], _ parse: (Data) throws -> T
        ) -> T? {
            guard let section else {
                condition.problems.append("\(host): \(label(arguments)): it was not asked")
                return nil
            }
            do {
                if section.succeeded { return try parse(section.output) }
                let cause = KubectlMessage(section.errorText).cause
                condition.problems.append(
                    "\(host): \(label(arguments)): \(cause.isEmpty ? "exit status \(section.status)" : cause)")
            } catch {
                condition.problems.append("\(host): \(label(arguments)): its JSON cannot be read: \(error)")
            }
            return nil
        }
        condition.statuses = read(status, statusArguments, EtcdOutput.statuses)
        condition.alarms = read(alarms, alarmArguments, EtcdOutput.alarms)
        return condition
    }
}

/// `3.5.30` → 3, 5, 30.
public struct EtcdVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    private let numbers: [Int]

    public init(_ major: Int, _ minor: Int, _ patch: Int) { numbers = [major, minor, patch] }

    public init?(_ text: String) {
        let parts = text.split(separator: ".").prefix(3).map { Int($0.prefix { $0.isNumber }) }
        guard parts.count == 3, !parts.contains(nil) else { return nil }
        numbers = parts.compactMap(\.self)
    }

    public static func < (left: Self, right: Self) -> Bool { left.numbers.lexicographicallyPrecedes(right.numbers) }
    public var description: String { numbers.map(String.init).joined(separator: ".") }

    /// Whether a member can be added while another does not answer. Up to then `--strict-reconfig-check`, which is on unless it is
    /// switched off, wants every voting member connected; since then it wants a majority of what there is after the addition
    /// (etcd-io/etcd commit 887c8486d; tried with 3.4.23, 3.5.16 and 3.5.30).
    public var addsMemberBesideOneThatIsDown: Bool {
        switch (numbers[0], numbers[1]) {
        case (3, 5): self >= EtcdVersion(3, 5, 30)
        case (3, 6): self >= EtcdVersion(3, 6, 11)
        default: self >= EtcdVersion(3, 7, 0)
        }
    }
}
