import Foundation
public import Inventories
public import SSH

/// etcd as the steps of a run ask it and change it: by etcdctl in a master's static etcd pod; on k3s, whose hosts have no etcdctl, by
/// what each member tells beside it (``EtcdBeside``) and by k3s itself.
///
/// Cloudpods runs a second etcd, `onecloud/default-etcd-*`, for its own use: only kube-system's static pod of a named master is
/// ever entered.
public struct Etcdctl: Sendable {
    /// How etcdctl is reached.
    private enum Way: Sendable {
        /// By kubectl, in the static pod of a master.
        case pod(Kubectl, node: String)
        /// On the master itself, in the container that runs there: without an API server.
        case container(any Remote)
    }

    private let way: Way
    package var host: String {
        switch way {
        case .pod(let kubectl, _): kubectl.host
        case .container(let remote): remote.name
        }
    }
    let distribution: Inventory.Distribution
    /// Where a member may be asked that has no etcdctl.
    private let memberHosts: [any Remote]

    /// - Parameter newcomer: the host of a member that joins, which tells of itself on its own host alone.
    public init(
        _ kubectl: Kubectl, node: String, distribution: Inventory.Distribution, newcomer: (any Remote)? = nil
    ) {
        way = .pod(kubectl, node: node)
        self.distribution = distribution
        memberHosts = kubectl.remotes + [newcomer].compactMap(\.self)
    }

    /// etcdctl of kubeadm's etcd on a master whose API server does not answer: run in the container's files and the host's network.
    package init(inContainerOn remote: any Remote) {
        way = .container(remote)
        distribution = .kubeadm
        memberHosts = []
    }

    /// Shell text that sets `pid` to the process of kubeadm's etcd on this host: by its certificates, for Cloudpods runs a second etcd.
    /// It stays empty where none runs.
    package static let findProcess = """
        pid=
        for id in $(pidof etcd); do
            if tr '\\0' '\\n' <"/proc/$id/cmdline" 2>/dev/null | grep -q '=\(Inventory.Distribution.kubeadm.certificateDirectory)/etcd/'; then pid=$id; fi
        done
        """

    /// Runs `"$@"`, a program of etcd's image, on the files of etcd's container, whatever runtime made it.
    package static let inContainer = """
        \(findProcess)
        [ -n "$pid" ] || { echo "etcd does not run here: connection refused" >&2; exit 69; }
        ETCDCTL_API=3 PATH=$PATH:/usr/local/bin exec nsenter --target "$pid" --mount -- "$@"
        """

    /// etcdctl and its options, after kubectl's own words, where the member runs in a pod.
    package static func words(
        node: String, version: KubernetesVersion?, _ distribution: Inventory.Distribution
    ) -> [String] {
        let isOld = version.map { $0 < KubernetesVersion(1, 17) } ?? false
        let program = isOld ? shellWords : ["etcdctl"]
        return ["exec", "-n", "kube-system", "etcd-\(node)", "--"] + program + distribution.etcdctlOptions
    }

    /// Shell functions that run etcdctl beside the member of `$node`, by the node's own etcdctl and, for etcd 3.3, by its shell, which sets
    /// the variable that makes it speak v3.
    static func ways(_ kubectl: String, _ distribution: Inventory.Distribution) -> String {
        let pod = #"\#(kubectl) exec -n kube-system "etcd-$node" --"#
        let options = distribution.etcdctlOptions.joined(separator: " ")
        return """
            direct() { \(pod) etcdctl \(options) "$@"; }
            by_shell() { \(pod) \(shellWords.map(ShellQuoting.quote).joined(separator: " ")) \(options) "$@"; }
            """
    }

    /// etcd 3.3, up to Kubernetes 1.16, speaks v2 unless told otherwise, and its image has a shell; newer ones may have none.
    private static let shellWords = ["sh", "-c", #"ETCDCTL_API=3 exec etcdctl "$@""#, "sh"]

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
        let other = try await answer(program: "etcdutl", arguments, timeout: .seconds(120), accepts: { _ in true })
        if let status = read(other.result) { return status }
        throw ClusterError(
            .badOutput, host: said.host, operation: Self.label(arguments),
            cause: "\(words(said.result)); etcdutl: \(words(other.result))",
            advice: "the snapshot cannot be verified; look at it there by hand, then: masterswap resume")
    }

    /// - Parameter program: etcdctl, or etcdutl, which reads files and asks no member.
    private func answer(
        program: String = "etcdctl", _ arguments: [String], timeout: Duration = .seconds(30),
        accepts: (CommandResult) -> Bool
    ) async throws -> Kubectl.Answer {
        let label = "\(program) \(ShellQuoting.join(arguments))"
        let isUtility = program == "etcdutl"
        switch way {
        case .pod(let kubectl, let node):
            let words =
                isUtility
                ? ["exec", "-n", "kube-system", "etcd-\(node)", "--", program]
                : Self.words(node: node, version: kubectl.kubernetes, distribution)
            return try await kubectl.execute(accepts: accepts) { prefix in
                Command(prefix + words + arguments, timeout: timeout, label: label)
            }
        case .container(let remote):
            let words = [program] + (isUtility ? [] : distribution.etcdctlOptions)
            let result = try await remote.run(
                .script(Self.inContainer, words + arguments, timeout: timeout, label: label))
            guard accepts(result) else { throw Kubectl.failure(label, result, host: remote.name, of: distribution) }
            return Kubectl.Answer(host: remote.name, result: result)
        }
    }

    /// What a person is shown in place of the whole command.
    package static func label(_ arguments: [String]) -> String { "etcdctl " + ShellQuoting.join(arguments) }

    /// Every member, each asked for its health.
    public func members() async throws -> [EtcdMember] {
        if !distribution.hasEtcdctl, case .pod(let kubectl, _) = way {
            let list = try await kubectl.execute { _ in
                .script(
                    distribution.peerMembers(), [], timeout: .seconds(20), label: EtcdBeside.membersLabel)
            }
            let members = try Self.parse(list.result.standardOutput, host: list.host, EtcdOutput.peerMembers)
            return EtcdOutput.mark(members, (try? await beside()) ?? [])
        }
        let list = try await answer(Self.listArguments, accepts: \.succeeded)
        let members = try Self.parse(list.result.standardOutput, host: list.host)
        // An unhealthy member makes the exit status 1; the answer is in the text.
        let health = try await answer(Self.healthArguments) {
            $0.succeeded || EtcdOutput.tellsHealth($0.text + "\n" + $0.errorText)
        }.result
        return Self.mark(members, healthText: health.text + "\n" + health.errorText)
    }

    /// What the members of k3s' etcd tell, each on its own host.
    /// - Throws: ``ClusterError`` where none tells anything.
    package func beside() async throws -> [EtcdBeside] {
        let told = await withTaskGroup { group in
            for remote in memberHosts {
                group.addTask {
                    let result = try? await remote.run(
                        .script(EtcdBeside.script, [], timeout: .seconds(20), label: EtcdBeside.label))
                    return result.flatMap { EtcdBeside($0.text.split(separator: "\n").map(String.init)) }
                }
            }
            return await group.reduce(into: [EtcdBeside]()) { $0 += [$1].compactMap(\.self) }
        }
        guard !told.isEmpty else {
            throw ClusterError(
                .commandFailed, host: host, operation: EtcdBeside.label, cause: "no master's etcd tells anything",
                advice: "look at \(distribution.etcdLog); then: masterswap resume")
        }
        return told
    }

    /// Removes a member by its id.
    /// - Throws: `SSHError`; ``ClusterError``.
    package func remove(_ id: String) async throws { try await run(["member", "remove", id]) }

    package static let listArguments = ["member", "list", "-w", "json"]

    /// All members are asked at once; a dead one costs the two seconds.
    package static let healthArguments = ["endpoint", "health", "--cluster", "--command-timeout=2s"]

    static func parse(
        _ json: Data, host: String, _ read: (Data) throws -> [EtcdMember] = EtcdOutput.members
    ) throws -> [EtcdMember] {
        do {
            return try read(json)
        } catch {
            throw ClusterError(
                .badOutput, host: host, operation: "read the members of etcd",
                cause: "its JSON cannot be read: \(error)",
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
