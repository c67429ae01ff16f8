import Foundation
public import Inventories
public import SSH

/// etcdctl beside one member: in the master's static etcd pod, or on the host itself with k3s.
///
/// Cloudpods runs a second etcd, `onecloud/default-etcd-*`, for its own use: only kube-system's static pod of a named master is
/// ever entered.
public struct Etcdctl: Sendable {
    private let kubectl: Kubectl
    package var host: String { kubectl.host }
    private let words: [String]
    /// etcdutl, which reads files and asks no member.
    private let utility: [String]
    private let isLocal: Bool

    public init(_ kubectl: Kubectl, node: String, distribution: Inventory.Distribution) {
        self.kubectl = kubectl
        isLocal = distribution == .k3s
        utility = isLocal ? ["etcdutl"] : ["exec", "-n", "kube-system", "etcd-\(node)", "--", "etcdutl"]
        words = Self.words(node: node, distribution: distribution, version: kubectl.version)
    }

    /// etcdctl and its options, after kubectl's own words where the member runs in a pod.
    package static func words(
        node: String, distribution: Inventory.Distribution, version: KubernetesVersion?
    ) -> [String] {
        let credentials = distribution.etcdCredentials
        let options = [
            "--endpoints=https://127.0.0.1:2379", "--cacert=\(credentials.authority)",
            "--cert=\(credentials.certificate)",
            "--key=\(credentials.key)",
        ]
        switch distribution {
        case .kubeadm:
            // etcd 3.3, up to Kubernetes 1.16, speaks v2 unless told otherwise, and its image has a shell; newer ones may have none.
            let isOld = version.map { $0 < KubernetesVersion(1, 17) } ?? false
            let program = isOld ? ["sh", "-c", #"ETCDCTL_API=3 exec etcdctl "$@""#, "sh"] : ["etcdctl"]
            return ["exec", "-n", "kube-system", "etcd-\(node)", "--"] + program + options
        case .k3s:
            return ["env", "ETCDCTL_API=3", "etcdctl"] + options
        }
    }

    /// - Throws: `SSHError`; ``ClusterError`` with `commandFailed`.
    @discardableResult
    public func run(_ arguments: [String], timeout: Duration = .seconds(30)) async throws -> CommandResult {
        try await answer(arguments, timeout: timeout, accepts: \.succeeded).result
    }

    /// What a snapshot holds.
    public struct SnapshotStatus: Decodable, Sendable, Hashable {
        public var revision: Int
        public var totalKey: Int
    }

    package static func statusArguments(_ path: String) -> [String] { ["snapshot", "status", path, "-w", "json"] }

    /// Verifies a snapshot's checksum, and reads what it holds. `snapshot status` went from etcdctl to etcdutl with etcd 3.6, whose
    /// etcdctl prints its help and ends with 0.
    /// - Throws: `SSHError`; ``ClusterError`` with `badOutput` where neither gives a status.
    public func snapshotStatus(_ path: String) async throws -> SnapshotStatus {
        let arguments = Self.statusArguments(path)
        func read(_ result: CommandResult) -> SnapshotStatus? {
            result.succeeded ? try? JSONDecoder().decode(SnapshotStatus.self, from: result.standardOutput) : nil
        }
        func words(_ result: CommandResult) -> String {
            let said = KubectlMessage(result.errorText).cause
            return "\(result.outcome): \(said.isEmpty ? result.text.lastLines(1) : said)"
        }
        let said = try await answer(arguments, timeout: .seconds(120), accepts: { _ in true })
        if let status = read(said.result) { return status }
        let makeCommand = { (prefix: [String]) in
            Command(
                (isLocal ? [] : prefix) + utility + arguments, timeout: .seconds(120),
                label: "etcdutl " + ShellQuoting.join(arguments))
        }
        let other = try await kubectl.execute(accepts: { _ in true }, makeCommand)
        if let status = read(other.result) { return status }
        throw ClusterError(
            .badOutput, host: said.host, operation: Self.label(arguments),
            cause: "\(words(said.result)); etcdutl: \(words(other.result))",
            advice: "the snapshot cannot be verified; look at it there by hand, then: masterswap resume")
    }

    private func answer(
        _ arguments: [String], timeout: Duration = .seconds(30), accepts: (CommandResult) -> Bool
    ) async throws -> Kubectl.Answer {
        try await kubectl.execute(accepts: accepts) { prefix in
            Command(
                (isLocal ? [] : prefix) + words + arguments, timeout: timeout,
                label: Self.label(arguments))
        }
    }

    /// What a person is shown in place of the whole command.
    package static func label(_ arguments: [String]) -> String { "etcdctl " + ShellQuoting.join(arguments) }

    /// Every member, each asked for its health.
    public func members() async throws -> [EtcdMember] {
        let list = try await answer(Self.listArguments, accepts: \.succeeded)
        let members = try Self.parse(list.result.standardOutput, host: list.host)
        // An unhealthy member makes the exit status 1; the answer is in the text.
        let health = try await answer(Self.healthArguments) {
            $0.succeeded || EtcdOutput.tellsHealth($0.text + "\n" + $0.errorText)
        }.result
        return Self.mark(members, healthText: health.text + "\n" + health.errorText)
    }

    package static let listArguments = ["member", "list", "-w", "json"]

    /// All members are asked at once; a dead one costs the two seconds.
    package static let healthArguments = ["endpoint", "health", "--cluster", "--command-timeout=2s"]

    static func parse(_ json: Data, host: String) throws -> [EtcdMember] {
        do {
            return try EtcdOutput.members(json)
        } catch {
            throw ClusterError(
                .badOutput, host: host, operation: "etcdctl member list", cause: "its JSON cannot be read: \(error)",
                advice: "run it on \(host) by hand and look at what it prints")
        }
    }

    static func mark(_ members: [EtcdMember], healthText: String) -> [EtcdMember] {
        let healthy = EtcdOutput.healthyEndpoints(healthText)
        return members.map { member in
            var member = member
            member.isHealthy = member.clientURLs.contains { healthy.contains($0) }
            return member
        }
    }
}
