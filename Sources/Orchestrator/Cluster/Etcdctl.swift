import Foundation
public import SSH

/// etcdctl beside one member: in the master's static etcd pod, or on the host itself with k3s.
///
/// Cloudpods runs a second etcd, `onecloud/default-etcd-*`, for its own use: only kube-system's static pod of a named master is
/// ever entered.
public struct Etcdctl: Sendable {
    /// What goes before etcdctl's own arguments: kubectl exec with everything it needs.
    let words: [String]
    let kubectl: Kubectl

    public init(_ kubectl: Kubectl, node: String, distribution: Inventory.Distribution) {
        self.kubectl = kubectl
        let credentials = distribution.etcdCredentials
        let options = [
            "--endpoints=https://127.0.0.1:2379", "--cacert=\(credentials.authority)", "--cert=\(credentials.certificate)",
            "--key=\(credentials.key)",
        ]
        switch distribution {
        case .kubeadm:
            // etcd 3.3, up to Kubernetes 1.16, speaks v2 unless told otherwise, and its image has a shell; newer ones may have none.
            let isOld = kubectl.version.map { $0 < KubernetesVersion(1, 17) } ?? false
            let program = isOld ? ["sh", "-c", #"ETCDCTL_API=3 exec etcdctl "$@""#, "sh"] : ["etcdctl"]
            words = ["exec", "-n", "kube-system", "etcd-\(node)", "--"] + program + options
        case .k3s:
            words = ["etcdctl"] + options
        }
        isLocal = distribution == .k3s
    }

    private let isLocal: Bool

    /// etcdctl's arguments as a whole command.
    public func command(_ arguments: [String], timeout: Duration = .seconds(30)) -> Command {
        let label = "etcdctl " + ShellQuoting.join(arguments)
        if isLocal {
            return Command(["env", "ETCDCTL_API=3"] + words + arguments, timeout: timeout, label: label)
        }
        var command = kubectl.command(words + arguments, timeout: timeout)
        command.label = label
        return command
    }

    /// - Throws: `SSHError`; ``ClusterError`` with `commandFailed`.
    @discardableResult
    public func run(_ arguments: [String], timeout: Duration = .seconds(30)) async throws -> CommandResult {
        let command = command(arguments, timeout: timeout)
        let result = try await kubectl.remote.run(command)
        guard result.succeeded else {
            throw ClusterError(
                .commandFailed, host: kubectl.remote.name, operation: command.display,
                cause: "\(result.outcome): \(result.errorText.lastLines(3))",
                advice: "see whether etcd runs there, then go on with: masterswap resume")
        }
        return result
    }

    /// Every member, each asked for its health.
    public func members() async throws -> [EtcdMember] {
        let list = try await run(["member", "list", "-w", "json"])
        let members = try Self.parse(list.standardOutput, host: kubectl.remote.name)
        // An unhealthy member makes the exit status 1; the answer is in the text.
        let health = try await kubectl.remote.run(command(Self.healthArguments))
        return Self.mark(members, healthText: health.text + "\n" + health.errorText)
    }

    /// All members are asked at once; a dead one costs the two seconds.
    static let healthArguments = ["endpoint", "health", "--cluster", "--command-timeout=2s"]

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
