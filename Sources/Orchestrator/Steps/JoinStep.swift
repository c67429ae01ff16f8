import Foundation
import SSH

/// Runs ocboot on the primary, detached, and follows its output; after a lost connection it is joined again, never started twice.
struct JoinStep: Step {
    let plan: Plan

    let id = "join"
    var title: String { "Join \(plan.replacement.node) with ocboot, run on \(plan.primary.host)" }
    let reason =
        "ocboot joins the new master as it joined the others; detached, so that a lost connection does not end it."
    /// The lab's ocboot, which joins and does little else.
    let estimate = 20
    var effects: [Effect] {
        [
            .makes("ocboot's configuration on \(plan.primary.host), 0600"),
            .makes("node \(plan.replacement.node) (\(plan.replacement.address)) and its etcd member"),
            .changes(
                "what ocboot does to every host that it names: its role 'common' sets up packages, firewall and the container runtime"
            ),
        ]
    }

    func commands(_ inventory: Inventory) -> [String] {
        guard let ocboot = inventory.ocboot else { return [] }
        let configuration = Self.configurationPath(ocboot, run: Plan.runName)
        return [
            plan.told(plan.primary.host, Command([], label: RemoteJob.label(Self.command(ocboot, configuration))))
                + " # in \(ocboot.directory), detached, with \(Self.environment.joined(separator: " "))",
            plan.told(plan.primary.host, Self.removal(configuration)),
        ]
    }

    /// A missing hugepages setting made ocboot restart masters (cloudpods#19281).
    private static let environment = ["NO_REBOOT=1", "PYTHONUNBUFFERED=1"]
    private static func configurationPath(_ ocboot: Inventory.Ocboot, run: String) -> String {
        "\(ocboot.directory)/masterswap-\(run).yml"
    }
    private static func command(_ ocboot: Inventory.Ocboot, _ configuration: String) -> [String] {
        ocboot.command.map { $0.replacing("{config}", with: configuration) }
    }
    private static func removal(_ configuration: String) -> Command { Command(["rm", "-f", "--", configuration]) }

    /// Where the join stands, by what is on the primary and in the cluster.
    private enum Stand {
        case atWork(RemoteJob)
        case joined
        case toDo(String)
    }

    /// - Returns: that, and the number of the last attempt; 0 where there was none.
    private func stand(_ context: RunContext) async throws -> (Stand, attempt: Int) {
        let (attempt, job) = try await latest(context)
        let state = try await job?.progress(after: .max - 1).state
        if let job, state == .running { return (.atWork(job), attempt) }
        switch state {
        case .running, .lost: return (.toDo("ocboot was cut off"), attempt)
        case .ended(let status) where status != 0:
            // A late task of ocboot's may have failed and been mended by hand since.
            let isReady = try await node(context)?.isReady == true
            return (isReady ? .joined : .toDo("ocboot ended with status \(status)"), attempt)
        case .ended, .absent, nil:
            let isNode = try await node(context) != nil
            return (isNode ? .joined : .toDo("\(plan.replacement.node) is no node yet"), attempt)
        }
    }

    func check(_ context: RunContext) async throws -> StepStatus {
        switch try await stand(context).0 {
        case .atWork: return .needed("ocboot is at work already")
        case .toDo(let what): return .needed(what)
        case .joined:
            return try await isConfigurationLeft(context)
                ? .needed("ocboot's configuration, which holds the database's password, is still there")
                : .satisfied("\(plan.replacement.node) is a node")
        }
    }

    func run(_ context: RunContext) async throws {
        let (stand, attempt) = try await stand(context)
        let followed: RemoteJob
        switch stand {
        // It came to its end while nobody looked.
        case .joined: return try await removeConfiguration(context)
        case .atWork(let job):
            context.note("ocboot is at work already: following it")
            followed = job
        case .toDo:
            try await refuseIfHalfJoined(context)
            followed = try await start(attempt + 1, try context.databasePassword(), context)
        }
        let status = try await follow(followed, Redactor([try context.databasePassword()]), context)
        guard status == 0 else {
            throw ClusterError(
                .commandFailed, host: plan.primary.host, operation: "run ocboot",
                cause: "it ended with status \(status); its last words are above",
                advice: "its log is \(followed.directory)/log there; mend the cause, then: masterswap resume")
        }
        try await removeConfiguration(context)
    }

    private func isConfigurationLeft(_ context: RunContext) async throws -> Bool {
        guard let path = configurationPath(context) else { return false }
        return try await context.remote(plan.primary.host).run(Command(["test", "-e", path], timeout: .seconds(20)))
            .succeeded
    }

    /// It holds the database's password.
    private func removeConfiguration(_ context: RunContext) async throws {
        guard let path = configurationPath(context) else { return }
        let result = try await context.remote(plan.primary.host).run(Self.removal(path))
        guard result.succeeded else {
            throw ClusterError(
                .commandFailed, host: plan.primary.host, operation: "remove \(path)",
                cause: "\(result.outcome): \(result.errorText.lastLines(2))",
                advice: "it holds the database's password: remove it there by hand, then: masterswap resume")
        }
    }

    /// ocboot skips the join of a host that has a kubelet configuration: a join that failed half-way has to be cleaned up first.
    private func refuseIfHalfJoined(_ context: RunContext) async throws {
        guard try await node(context) == nil else { return }
        let file = context.distribution.kubeletConfiguration
        let there = try await context.remote(plan.replacement.host).run(
            Command(["test", "-e", file], timeout: .seconds(20)))
        guard there.succeeded else { return }
        throw ClusterError(
            .changed, host: plan.replacement.host, operation: "join \(plan.replacement.node)",
            cause: "an earlier join left \(file) behind, with which ocboot would skip it",
            advice:
                "run there: kubeadm reset -f; remove an etcd member at \(plan.replacement.address), if there is one: etcdctl member list; then: masterswap resume"
        )
    }

    private func directory(_ context: RunContext, _ attempt: Int) -> String {
        "\(OcbootRuns.directory)/\(context.run.id)/join-\(attempt)"
    }

    private func start(_ attempt: Int, _ secret: Secret, _ context: RunContext) async throws -> RemoteJob {
        guard let ocboot = context.inventory.ocboot, let configuration = configurationPath(context) else {
            throw ClusterError(
                .changed, host: plan.primary.host, operation: "run ocboot",
                cause: "the inventory has no ocboot section any more",
                advice: "resume with the inventory that the run was begun with")
        }
        let remote = try context.remote(plan.primary.host)
        let text = try OcbootConfiguration.text(plan, context.inventory, password: secret)
        try await remote.upload(Data(text.utf8), to: configuration, mode: 0o600)
        let job = RemoteJob(remote, directory: directory(context, attempt))
        let command = Self.command(ocboot, configuration)
        context.note("on \(plan.primary.host), in \(ocboot.directory): \(ShellQuoting.join(command))")
        try await job.start(command, in: ocboot.directory, environment: Self.environment)
        return job
    }

    private func configurationPath(_ context: RunContext) -> String? {
        context.inventory.ocboot.map { Self.configurationPath($0, run: context.run.id) }
    }

    /// The attempt with the highest number; 0 and `nil` where there is none.
    private func latest(_ context: RunContext) async throws -> (Int, RemoteJob?) {
        let remote = try context.remote(plan.primary.host)
        let parent = "\(OcbootRuns.directory)/\(context.run.id)"
        let result = try await remote.run(
            .script(
                #"cd "$1" 2>/dev/null || exit 0; for name in join-*; do [ -d "$name" ] && echo "$name"; done; true"#,
                [parent], label: "look for ocboot's runs"))
        let attempts = result.text.split(separator: "\n").compactMap { Int($0.dropFirst("join-".count)) }
        guard let last = attempts.max() else { return (0, nil) }
        return (last, RemoteJob(remote, directory: directory(context, last)))
    }

    /// Shows what ocboot prints, line by line, until it ends.
    private func follow(_ job: RemoteJob, _ redactor: Redactor, _ context: RunContext) async throws -> Int {
        var offset = 0
        var partial = Data()
        var lastLine = "started"
        return try await context.wait(for: "ocboot", every: .milliseconds(700)) {
            let progress = try await job.progress(after: offset)
            offset += progress.log.count
            partial += progress.log
            while let end = partial.firstIndex(of: UInt8(ascii: "\n")) {
                let line = redactor.redact(TerminalText.sanitize(String(decoding: partial[..<end], as: UTF8.self)))
                partial = Data(partial[(end + 1)...])
                context.output(line)
                if !line.allSatisfy({ $0 == " " || $0 == "*" }) { lastLine = line }
            }
            switch progress.state {
            case .ended(let status): return .done(status)
            case .running: return .pending(String(lastLine.prefix(100)))
            case .absent, .lost:
                throw ClusterError(
                    .changed, host: plan.primary.host, operation: "follow ocboot",
                    cause: "it was cut off without an exit status",
                    advice: "its log is \(job.directory)/log there; to run it again: masterswap resume")
            }
        }
    }

    private func node(_ context: RunContext) async throws -> Node? {
        try await ReplacementNode.find(plan, try context.kubectl())
    }
}
