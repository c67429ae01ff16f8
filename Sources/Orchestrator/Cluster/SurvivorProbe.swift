import Foundation
package import Inventories
package import SSH

/// What a master's own etcd says where no API server answers: asked on its host, of its member alone.
package struct SurvivorEtcd: Sendable, Hashable {
    /// etcd's static pod manifest; `nil` where it is not there.
    package var manifest: EtcdManifest?
    /// The manifest that a recovery has put aside, and did not put back.
    package var kept: EtcdManifest?
    /// What a recovery has marked where it has stopped k3s.
    package var mark: ServerMark?
    /// What k3s is given that a reset would lack or not bear: a name and where it stands, each.
    package var obstacles: [String] = []
    /// A process of it runs.
    package var isRunning = false
    /// That process was given ``EtcdManifest/flag``; k3s, `--cluster-reset`.
    package var isForced = false
    /// Those that its member knows.
    package var members: [EtcdMember] = []
    /// What it answers to clients; `nil` where it answers none, as one that was started without a majority.
    package var status: Status?
    /// Why it says nothing.
    package var problems: [String] = []
    /// Seconds since its database was written or opened, by its host's clock. The others may have had a majority all the while; and each
    /// restart of an etcd without one, by the kubelet, opens it.
    package var silentFor: Int?
    package var databaseBytes: Int?
    package var dataKiB: Int?
    package var availableKiB: Int?
    /// IDs of other members that answer its host.
    package var answering: [String] = []

    package init() {}

    package struct Status: Sendable, Hashable {
        package var memberID: String
        package var leader: String?
        package var revision: Int

        package init(memberID: String, leader: String? = nil, revision: Int) {
            self.memberID = memberID
            self.leader = leader
            self.revision = revision
        }
    }

    /// The survivor's own: by what it says of itself, else by the name that its manifest gives it.
    package var own: EtcdMember? {
        let name = manifest?.memberName
        return members.first { member in status.map { $0.memberID == member.id } ?? (member.name == name) }
    }

    /// A recovery has stopped it, so that it stays so.
    package var isPutAside: Bool {
        kept != nil && (manifest == nil || manifest?.isRestoring == true) || mark != nil && !isRunning
    }

    /// An earlier recovery has left it as it must not stay.
    package var isLeftover: Bool {
        isForced || manifest?.isForcing == true || manifest?.isRestoring == true || mark != nil
    }

    /// It may run at another moment: nobody has stopped it, and it has data to run on.
    package var mayRun: Bool { !isPutAside && databaseBytes != nil }

    fileprivate mutating func take(others result: CommandResult) {
        if let ids = SurvivorProbe.asked(result) {
            answering = ids
        } else {
            members = []
            problems.append("its etcdctl asked no other member: \(result.errorText.lastLines(1))")
        }
    }

    package var others: [EtcdMember] { members.filter { $0.id != own?.id } }
}

/// Asks a master about its own etcd.
package struct SurvivorProbe: Sendable {
    package static let operation = "look at its own etcd"
    /// Of etcd 3.4 and newer: what is counted is what `etcdctl` tells as revision.
    static let revisionMetric = "etcd_debugging_mvcc_current_revision"

    private static func script(_ distribution: Inventory.Distribution) -> SectionedScript {
        let directory = distribution.etcdDataDirectory
        var script = SectionedScript()
        for question in distribution.survivorQuestions { script.section(question.name, question.script) }
        script.section("members", distribution.peerMembers())
        script.section("age", "echo $(($(date +%s) - $(stat -c %Y \(directory)/member/snap/db)))")
        script.section("database", "[ -f \(directory)/member/snap/db ] && stat -c %s \(directory)/member/snap/db")
        script.section("data", "du -sk \(directory) | cut -f1")
        script.section("room", "df -Pk \(directory) | awk 'NR == 2 { print $4 }'")
        return script
    }

    /// All of it, and which of the other members answer.
    /// - Throws: `SSHError`; ``ClusterError`` with `badOutput`.
    package static func run(
        on remote: any Remote, _ distribution: Inventory.Distribution
    ) async throws -> SurvivorEtcd {
        var etcd = try await look(on: remote, distribution)
        let urls = etcd.others.flatMap(\.clientURLs)
        // Without an etcdctl the ports are all that can be asked, and a look at the others asks these.
        if !urls.isEmpty, distribution.hasEtcdctl {
            // A slow one is alive, too.
            let arguments = ["endpoint", "status", "-w", "json", "--command-timeout=4s"]
            let result = try await remote.run(
                .script(
                    Etcdctl.inContainer, Etcdctl.program(endpoints: urls) + arguments,
                    timeout: .seconds(20 + 10 * urls.count), label: Etcdctl.label(arguments)))
            etcd.take(others: result)
        }
        return etcd
    }

    /// `etcdctl endpoint status` names each endpoint that does not answer (ep_command.go). Where it did neither that nor print a status it
    /// has asked nobody, as in the moment in which the kubelet restarts etcd: then nothing is known of the members either.
    package static func asked(_ result: CommandResult) -> [String]? {
        if let statuses = try? EtcdOutput.statuses(result.standardOutput), !statuses.isEmpty {
            return statuses.map(\.memberID)
        }
        return result.errorText.contains("Failed to get the status of endpoint") ? [] : nil
    }

    package static func look(
        on remote: any Remote, _ distribution: Inventory.Distribution
    ) async throws -> SurvivorEtcd {
        let script = script(distribution)
        let result = try await remote.run(script.command(label: operation, timeout: .seconds(90)))
        return read(try script.parse(result, host: remote.name, operation: operation))
    }

    package static func read(_ sections: [String: SectionedScript.Section]) -> SurvivorEtcd {
        var etcd = SurvivorEtcd()
        func file(_ name: String) -> EtcdManifest? {
            sections[name].flatMap { $0.succeeded ? EtcdManifest(String(decoding: $0.output, as: UTF8.self)) : nil }
        }
        func number(_ name: String) -> Int? { sections[name]?.answer.flatMap { Int($0) } }
        func data(_ name: String) -> Data? {
            guard let section = sections[name], section.succeeded else {
                etcd.problems.append("\(name): \(sections[name]?.errorText.lastLines(1) ?? "it was not asked")")
                return nil
            }
            return section.output
        }
        etcd.manifest = file("manifest")
        etcd.kept = file("kept")
        etcd.mark = sections["mark"]?.answer.flatMap(ServerMark.init)
        etcd.obstacles = sections["obstacles"]?.lines ?? []
        etcd.isRunning = sections["process"]?.answer != nil
        etcd.isForced = sections["process"]?.answer == "forced"
        do {
            if data("members") != nil, let list = sections["members"]?.lines.last {
                etcd.members = try EtcdOutput.peerMembers(Data(list.utf8))
            }
            if let status = sections["status"], status.succeeded {
                etcd.status =
                    status.text.hasPrefix("[")
                    ? try EtcdOutput.survivorStatus(status.output) : beside(status.lines)
            }
        } catch { etcd.problems.append("its JSON cannot be read: \(error)") }
        etcd.silentFor = number("age")
        etcd.databaseBytes = number("database")
        etcd.dataKiB = number("data")
        etcd.availableKiB = number("room")
        return etcd
    }
}

extension SurvivorProbe {
    /// What a member tells without etcdctl: whether it has a leader, and not which one that is.
    private static func beside(_ lines: [String]) -> SurvivorEtcd.Status? {
        guard let told = EtcdBeside(lines) else { return nil }
        return SurvivorEtcd.Status(
            memberID: told.memberID,
            leader: told.isLeader ? told.memberID : told.hasLeader ? "another member" : nil,
            revision: told.revision.map { Int(clamping: $0) } ?? 0)
    }
}

extension Etcdctl {
    /// etcdctl with its options, inside of etcd's container.
    static let program = ["etcdctl"] + Inventory.Distribution.kubeadm.etcdctlOptions

    /// The same, for other members.
    static func program(endpoints: [String]) -> [String] {
        ["etcdctl", "--endpoints=\(endpoints.joined(separator: ","))"]
            + Inventory.Distribution.kubeadm.etcdctlOptions.filter { !$0.hasPrefix("--endpoints=") }
    }
}

extension EtcdOutput {
    private struct Header: Decodable {
        var revision: Int?
        var member: UInt64

        private enum CodingKeys: String, CodingKey {
            case revision
            case member = "member_id"
        }
    }

    private struct OwnStatus: Decodable {
        struct Status: Decodable {
            var header: Header
            var leader: UInt64?
        }
        var status: Status

        private enum CodingKeys: String, CodingKey { case status = "Status" }
    }

    /// Of `etcdctl endpoint status -w json`, of one member.
    /// - Throws: `DecodingError` where it is anything else.
    static func survivorStatus(_ json: Data) throws -> SurvivorEtcd.Status? {
        guard let status = try JSONDecoder().decode([OwnStatus]?.self, from: json)?.first?.status else { return nil }
        return SurvivorEtcd.Status(
            memberID: String(status.header.member, radix: 16),
            leader: status.leader.flatMap { $0 == 0 ? nil : String($0, radix: 16) },
            revision: status.header.revision ?? 0)
    }
}
