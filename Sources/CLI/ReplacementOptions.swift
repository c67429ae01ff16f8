import ArgumentParser
import Cluster
import Execution
import Planning
import SSH

/// What `plan`, `replace`, `resume` and `ready` share.
struct LossOptions: ParsableArguments {
    @Option(
        name: .customLong("accept-data-loss"), parsing: .upToNextOption,
        help:
            "Claims whose data may be lost for good, as NAMESPACE/CLAIM, or CLAIM where just one lost claim has that name; volumes with the reclaim policy Retain that are to be deleted, by their name or as NAMESPACE/CLAIM."
    )
    var acceptedLosses: [String] = []
}

/// What `plan` and `replace` share of how dead the old master must be.
struct DeathOptions: ParsableArguments {
    @Option(help: "Seconds for which the dead node must have been NotReady, by the masters' clocks; 0: do not ask.")
    var notReadyFor: Int = ReplacementRequest.usualNotReadyFor

    func validate() throws {
        guard (0...86400).contains(notReadyFor) else {
            throw ValidationError("--not-ready-for must be from 0 to 86400, not \(notReadyFor)")
        }
    }

    /// To be given again, where it is not the usual one.
    var words: [String] {
        notReadyFor == ReplacementRequest.usualNotReadyFor ? [] : ["--not-ready-for", "\(notReadyFor)"]
    }
}

/// What `plan`, `replace` and `resume` share.
struct FenceOptions: ParsableArguments {
    @Flag(
        help:
            "Fence the old master: by the inventory's 'fence' command, which cuts its power; without one, where it answers again, over SSH: kubelet or k3s, keepalived, etcd are stopped there."
    )
    var fence = false
}

/// What `plan` and `replace` share of ocboot.
struct OcbootOptions: ParsableArguments {
    @Flag(
        help:
            "After the join put back, on the survivors, those files that ocboot changed and that nothing reads before its service starts again; the plan lists them."
    )
    var restoreSurvivors = false
}

/// What `plan` and `replace` share of the drain.
struct DrainOption: ParsableArguments {
    @Option(name: .customLong("drain-timeout"), help: "Seconds for the drain of the dead node.")
    var seconds: Int = usual

    static let usual = 30
    var isGiven: Bool { seconds != Self.usual }

    func validate() throws { try check("--drain-timeout", seconds) }
}

/// What `replace` and `resume` share of a run's waits.
struct WaitOption: ParsableArguments {
    @Option(name: .customLong("wait-timeout"), help: "Seconds for each single wait of a run.")
    var seconds: Int = 900

    func validate() throws { try check("--wait-timeout", seconds) }
}

/// What `replace` and `resume` share of what may take hours and is given up where it stands still.
struct StallOptions: ParsableArguments {
    @Option(help: "Seconds without a new line of ocboot's log, after which it is not waited for any longer.")
    var joinStalled = Int(RunContext.Limits.usualStall.seconds)

    @Option(help: "Seconds in which MinIO heals no further object, after which the heal is not waited for any longer.")
    var healStalled = Int(RunContext.Limits.usualStall.seconds)

    func validate() throws {
        try check("--join-stalled", joinStalled)
        try check("--heal-stalled", healStalled)
    }

    func limits(_ wait: WaitOption) -> RunContext.Limits {
        .init(
            wait: .seconds(wait.seconds), joinStalled: .seconds(joinStalled), healStalled: .seconds(healStalled))
    }
}

/// What `resume` passes over.
struct SkipOptions: ParsableArguments {
    @Option(
        name: .customLong("skip"),
        help: ArgumentHelp(
            "A step that cannot come to its end, by its name as 'resume' lists it: this and later resumes pass it over. May be given several times. Never for what etcd's quorum, the join or the VIP rests on.",
            valueName: "step"))
    var steps: [String] = []
    @Option(help: ArgumentHelp("The reason, which the run's report keeps.", valueName: "why"))
    var because: String?

    func validate() throws {
        guard steps.isEmpty == (because == nil) else {
            throw ValidationError("--skip and --because go together: what is passed over, and why")
        }
        try Reason.validate(because)
    }

    /// - Throws: `ValidationError` where the run's plan has no such step, or it is never passed over.
    func check(_ plan: Plan) throws {
        let all = ReplacementSteps.make(plan)
        let possible = all.filter { $0.leftUndone != nil }.map(\.id)
        for id in steps where !possible.contains(id) {
            let why = all.contains { $0.id == id } ? "it is never passed over" : "the run has no such step"
            throw ValidationError("--skip \(id): \(why); possible are: \(possible.joined(separator: ", "))")
        }
    }

    func applied(to plan: Plan) -> Plan {
        steps.reduce(plan) { $0.passing(over: $1, because: Reason.of(because ?? "")) }
    }
}

/// What `--because` was given: it is kept in journals, reports and the cluster.
enum Reason {
    static func validate(_ text: String?) throws {
        guard text?.contains(where: { !$0.isWhitespace }) ?? true else {
            throw ValidationError("--because must say why")
        }
    }

    /// In one line, without what is called a secret in it.
    static func of(_ text: String) -> String { Redactor([]).redact(TerminalText.line(text)) }
}

/// What `replace` and `resume` share of the inventory's file.
struct UpdateOption: ParsableArguments {
    @Flag(
        help:
            "Once all is verified, write the new roles into the inventory file, every other byte as it was; a copy is kept."
    )
    var updateInventory = false
}
