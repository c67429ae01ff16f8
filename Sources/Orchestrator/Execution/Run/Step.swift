public import Inventories

/// One step of a replacement.
///
/// `check` reads only: it is the dry run, what makes a step safe to repeat, and the resume, all in one.
public protocol Step: Sendable {
    /// Stable: in events, the journal and reports.
    var id: String { get }
    var title: String { get }
    /// Why it is done, in a sentence: for the plan.
    var reason: String { get }
    /// What it makes, changes and destroys, for the plan.
    var effects: [Effect] { get }
    /// Seconds that it took in drills on the lab: for the plan, and no promise.
    var estimate: Int { get }
    /// The commands that act, and the looks that they rest on, each as its `command` event will have it: `HOST: COMMAND`. `RUN`
    /// stands for the run's name; what follows a ` # ` is said to the reader.
    func commands(_ inventory: Inventory) -> [String]
    /// What is not done where an operator has the step passed over; `nil` where no step after it may go on without it.
    var leftUndone: String? { get }

    /// Whether there is anything to do.
    func check(_ context: RunContext) async throws -> StepStatus
    func run(_ context: RunContext) async throws
    /// Whether the act did what it was to do; the same question as `check` unless a step says otherwise.
    func verify(_ context: RunContext) async throws -> StepStatus
    /// Takes back what must not outlive a run that fails or is stopped. Called on every way out but success.
    func undo(_ context: RunContext) async throws
}

extension Step {
    public func commands(_ inventory: Inventory) -> [String] { [] }
    public var leftUndone: String? { nil }
    public func verify(_ context: RunContext) async throws -> StepStatus { try await check(context) }
    public func undo(_ context: RunContext) async throws {}
}

public enum StepStatus: Sendable, Hashable {
    /// It is so already; the text says what was seen.
    case satisfied(String)
    case needed(String)
    /// An operator has it passed over; the text is the reason.
    case passedOver(String)
}

/// `+` made, `~` changed, `-` destroyed.
public struct Effect: Sendable, Hashable, CustomStringConvertible {
    public enum Kind: String, Sendable {
        case makes = "+"
        case changes = "~"
        case destroys = "-"
    }

    public var kind: Kind
    public var text: String

    public static func makes(_ text: String) -> Effect { Effect(kind: .makes, text: text) }
    public static func changes(_ text: String) -> Effect { Effect(kind: .changes, text: text) }
    public static func destroys(_ text: String) -> Effect { Effect(kind: .destroys, text: text) }

    public var description: String { "\(kind.rawValue) \(text)" }
}
