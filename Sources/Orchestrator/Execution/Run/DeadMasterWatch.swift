import Cluster
import Inventories
import Planning
import SSH
import Synchronization

/// Looks at the dead master for as long as a run lasts: should it come back, no further act is done.
///
/// A master that returns with its old disk still thinks that it is MASTER with priority 100 and a member of etcd.
public final class DeadMasterWatch: Sendable {
    /// A sign of life, and what to do about it.
    public struct Sign: Sendable {
        public var cause: String
        public var advice: String

        public init(_ cause: String, advice: String) {
            self.cause = cause
            self.advice = advice
        }

        static func back(_ seen: String, inRecovery: Bool = false, canBeFenced: Bool = true) -> Sign {
            Sign(
                "it is back: \(seen)",
                advice: inRecovery
                    ? Self.leaveOn
                    : "shut it down for good, then: masterswap resume"
                        + (canBeFenced ? "; or have it fenced: masterswap resume --fence" : ""))
        }

        static func foreignHolder(at vip: String, _ ours: [Inventory.Host], inRecovery: Bool = false) -> Sign {
            Sign(
                "it may be back: \(vip) answers, and none of \(ours.map(\.name).joined(separator: ", ")) holds it",
                advice: inRecovery
                    ? Self.leaveOn : "find who answers there and shut it down, then: masterswap resume")
        }

        /// Two that are back have a majority, and newer data than the survivor.
        private static let leaveOn =
            "leave it on, and see whether etcd has a majority again: masterswap check; only where it has none, and the run is past its step 'new-cluster', shut it down for good, then: masterswap resume"
    }

    private enum Sight: Sendable {
        /// Not looked at yet.
        case unknown
        case dead(at: ContinuousClock.Instant)
        case alive(Sign)
    }

    private struct State {
        var sight = Sight.unknown
        /// An old master that is to be fenced answers until it is.
        var isArmed: Bool
    }

    private let state: Mutex<State>
    private let host: String
    private let task = Mutex<Task<Void, Never>?>(nil)

    /// How long the first look may take before an act is refused for want of it.
    private let firstLookLimit: Duration
    /// For how long it counts that it was seen dead, while nothing is seen of it.
    private let memory: Duration

    /// - Parameter look: one look; `nil` where it is dead, else what was seen. Where it throws nothing was seen, and what was
    ///   seen before stands: a sign of life until another look, and its death for as long as `memory` says.
    public init(
        host: String, every interval: Duration = .seconds(2), firstLookLimit: Duration = .seconds(30),
        memory: Duration = .seconds(120), isArmed: Bool = true,
        look: @escaping @Sendable () async throws -> Sign?
    ) {
        self.host = host
        self.firstLookLimit = firstLookLimit
        self.memory = memory
        state = Mutex(State(isArmed: isArmed))
        task.withLock { task in
            task = Task { [weak self] in
                while !Task.isCancelled {
                    let wasArmed = self?.state.withLock { $0.isArmed }
                    let seen: Sight?
                    do { seen = try await look().map { .alive($0) } ?? .dead(at: .now) } catch { seen = nil }
                    guard !Task.isCancelled, let self else { return }
                    self.state.withLock { state in
                        // A look that began before the fence was done tells of what was before.
                        if let seen, state.isArmed == wasArmed { state.sight = seen }
                    }
                    try? await Task.sleep(for: interval)
                }
            }
        }
    }

    /// From here on it has to be dead. What was seen before does not count any more.
    public func arm() {
        state.withLock { state in
            guard !state.isArmed else { return }
            state = State(isArmed: true)
        }
    }

    public func stop() {
        task.withLock { $0?.cancel() }
    }

    /// Before every act.
    /// - Throws: ``ClusterError`` with `changed` where the dead master lives.
    public func assertDead() async throws {
        guard state.withLock({ $0.isArmed }) else { return }
        let begun = ContinuousClock.now
        while true {
            switch state.withLock({ $0.sight }) {
            case .dead(let seen) where ContinuousClock.now - seen <= memory: return
            case .unknown where ContinuousClock.now - begun > firstLookLimit,
                .dead where ContinuousClock.now - begun > firstLookLimit:
                throw ClusterError(
                    .changed, host: host, operation: "see that the old master stays dead",
                    cause:
                        "nothing can be seen of it: its name does not resolve, its jump host does not answer, or there is no route to it and no survivor tells what it sees",
                    advice: "see that the way to it works: masterswap check; then: masterswap resume")
            case .unknown, .dead: try await Task.sleep(for: .milliseconds(50))
            case .alive: try assertNotSeen()
            }
        }
    }

    /// What was seen last, without waiting for a look.
    /// - Throws: ``ClusterError`` with `changed` where the dead master lives.
    public func assertNotSeen() throws {
        guard case .alive(let sign) = state.withLock({ $0.isArmed ? $0.sight : .unknown }) else { return }
        throw ClusterError(
            .changed, host: host, operation: "see that the old master stays dead", cause: sign.cause,
            advice: sign.advice)
    }
}

extension DeadMasterWatch {
    /// What is watched, and from where.
    private struct Subject: Sendable {
        var addresses: Set<String>
        /// Over SSH: it goes on answering there.
        var fences: Bool
        var vip: String
        var survivors: [Plan.Master]
        var newcomer: Plan.Replacement?
        var isRecovery = false
        /// One that is to be fenced answers until it is.
        var isArmed = true
        /// No fence is offered for it.
        var isUnfenced = false
    }

    /// Watches a run's dead master: whether it answers over SSH, and whether its keepalived took the VIP.
    static func start(
        _ plan: Plan, _ inventory: Inventory, _ remotes: Remotes, every interval: Duration = .seconds(2),
        firstLookLimit: Duration = .seconds(30), pause: Duration = .seconds(4)
    ) -> DeadMasterWatch? {
        // Where the machine was reinstalled under the same name, the spare is what answers there.
        guard plan.dead.knownAddress != plan.replacement.address, plan.dead.host != plan.replacement.host,
            let host = inventory.host(named: plan.dead.host)
        else {
            return nil
        }
        let subject = subject(of: plan)
        return start(host, subject, inventory, remotes, every: interval, firstLookLimit: firstLookLimit, pause: pause)
    }

    private static func subject(of plan: Plan) -> Subject {
        var subject = Subject(
            addresses: plan.dead.allAddresses, fences: plan.fences == true && plan.fenceCommand == nil, vip: plan.vip,
            survivors: plan.survivors, newcomer: plan.replacement)
        subject.isArmed = plan.fences != true
        return subject
    }

    /// What the survivors see of a plan's dead master, now.
    static func sights(_ plan: Plan, _ inventory: Inventory, _ remotes: Remotes) async -> [PeerSight] {
        guard let host = inventory.host(named: plan.dead.host) else { return [] }
        return await sights(of: host, subject(of: plan), inventory, remotes)
    }

    /// Watches the other masters that a replacement takes for dead, as a recovery leaves one.
    static func startOthers(_ plan: Plan, _ inventory: Inventory, _ remotes: Remotes) -> [DeadMasterWatch] {
        (plan.unsound ?? []).compactMap { other in
            // A machine that was reinstalled under its name is what joins.
            guard other.isGone == true, other.host != plan.replacement.host,
                let host = inventory.host(named: other.host)
            else { return nil }
            let subject = Subject(
                addresses: [host.address], fences: false, vip: plan.vip, survivors: plan.survivors,
                newcomer: plan.replacement, isUnfenced: true)
            return start(
                host, subject, inventory, remotes, every: .seconds(2), firstLookLimit: .seconds(30), pause: .seconds(4))
        }
    }

    /// Watches each of a recovery's dead masters.
    static func start(_ plan: RecoveryPlan, _ inventory: Inventory, _ remotes: Remotes) -> [DeadMasterWatch] {
        plan.dead.compactMap { dead in
            guard let host = inventory.host(named: dead.host) else { return nil }
            let subject = Subject(
                addresses: dead.allAddresses, fences: false, vip: plan.vip, survivors: [plan.survivor], newcomer: nil,
                isRecovery: true)
            return start(
                host, subject, inventory, remotes, every: .seconds(2), firstLookLimit: .seconds(30), pause: .seconds(4))
        }
    }

    private static func start(
        _ host: Inventory.Host, _ subject: Subject, _ inventory: Inventory, _ remotes: Remotes,
        every interval: Duration, firstLookLimit: Duration, pause: Duration
    ) -> DeadMasterWatch {
        let ours = (subject.survivors.map(\.host) + [subject.newcomer?.host].compactMap(\.self))
            .compactMap(inventory.host(named:))
        let foreignHolder = ForeignVIPHolder(vip: subject.vip, port: inventory.cluster.apiPort, pause: pause)
        return DeadMasterWatch(
            host: host.name, every: interval, firstLookLimit: firstLookLimit, isArmed: subject.isArmed
        ) {
            async let isTaken = foreignHolder.isSeen(by: ours.map { try remotes[$0] })
            let answer: Result<String?, any Error>
            do {
                answer = .success(try await self.answer(of: host, subject, inventory, remotes))
            } catch {
                answer = .failure(error)
            }
            // Waited for in any case: a look that is left alone is cancelled, and with it a connection that others use.
            let isStranger = (try? await isTaken) == true
            if let seen = try? answer.get() {
                return .back(seen, inRecovery: subject.isRecovery, canBeFenced: !subject.isUnfenced)
            }
            if isStranger { return .foreignHolder(at: subject.vip, ours, inRecovery: subject.isRecovery) }
            _ = try answer.get()
            return nil
        }
    }

    /// - Returns: what the old master says for itself, or what a survivor sees of it; `nil` where it is silent, or fenced and quiet.
    /// - Throws: where nothing can be seen of it.
    private static func answer(
        of host: Inventory.Host, _ subject: Subject, _ inventory: Inventory, _ remotes: Remotes
    ) async throws -> String? {
        let fences = subject.fences
        do {
            let remote = try remotes[host]
            // Fenced, it answers, and that is all that it may do.
            let isFenced = try await FenceStep.wasFenced(remote)
            guard fences || isFenced else { return "it answers over SSH" }
            let signs = try await remote.run(FenceStep.look(inventory.cluster.distribution, vip: subject.vip))
            if signs.succeeded, signs.text.isEmpty { return nil }
            return signs.text.isEmpty ? "it answers over SSH" : signs.text.lastLines(3)
        } catch {
            let failure = ClusterState.HostFailure(error, of: host.name)
            switch failure.sign {
            case .alive: return failure.message
            // The survivor of a recovery is asked in any case: it is for it that the others have to be dead.
            case .inconclusive where subject.isRecovery: break
            case .inconclusive: throw error
            // Once it is fenced, all that others can see of it is that its sshd answers.
            case .unresponsive where fences, .noRoute where fences: return nil
            case .unresponsive, .noRoute: break
            }
            let sights = await sights(of: host, subject, inventory, remotes)
            if let sight = sights.first(where: \.isAlive) { return "it does not answer here, but \(sight.text)" }
            if subject.isRecovery, !sights.contains(where: \.isUnresponsive) { throw error }
            // A firewall between us and it gives the same error: it is silence only where a survivor gets no answer either.
            if failure.sign == .noRoute, sights.allSatisfy({ $0.sign == nil }) { throw error }
            return nil
        }
    }

    private static func sights(
        of host: Inventory.Host, _ subject: Subject, _ inventory: Inventory, _ remotes: Remotes
    ) async -> [PeerSight] {
        // Addresses that another machine has taken over are left out.
        let others = subject.survivors.reduce(into: subject.newcomer?.allAddresses ?? []) {
            $0.formUnion($1.allAddresses)
        }
        let addresses = Array(uniqued: [host.address] + subject.addresses.subtracting(others).sorted())
        let peers = addresses.map { PeerView.Peer(host, at: $0, inventory.cluster) }
        return await withTaskGroup(of: PeerSight.self) { group in
            for survivor in subject.survivors.compactMap({ inventory.host(named: $0.host) }) {
                group.addTask {
                    guard let remote = try? remotes[survivor] else { return PeerSight(by: survivor.name, sign: nil) }
                    return PeerSight(
                        by: survivor.name, await PeerView.look(at: peers, of: host.name, from: remote), of: addresses)
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
    }
}
