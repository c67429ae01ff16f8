public import Cluster
import Foundation

/// What keeps two runs from acting on one cluster.
protocol RunLock: Sendable {
    /// Right before a destructive act: the lock is still ours.
    /// - Throws: ``Locked`` where it is not.
    func assertHeld() async throws
    /// Before something is written that takes nothing away: no other run has it.
    /// - Throws: ``Locked`` where one has.
    func assertNotTakenOver() async throws
    func release() async
}

/// The lock that keeps two runs from acting on one cluster: the Lease `kube-system/masterswap`, taken by compare-and-swap.
///
/// Clocks are never compared between machines: a lease counts as abandoned when it was seen unchanged for its whole duration by
/// this machine's own clock, as client-go's leader election does it. `leaseTransitions` is the fencing number: it grows with each
/// change of hands, and is checked again before every destructive act.
public actor ClusterLock: RunLock {
    /// How long a lease lives without being renewed, in seconds.
    package static let duration = 30
    static let renewInterval = Duration.seconds(8)
    package static let name = "masterswap"

    /// Who holds it, told to whoever comes second.
    public struct Owner: Sendable, Hashable, CustomStringConvertible {
        public var user: String
        public var machine: String
        public var process: Int32
        /// Tells two runs of one process apart, and a process id that was given out again.
        public var token: String

        /// Host names repeat; the boot's id does not. Containers share both: a process id says something in its namespace alone.
        private static let thisMachine: String = {
            let boot = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
            let namespace = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")
            return ProcessInfo.processInfo.hostName + (boot.map { "+" + $0.prefix(8) } ?? "")
                + (namespace.map { "." + $0.filter(\.isNumber) } ?? "")
        }()

        static func current() -> Owner {
            Owner(
                user: NSUserName(), machine: thisMachine,
                process: ProcessInfo.processInfo.processIdentifier,
                token: String(UInt64.random(in: .min ... .max), radix: 16))
        }

        package init(user: String, machine: String, process: Int32, token: String) {
            self.user = user
            self.machine = machine
            self.process = process
            self.token = token
        }

        /// `user@machine/pid/token`, as it stands in `holderIdentity`.
        package init?(identity: String) {
            let parts = identity.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 3, let process = Int32(parts[1]), let at = parts[0].lastIndex(of: "@") else {
                return nil
            }
            self.init(
                user: String(parts[0][..<at]), machine: String(parts[0][parts[0].index(after: at)...]),
                process: process,
                token: String(parts[2]))
        }

        package var identity: String { "\(user)@\(machine)/\(process)/\(token)" }
        public var description: String { "\(user) on \(machine), process \(process)" }

        /// It ran on this machine, and its process is gone: nobody has to wait for the lease to run out.
        var isGoneFromHere: Bool {
            machine == Self.thisMachine && kill(process, 0) != 0 && errno == ESRCH
        }
    }

    struct Lease: Codable, Sendable, Hashable {
        struct Metadata: Codable, Sendable, Hashable {
            var name: String
            var namespace: String
            var resourceVersion: String?
        }
        struct Spec: Codable, Sendable, Hashable {
            var holderIdentity: String?
            var leaseDurationSeconds: Int?
            var acquireTime: String?
            var renewTime: String?
            var leaseTransitions: Int?
        }
        var apiVersion = "coordination.k8s.io/v1"
        var kind = "Lease"
        var metadata: Metadata
        var spec: Spec

        var holder: String? { spec.holderIdentity.flatMap { $0.isEmpty ? nil : $0 } }
    }

    /// This machine's monotonic time; tests have one of their own.
    struct MonotonicClock: Sendable {
        var now: @Sendable () -> ContinuousClock.Instant = { .now }
        var sleep: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    }

    private let kubectl: Kubectl
    private let owner: Owner
    private let clock: MonotonicClock
    private var fencingNumber = 0
    private var renewed: ContinuousClock.Instant
    private var renewal: Task<Void, Never>?

    private init(_ kubectl: Kubectl, _ owner: Owner, _ clock: MonotonicClock) {
        self.kubectl = kubectl
        self.owner = owner
        self.clock = clock
        renewed = clock.now()
    }

    /// Takes the lock, or tells who has it. Where another run's lease is there, it is watched until it is renewed, which ends this
    /// with an error, or has run out.
    /// - Parameter note: told what is waited for.
    /// - Throws: ``Locked``; `SSHError`; ``ClusterError``.
    public static func acquire(_ kubectl: Kubectl, note: @Sendable (String) -> Void) async throws -> ClusterLock {
        try await acquire(kubectl, clock: MonotonicClock(), note: note)
    }

    static func acquire(
        _ kubectl: Kubectl, clock: MonotonicClock, note: @Sendable (String) -> Void
    ) async throws -> ClusterLock {
        let lock = ClusterLock(kubectl, .current(), clock)
        try await lock.take(note)
        await lock.keep()
        return lock
    }

    private func take(_ note: @Sendable (String) -> Void) async throws {
        var watched: (lease: Lease, since: ContinuousClock.Instant, until: ContinuousClock.Instant)?
        while true {
            try Task.checkCancellation()
            let lease = try await Self.read(kubectl)
            if let lease, let holder = lease.holder, Owner(identity: holder)?.isGoneFromHere != true {
                let now = clock.now()
                let duration = Duration.seconds(lease.spec.leaseDurationSeconds ?? Self.duration)
                guard let last = watched else {
                    note("another run's lock is there, of \(Self.describe(lease)): seeing whether it lives")
                    watched = (lease, since: now, until: now)
                    continue
                }
                guard last.lease == lease else { throw Locked(lease) }
                // While the API server was away the holder could not renew either: that time does not count against it.
                let since = now - last.until > duration / 3 ? now : last.since
                if now - since < duration {
                    watched = (lease, since: since, until: now)
                    try await clock.sleep(.seconds(1))
                    continue
                }
            }
            if try await claim(lease) { return }
            watched = nil
        }
    }

    /// - Returns: `false` where somebody else was quicker.
    private func claim(_ lease: Lease?) async throws -> Bool {
        let (now, begun) = (Self.timestamp(), clock.now())
        var next = lease ?? Lease(metadata: .init(name: Self.name, namespace: "kube-system"), spec: .init())
        next.spec = .init(
            holderIdentity: owner.identity, leaseDurationSeconds: Self.duration, acquireTime: now, renewTime: now,
            leaseTransitions: (lease?.spec.leaseTransitions ?? 0) + 1)
        guard try await write(next, verb: lease == nil ? "create" : "replace") else { return false }
        fencingNumber = next.spec.leaseTransitions ?? 0
        renewed = begun
        return true
    }

    /// - Returns: `false` on a conflict: the lease is not what it was when it was read.
    private func write(_ lease: Lease, verb: String) async throws -> Bool {
        if try await Self.write(lease, verb: verb, kubectl) { return true }
        // Where the answer to an earlier try was lost, the conflict is with ourselves.
        return try await Self.read(kubectl)?.holder == owner.identity
    }

    private static func write(_ lease: Lease, verb: String, _ kubectl: Kubectl) async throws -> Bool {
        do {
            try await kubectl.run([verb, "-f", "-"], input: try JSONEncoder().encode(lease))
            return true
        } catch let error as ClusterError
            where ["Conflict", "AlreadyExists", "NotFound"].contains(error.serverReason ?? "")
        {
            return false
        }
    }

    private func keep() {
        renewal = Task { [weak self, clock] in
            while !Task.isCancelled {
                try? await clock.sleep(Self.renewInterval)
                guard !Task.isCancelled, let self else { return }
                // What cannot be renewed for the moment shows at the next destructive act.
                try? await self.renew()
            }
        }
    }

    private func renew() async throws {
        let begun = clock.now()
        var lease = try await held()
        lease.spec.renewTime = Self.timestamp()
        guard try await write(lease, verb: "replace") else { throw Locked(try await Self.read(kubectl)) }
        renewed = begun
    }

    /// Right before a destructive act: the lock is still ours.
    /// - Throws: ``Locked`` where it is not.
    public func assertHeld() async throws {
        _ = try await held()
        // One that is about to run out could be taken over between this answer and the act.
        if clock.now() - renewed > .seconds(Self.duration) / 2 { try await renew() }
    }

    /// For as long as the lease lasts nobody takes it over, and nobody has to be asked.
    func assertNotTakenOver() async throws {
        if clock.now() - renewed >= .seconds(Self.duration) { _ = try await held() }
    }

    private func held() async throws -> Lease {
        let lease = try await Self.read(kubectl)
        guard let lease, lease.holder == owner.identity, lease.spec.leaseTransitions == fencingNumber else {
            throw Locked(lease)
        }
        return lease
    }

    /// Gives it back; the fencing number stays, so that it only ever grows.
    public func release() async {
        // A renewal that is on its way would make the release a conflict.
        renewal?.cancel()
        await renewal?.value
        for _ in 1...3 {
            guard var lease = try? await held() else { return }
            lease.spec.holderIdentity = ""
            _ = try? await write(lease, verb: "replace")
        }
    }

    // MARK: Unlocking by hand

    /// Who holds a lock and since when.
    public struct Holder: Sendable, CustomStringConvertible {
        package let identity: String
        public let description: String
    }

    /// `nil` where nobody holds it.
    public static func holder(_ kubectl: Kubectl) async throws -> Holder? {
        guard let lease = try await read(kubectl), let identity = lease.holder else { return nil }
        return Holder(identity: identity, description: describe(lease))
    }

    /// Takes the lock away from this holder: their next destructive act finds that out, and stops.
    /// - Throws: ``Locked`` where another one holds it by now.
    public static func breakLock(_ kubectl: Kubectl, of holder: Holder) async throws {
        while var lease = try await read(kubectl), lease.holder != nil {
            guard lease.holder == holder.identity else { throw Locked(lease) }
            lease.spec.holderIdentity = ""
            lease.spec.leaseTransitions = (lease.spec.leaseTransitions ?? 0) + 1
            // A conflict is a renewal in between: read again.
            if try await write(lease, verb: "replace", kubectl) { return }
        }
    }

    static func describe(_ lease: Lease?) -> String {
        guard let lease, let holder = lease.holder else { return "nobody" }
        let owner = Owner(identity: holder).map { "\($0)" } ?? holder
        return "\(owner), since \(lease.spec.acquireTime ?? "?"), last renewed \(lease.spec.renewTime ?? "?")"
    }

    private static func read(_ kubectl: Kubectl) async throws -> Lease? {
        try await kubectl.find(Lease.self, ["lease", name, "-n", "kube-system"])
    }

    /// MicroTime, RFC 3339 with six digits.
    private static func timestamp() -> String {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        return Date().formatted(style).replacing("Z", with: "000Z")
    }
}

/// Another run acts on the cluster, or has taken the lock over: exit status 6.
public struct Locked: Error, Sendable, CustomStringConvertible {
    public let description: String

    /// - Parameter path: of the lock, on a host.
    init(_ holder: ClusterLock.Owner?, at path: String, on host: String) {
        description =
            holder.map {
                "another run holds the lock on \(host): \($0); wait for its end, or, if it is surely gone, delete there: \(path)"
            } ?? "this run's lock on \(host) was taken over; nothing more is done; to go on: masterswap resume"
    }

    init(goneAt path: String, on host: String) {
        description =
            "this run's lock on \(host), \(path), is gone: \(host) was restarted, or somebody has deleted it; nothing more is done; to go on: masterswap resume"
    }

    init(_ lease: ClusterLock.Lease?) {
        guard lease?.holder != nil else {
            description =
                "this run's lock of the cluster was released by somebody else; nothing more is done; to go on: masterswap resume"
            return
        }
        description =
            "another run holds the lock of this cluster: \(ClusterLock.describe(lease)); wait for its end, or, if it is surely gone: masterswap unlock"
    }
}
