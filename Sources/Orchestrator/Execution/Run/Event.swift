public import Foundation
public import Planning

/// What happens in a run, as it happens: the terminal, the JSON output, the journal and the report all show the same events.
///
/// One flat JSON object each; fields that say nothing for an event are left out.
public struct Event: Sendable, Hashable, Codable {
    public enum Name: String, Sendable, Hashable, Codable, CaseIterable {
        case runStarted = "run-started"
        /// The cluster as it was seen before the first step, and after the last.
        case stateBefore = "state-before"
        case stateAfter = "state-after"
        case stepStarted = "step-started"
        /// Written before an act: from here on the step may have changed something.
        case stepBegan = "step-began"
        case waiting
        /// A line that a remote program printed.
        case output
        /// A command given to a host, told the first time that a step gives it: `text` is `HOST: COMMAND`.
        case command
        case note
        case warning
        /// A destructive act that is about to be done, on the disk before it is: `text` names the object.
        case destroying
        /// A destructive act that was done: `text` names the object.
        case destroyed
        case stepSkipped = "step-skipped"
        case stepFinished = "step-finished"
        /// `text` is the operator's reason.
        case stepPassedOver = "step-passed-over"
        case stepFailed = "step-failed"
        case result
        /// An operator has given the run up: `text` says who and why.
        case runAbandoned = "run-abandoned"
    }

    public var event: Name
    public var at: Date
    public var step: String?
    public var title: String?
    public var text: String?
    /// Seconds since the step or the wait began.
    public var elapsed: Double?
    /// Seconds after which a wait is given up: of `still` where that is there, else of `elapsed`.
    public var limit: Double?
    /// Seconds since something moved last in what is waited for.
    public var still: Double?
    /// Of a finished step's `elapsed`, the seconds in which a host or the cluster was waited for; the rest is the tool's own.
    public var waited: Double?
    /// The exit status, in the last event of a run.
    public var status: Int?
    public var run: String?
    /// In the first event of a run, and of each resume.
    public var plan: Plan?
    /// The same of a recovery.
    public var recovery: RecoveryPlan?
    /// The plan's SHA-256 in hexadecimal, see `Plan.hash`.
    public var planHash: String?
    public var state: ClusterSummary?

    public init(
        _ event: Name, at: Date = Date(), step: String? = nil, title: String? = nil, text: String? = nil,
        elapsed: Double? = nil, limit: Double? = nil, still: Double? = nil, waited: Double? = nil, status: Int? = nil,
        run: String? = nil,
        plan: Plan? = nil, recovery: RecoveryPlan? = nil, planHash: String? = nil, state: ClusterSummary? = nil
    ) {
        self.event = event
        self.at = at
        self.step = step
        self.title = title
        self.text = text
        self.elapsed = elapsed.map { ($0 * 1000).rounded() / 1000 }
        self.limit = limit
        self.still = still.map { ($0 * 1000).rounded() / 1000 }
        self.waited = waited.map { ($0 * 1000).rounded() / 1000 }
        self.status = status
        self.run = run
        self.plan = plan
        self.recovery = recovery
        self.planHash = planHash
        self.state = state
    }
}
