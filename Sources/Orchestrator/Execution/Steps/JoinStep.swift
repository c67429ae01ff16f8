import Cluster
import Foundation
package import Inventories
package import Planning
import SSH

/// Runs ocboot on the primary, detached, and follows its output; after a lost connection it is joined again, never started twice.
package struct JoinStep: Step {
    package let plan: Plan

    package let id = "join"
    package var title: String { "Join \(plan.replacement.node) with ocboot, run on \(plan.primary.host)" }
    package let reason =
        "ocboot joins the new master as it joined the others; detached, so that a lost connection does not end it."
    /// The lab's ocboot, which joins and does little else.
    package let estimate = 20
    package var effects: [Effect] {
        [
            .makes("ocboot's configuration on \(plan.primary.host), 0600, as below; removed again"),
            .makes(
                "copies, 0700, of what ocboot may write on \(plan.survivors.map(\.host).listed): \(JoinChanges.folder(run: Plan.runName))"
            ),
            .makes("node \(plan.replacement.node) (\(plan.replacement.address)) and its etcd member"),
        ]
            + (plan.promotes && plan.kind.ocbootPromotes
                ? [.changes("keepalived on \(plan.primary.host): ocboot makes it MASTER with priority 100, as below")]
                : []) + (plan.ocboot?.invocation.effects ?? []).map { .changes("ocboot \($0)") }
            + (plan.ocboot?.invocation.restartsNewHost == true
                ? [.changes("\(plan.replacement.host): ocboot may restart it, for a kernel of its own")] : [])
            + (JoinChanges(plan, run: Plan.runName)?.effects ?? [])
    }

    package func commands(_ inventory: Inventory) -> [String] {
        guard let ocboot = inventory.ocboot, let invocation = plan.ocboot?.invocation else { return [] }
        let name = Self.configurationName(run: Plan.runName)
        let changes = JoinChanges(plan, run: Plan.runName)
        let looks = plan.survivors.map { plan.told($0.host, OcbootAtWork.look(ocboot.directory)) }
        return looks + (changes?.keeping(inventory.cluster) ?? []) + [
            plan.told(plan.primary.host, Command([], label: RemoteJob.label(Self.command(invocation, name))))
                + " # in \(ocboot.directory), detached, with \(invocation.environment.joined(separator: " "))",
            plan.told(plan.primary.host, Self.removal("\(ocboot.directory)/\(name)")),
        ]
            + (invocation.leftovers.isEmpty
                ? []
                : [
                    plan.told(
                        plan.primary.host,
                        Self.cleaning(
                            invocation, in: ocboot.directory, since: OcbootRuns.directory + "/\(Plan.runName)/join-1"))
                ])
            + (changes?.comparisons(inventory.cluster) ?? [])
    }

    /// ocboot changes into its own directory first, and in a container that directory has another path: the name alone is right in both.
    private static func configurationName(run: String) -> String { "masterswap-\(run).yml" }
    private static func command(_ invocation: OcbootInvocation, _ name: String) -> [String] {
        invocation.command.map { $0.replacing("{config}", with: name) }
    }
    private static func removal(_ configuration: String) -> Command { Command(["rm", "-f", "--", configuration]) }

    /// Removes the files with passwords in them that ocboot left since the job began; another run's own stay.
    private static func cleaning(_ invocation: OcbootInvocation, in directory: String, since job: String) -> Command {
        .script(
            #"cd "$1" || exit 1; job=$2; shift 2; for file; do [ -f "$file" ] && find "$file" -newer "$job/boot" -delete; done; true"#,
            [directory, job] + invocation.leftovers, timeout: .seconds(20),
            label: "remove \(invocation.leftovers.joined(separator: " ")) where they are of this run")
    }

    /// Where the join stands, by what is on the primary and in the cluster.
    private enum JoinState {
        case atWork(RemoteJob)
        case joined
        case toDo(String)
    }

    /// - Returns: that, and the number of the last attempt; 0 where there was none.
    private func joinState(_ context: RunContext) async throws -> (JoinState, attempt: Int) {
        let (attempt, job) = try await latest(context)
        let state = try await job?.progress(after: .max - 1).state
        if let job, state == .running { return (.atWork(job), attempt) }
        var seen = "\(plan.replacement.node) is no node yet"
        switch state {
        case .running, .lost: return (.toDo("ocboot was cut off"), attempt)
        case .ended(let status) where status != 0: seen = "ocboot ended with status \(status)"
        case .ended, .absent, nil: break
        }
        guard let node = try await node(context) else { return (.toDo(seen), attempt) }
        if case .ended(let status) = state, status != 0, !node.isReady {
            return (.toDo("\(seen), and \(node.name) is not Ready"), attempt)
        }
        // A Ready node says nothing of a task of ocboot's that failed late or was passed over; it may have been made good since.
        let lacks = try await NewMaster(plan: plan).lacks(node, context)
        guard !lacks.isEmpty else { return (.joined, attempt) }
        return (.toDo("\(node.name) lacks \(lacks.map(\.description).listed)"), attempt)
    }

    package func check(_ context: RunContext) async throws -> StepStatus {
        switch try await joinState(context).0 {
        case .atWork: return .needed("ocboot is at work already")
        case .toDo(let what): return .needed(what)
        case .joined:
            return try await isConfigurationLeft(context)
                ? .needed("ocboot's configuration, which holds the database's password, is still there")
                : .satisfied("\(plan.replacement.node) is a node")
        }
    }

    package func run(_ context: RunContext) async throws {
        let (state, attempt) = try await joinState(context)
        let followed: RemoteJob
        switch state {
        // It came to its end while nobody looked.
        case .joined:
            await JoinChanges(plan, run: context.run.id)?.tell(context)
            return try await removeWhatIsSecret(context, attempt)
        case .atWork(let job):
            context.note("ocboot is at work already: following it")
            followed = job
        case .toDo:
            try await refuseIfHalfJoined(context)
            followed = try await start(attempt + 1, try context.databasePassword(), context)
        }
        let (status, output) = try await follow(followed, Redactor([try context.databasePassword()]), context)
        await JoinChanges(plan, run: context.run.id)?.tell(context)
        try await removeWhatIsSecret(context, try await latest(context).0)
        let log = "its log is \(followed.directory)/log there"
        if let objection = output.objection(status: status) {
            let (seen, isWhole) = await comparison(context)
            throw ClusterError(
                .commandFailed, host: plan.primary.host, operation: "run ocboot",
                cause: "\(objection); its last words are above; \(seen)",
                advice: isWhole
                    ? "\(log); see whether what failed matters, then: masterswap resume, which goes on after the join"
                    : "\(log); fix the cause, then: masterswap resume, which runs it again")
        }
        guard try await node(context) != nil else {
            throw ClusterError(
                .commandFailed, host: plan.primary.host, operation: "run ocboot",
                cause: "it ended without an error, and \(plan.replacement.node) is no node",
                advice:
                    "see in \(followed.directory)/log there what it skipped; fix the cause, then: masterswap resume")
        }
        try await seeItWhole(context, log)
    }

    /// What the new master lacks beside the others, for the error of an ocboot that failed, and whether that is nothing.
    private func comparison(_ context: RunContext) async -> (String, isWhole: Bool) {
        let name = plan.replacement.node
        do {
            guard let node = try await node(context) else { return ("\(name) is no node", false) }
            let lacks = try await NewMaster(plan: plan).lacks(node, context).map(\.description)
            let pods = NewMaster(plan: plan).staticPods(try await context.kubectl().objects())
            let seen = (lacks.isEmpty ? [] : ["it lacks \(lacks.listed)"]) + pods
            guard !seen.isEmpty, node.isReady else {
                return (
                    "\(name) is \(node.isReady ? "Ready and" : "not Ready, but") has what the other masters have",
                    node.isReady
                )
            }
            return ("\(name) is \(node.isReady ? "Ready" : "not Ready"), and \(seen.joined(separator: "; "))", false)
        } catch { return ("\(name) could not be compared with the other masters: \(error)", false) }
    }

    /// ocboot ended well, and may have passed over a part. k3s gives its nodes their roles a moment after they registered.
    private func seeItWhole(_ context: RunContext, _ log: String) async throws {
        var lacks: [NewMaster.Lack] = []
        do {
            try await context.wait(
                for: "\(plan.replacement.node) to have what the other masters have", on: plan.replacement.host,
                limit: .seconds(60)
            ) { () -> RunContext.Poll<Void> in
                guard let node = try await node(context) else { return .pending("it is no node") }
                lacks = try await NewMaster(plan: plan).lacks(node, context)
                return lacks.isEmpty ? .done(()) : .pending("it lacks \(lacks.map(\.description).listed)")
            }
        } catch var error as ClusterError where error.code == .waitTimedOut && !lacks.isEmpty {
            error.advice =
                "ocboot ended well without it (\(log)); masterswap resume runs it once more. What it passes over again, do by hand: \(lacks.map(\.remedy).joined(separator: "; ")); then: masterswap resume"
            throw error
        }
        try await tellFurtherLabels(context)
    }

    private func tellFurtherLabels(_ context: RunContext) async throws {
        guard let node = try await node(context) else { return }
        let nodes = try await context.kubectl().list(Node.self, ["nodes"])
        let others = plan.survivors.compactMap { survivor in nodes.first { $0.name == survivor.node } }
        let labels = NewMaster(plan: plan).furtherLabels(node, others)
        guard !labels.isEmpty else { return }
        context.warn(
            "the other masters have labels that no join gives: kubectl label node \(node.name) \(labels.joined(separator: " "))"
        )
    }

    private func removeWhatIsSecret(_ context: RunContext, _ attempt: Int) async throws {
        try await removeConfiguration(context)
        guard attempt > 0, let directory = context.inventory.ocboot?.directory, let invocation = plan.ocboot?.invocation
        else {
            return
        }
        let result = try await context.remote(plan.primary.host).run(
            Self.cleaning(invocation, in: directory, since: self.directory(context, attempt)))
        if !result.succeeded {
            context.warn(
                "\(plan.primary.host): what ocboot left with passwords in it could not be removed: \(invocation.leftovers.joined(separator: ", "))"
            )
        }
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
        if let name = context.distribution.passwordSecret(ofNode: plan.replacement.node),
            try await context.kubectl().uid(of: ObjectReference(.secret, namespace: "kube-system", name: name, uid: ""))
                != nil
        {
            throw ClusterError(
                .changed, host: plan.primary.host, operation: "join \(plan.replacement.node)",
                cause:
                    "the secret kube-system/\(name) is there without its node, and \(context.distribution.rawValue) would refuse another host under that name",
                advice: "delete it: kubectl -n kube-system delete secret \(name); then: masterswap resume")
        }
        let file = context.distribution.kubeletConfiguration
        let there = try await context.remote(plan.replacement.host).run(
            Command(["test", "-e", file], timeout: .seconds(20)))
        guard there.succeeded else { return }
        throw ClusterError(
            .changed, host: plan.replacement.host, operation: "join \(plan.replacement.node)",
            cause: "an earlier join left \(file) behind, with which ocboot would skip it",
            advice:
                "go on with: masterswap resume, which looks whether anything of it is alive, and asks before it cleans up the rest"
        )
    }

    /// Whoever started it: two at once write the same files, and join the same host.
    private func refuseBesideAnother(_ ocboot: Inventory.Ocboot, _ context: RunContext) async throws {
        for survivor in plan.survivors {
            let found = try await OcbootAtWork.look(on: context.remote(survivor.host), ocboot.directory)
            guard let other = found.first else { continue }
            throw ClusterError(
                .changed, host: survivor.host, operation: "join \(plan.replacement.node)",
                cause: "an ocboot is at work there already: \(other)",
                advice: "find out who has started it, and wait for its end; then: masterswap resume")
        }
    }

    private func directory(_ context: RunContext, _ attempt: Int) -> String {
        "\(OcbootRuns.directory)/\(context.run.id)/join-\(attempt)"
    }

    private func start(_ attempt: Int, _ secret: Secret, _ context: RunContext) async throws -> RemoteJob {
        guard let ocboot = context.inventory.ocboot, let configuration = configurationPath(context),
            let planned = plan.ocboot
        else {
            throw ClusterError(
                .changed, host: plan.primary.host, operation: "run ocboot",
                cause: "the inventory has no ocboot section any more, or the plan is of an older masterswap",
                advice: "resume with the inventory and the program that the run was begun with")
        }
        try await refuseBesideAnother(ocboot, context)
        try await JoinChanges(plan, run: context.run.id)?.keep(context)
        let remote = try context.remote(plan.primary.host)
        let text = try OcbootConfiguration.fill(planned.configuration, secret, host: plan.primary.host)
        try await remote.upload(Data(text.utf8), to: configuration, mode: 0o600)
        let job = RemoteJob(remote, directory: directory(context, attempt))
        let command = Self.command(planned.invocation, Self.configurationName(run: context.run.id))
        context.note("on \(plan.primary.host), in \(ocboot.directory): \(ShellQuoting.join(command))")
        try await job.start(command, in: ocboot.directory, environment: planned.invocation.environment)
        return job
    }

    private func configurationPath(_ context: RunContext) -> String? {
        context.inventory.ocboot.map { "\($0.directory)/\(Self.configurationName(run: context.run.id))" }
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
    private func follow(_ job: RemoteJob, _ redactor: Redactor, _ context: RunContext) async throws -> (
        Int, OcbootOutput
    ) {
        var offset = 0
        var output = OcbootOutput()
        var lastLine = "started"
        let status = try await context.wait(
            for: "ocboot", stall: .init(limit: context.limits.joinStalled, option: "--join-stalled"),
            every: .milliseconds(700)
        ) { () -> RunContext.Poll<Int> in
            let progress = try await job.progress(after: offset)
            offset += progress.log.count
            for line in output.read(progress.log) {
                let line = redactor.redact(line)
                context.output(line)
                if !line.allSatisfy({ $0 == " " || $0 == "*" }) { lastLine = line }
            }
            switch progress.state {
            // A part of the log may still be to come: it is read in pieces.
            case .ended(let status):
                return progress.log.isEmpty
                    ? .done(status) : .pending(String(lastLine.prefix(100)), progress: "\(offset)")
            case .running: return .pending(String(lastLine.prefix(100)), progress: "\(offset)")
            case .absent, .lost:
                throw ClusterError(
                    .changed, host: plan.primary.host, operation: "follow ocboot",
                    cause: "it was cut off without an exit status",
                    advice: "its log is \(job.directory)/log there; to run it again: masterswap resume")
            }
        }
        return (status, output)
    }

    private func node(_ context: RunContext) async throws -> Node? {
        try await ReplacementNode.find(plan, try context.kubectl())
    }
}
