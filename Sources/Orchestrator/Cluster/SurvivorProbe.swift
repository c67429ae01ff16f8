import Foundation
import Inventories
package import SSH

/// What a master's own etcd says where no API server answers: asked on its host, of its member alone.
package struct SurvivorEtcd: Sendable, Hashable {
    /// etcd's static pod manifest; `nil` where it is not there.
    package var manifest: EtcdManifest?
    /// The manifest that a recovery has put aside, and did not put back.
    package var kept: EtcdManifest?
    /// A process of it runs.
    package var isRunning = false
    /// That process was given ``EtcdManifest/flag``.
    package var isForced = false
    /// Those that its member knows.
    package var members: [EtcdMember] = []
    /// Of the cluster that its peers know it by, in hexadecimal.
    package var clusterID: String?
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
        package var clusterID: String
        package var leader: String?
        package var revision: Int

        package init(memberID: String, clusterID: String, leader: String? = nil, revision: Int) {
            self.memberID = memberID
            self.clusterID = clusterID
            self.leader = leader
            self.revision = revision
        }
    }

    /// The survivor's own: by what it says of itself, else by the name that its manifest gives it.
    package var own: EtcdMember? {
        let name = manifest?.memberName
        return members.first { member in status.map { $0.memberID == member.id } ?? (member.name == name) }
    }
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
    private static let directory = Inventory.Distribution.kubeadm.etcdDataDirectory

    /// Reads `/members` at the peer port: the member's own word, which needs no majority. etcdctl's list does since 3.5.
    private static let membersScript = """
        place=$(sed -n 's|^ *- --listen-peer-urls=https://\\([^, ]*\\).*|\\1|p' \(EtcdManifest.path) | head -n 1)
        [ -n "$place" ] || { echo "\(EtcdManifest.path) does not say where etcd listens for its peers" >&2; exit 1; }
        cd \(Inventory.Distribution.kubeadm.certificateDirectory)/etcd || exit 1
        said=$(printf 'GET /members HTTP/1.0\\r\\n\\r\\n' | timeout 10 openssl s_client -quiet -verify_return_error -connect "$place" -CAfile ca.crt -cert peer.crt -key peer.key 2>&1)
        list=$(printf '%s\\n' "$said" | grep '^\\[{.*}\\]')
        [ -n "$list" ] || { printf 'https://%s/members: %s\\n' "$place" "$(printf '%s' "$said" | tail -n 1)" >&2; exit 1; }
        printf '%s\\n' "$said" | tr -d '\\r' | sed -n 's/^[Xx]-[Ee]tcd-[Cc]luster-[Ii][Dd]: *//p'
        printf '%s\\n' "$list"
        """

    /// In the etcd container, as ``Etcdctl`` does it.
    private static func ask(_ arguments: [String]) -> String {
        "set -- \(ShellQuoting.join(Etcdctl.program + arguments))\n\(Etcdctl.inContainer)"
    }

    private static var script: SectionedScript {
        var script = SectionedScript()
        script.section("manifest", "[ -e \(EtcdManifest.path) ] || exit 44\ncat \(EtcdManifest.path)")
        script.section("kept", "[ -e \(EtcdManifest.keptPath) ] || exit 44\ncat \(EtcdManifest.keptPath)")
        script.section(
            "process",
            """
            \(Etcdctl.findProcess)
            [ -n "$pid" ] || exit 0
            if tr '\\0' '\\n' <"/proc/$pid/cmdline" | grep -q '^\(EtcdManifest.flag)'; then echo forced; else echo runs; fi
            """)
        script.section("members", membersScript)
        script.section("status", ask(["endpoint", "status", "-w", "json", "--command-timeout=3s"]))
        script.section("age", "echo $(($(date +%s) - $(stat -c %Y \(directory)/member/snap/db)))")
        script.section("database", "stat -c %s \(directory)/member/snap/db")
        script.section("data", "du -sk \(directory) | cut -f1")
        script.section("room", "df -Pk \(directory) | awk 'NR == 2 { print $4 }'")
        return script
    }

    /// All of it, and which of the other members answer.
    /// - Throws: `SSHError`; ``ClusterError`` with `badOutput`.
    package static func run(on remote: any Remote) async throws -> SurvivorEtcd {
        var etcd = try await look(on: remote)
        let urls = etcd.others.flatMap(\.clientURLs)
        if !urls.isEmpty {
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

    package static func look(on remote: any Remote) async throws -> SurvivorEtcd {
        let script = script
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
        etcd.isRunning = sections["process"]?.answer != nil
        etcd.isForced = sections["process"]?.answer == "forced"
        do {
            if data("members") != nil, let list = sections["members"]?.lines.last {
                etcd.members = try EtcdOutput.peerMembers(Data(list.utf8))
                etcd.clusterID = sections["members"]?.lines.dropLast().last
            }
            if let status = sections["status"], status.succeeded {
                etcd.status = try EtcdOutput.survivorStatus(status.output)
            }
        } catch { etcd.problems.append("its JSON cannot be read: \(error)") }
        etcd.silentFor = number("age")
        etcd.databaseBytes = number("database")
        etcd.dataKiB = number("data")
        etcd.availableKiB = number("room")
        return etcd
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

    package static let ownStatusArguments = ["endpoint", "status", "-w", "json", "--command-timeout=5s"]

    /// What the member that etcdctl asks says of itself.
    /// - Throws: `SSHError`; ``ClusterError``.
    package func ownStatus() async throws -> SurvivorEtcd.Status {
        let status = try await run(Self.ownStatusArguments).standardOutput
        do {
            if let read = try EtcdOutput.survivorStatus(status) { return read }
            throw EtcdOutput.NoStatus()
        } catch {
            throw ClusterError(
                .badOutput, host: host, operation: Self.label(Self.ownStatusArguments),
                cause: "its JSON cannot be read: \(error)",
                advice: "run it there by hand and look at what it prints; then: masterswap resume")
        }
    }
}

extension EtcdOutput {
    struct NoStatus: Error {}

    private struct Header: Decodable {
        var revision: Int?
        var cluster: UInt64
        var member: UInt64

        private enum CodingKeys: String, CodingKey {
            case revision
            case cluster = "cluster_id"
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
            memberID: String(status.header.member, radix: 16), clusterID: String(status.header.cluster, radix: 16),
            leader: status.leader.flatMap { $0 == 0 ? nil : String($0, radix: 16) },
            revision: status.header.revision ?? 0)
    }
}
