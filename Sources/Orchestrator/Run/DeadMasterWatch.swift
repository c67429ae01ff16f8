import SSH
import Synchronization

/// Looks at the dead master for as long as a run lasts: should it come back, no further act is done.
///
/// A master that returns with its old disk still thinks that it is MASTER with priority 100 and a member of etcd.
public final class DeadMasterWatch: Sendable {
    enum Sight: Sendable {
        /// Not looked at yet.
        case unknown
        case dead
        case alive(String)
    }

    private let sight = Mutex(Sight.unknown)
    private let host: String
    private let task = Mutex<Task<Void, Never>?>(nil)
    /// An old master that is to be fenced answers until it is.
    private let isArmed: Mutex<Bool>

    /// How long the first look may take before an act is refused for want of it.
    private let patience: Duration

    /// - Parameter look: one look; `nil` where it is dead, else what was seen. Where it throws nothing was seen, and what was
    ///   seen before stands.
    public init(
        host: String, every interval: Duration = .seconds(2), patience: Duration = .seconds(30), isArmed: Bool = true,
        look: @escaping @Sendable () async throws -> String?
    ) {
        self.host = host
        self.patience = patience
        self.isArmed = Mutex(isArmed)
        task.withLock { task in
            task = Task { [weak self] in
                while !Task.isCancelled {
                    let seen: Sight?
                    do { seen = try await look().map { .alive($0) } ?? .dead } catch { seen = nil }
                    guard !Task.isCancelled, let self else { return }
                    if let seen { self.sight.withLock { $0 = seen } }
                    try? await Task.sleep(for: interval)
                }
            }
        }
    }

    /// From here on it has to be dead. What was seen before does not count any more.
    public func arm() {
        isArmed.withLock { isArmed in
            guard !isArmed else { return }
            isArmed = true
            sight.withLock { $0 = .unknown }
        }
    }

    public func stop() {
        task.withLock { $0?.cancel() }
    }

    /// Before every act.
    /// - Throws: ``ClusterError`` with `changed` where the dead master lives.
    public func assertDead() async throws {
        guard isArmed.withLock({ $0 }) else { return }
        let begun = ContinuousClock.now
        while true {
            switch sight.withLock({ $0 }) {
            case .dead: return
            case .unknown where ContinuousClock.now - begun > patience:
                throw ClusterError(
                    .changed, host: host, operation: "see that the old master stays dead",
                    cause: "nothing can be seen of it: its name does not resolve, or its jump host does not answer",
                    advice: "see that the way to it works: masterswap check; then: masterswap resume")
            case .unknown: try await Task.sleep(for: .milliseconds(50))
            case .alive(let seen):
                throw ClusterError(
                    .changed, host: host, operation: "see that the old master stays dead", cause: "it is back: \(seen)",
                    advice:
                        "shut it down for good, then: masterswap resume; or have it fenced: masterswap resume --fence")
            }
        }
    }
}

extension DeadMasterWatch {
    /// Watches a run's dead master by what found it dead: whether it answers over SSH.
    static func start(_ plan: Plan, _ inventory: Inventory, _ remotes: Remotes) -> DeadMasterWatch? {
        // Where the machine was installed anew under the same name, the spare is what answers there.
        guard plan.dead.address != plan.replacement.address, plan.dead.host != plan.replacement.host,
            let host = inventory.host(named: plan.dead.host)
        else {
            return nil
        }
        let fences = plan.fences == true
        return DeadMasterWatch(host: host.name, isArmed: !fences) {
            do {
                let remote = try remotes[host]
                // Fenced, it answers, and that is all that it may do.
                let isFenced = try await FenceStep.wasFenced(remote)
                guard fences || isFenced else { return "it answers over SSH" }
                let signs = try await remote.run(FenceStep.look(inventory.cluster.distribution, vip: plan.vip))
                if signs.succeeded, signs.text.isEmpty { return nil }
                return signs.text.isEmpty ? "it answers over SSH" : signs.text.lastLines(3)
            } catch {
                let failure = ClusterState.HostFailure(error)
                if failure.saysNothing { throw error }
                return failure.isSilent ? nil : failure.message
            }
        }
    }
}
