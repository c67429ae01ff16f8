import ArgumentParser
import Planning

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
    @Flag(help: "Fence an old master that answers again: kubelet or k3s, keepalived, etcd are stopped there, over SSH.")
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
