import Cluster
public import Inventories
public import Planning

/// Two masters that die at once: whether etcd keeps its majority, and what there would be to begin with where it does not.
public struct TwoDeaths: Sendable, Codable {
    /// Claims that have to survive, on more drives of the two than MinIO can lose, or healed by nothing.
    public struct LostData: Sendable, Codable, Hashable {
        /// `NAMESPACE/NAME` of the workload.
        public var workload: String
        public var data: Inventory.Workload.DataClass
        /// Volumes that would count as lost, of how many, and how many may be; of the erasure set that is worst off.
        public var lost: Int
        public var size: Int
        public var mayBeLost: Int
    }

    /// By inventory name.
    public var hosts: [String]
    /// Missing where etcd's members are not known.
    public var keepsMajority: Bool?
    /// With a majority: those of the two whose replacement would be accepted while the other one is dead, too.
    public var replaceable: [String]
    /// With a majority: what the others' would be refused for.
    public var refusals: [Refusal]
    /// Masters that would be left, and whose etcd member is healthy now: each has all the data.
    public var survivors: [String]
    /// Those that would be left, the newest of each place, the newest first.
    public var snapshots: [KnownSnapshot]
    public var lostData: [LostData]
    /// Workloads of which that cannot be told, as `NAMESPACE/NAME`.
    public var unknownData: [String]

    /// Whether there would be data to go on with: etcd's own where it keeps its majority, a survivor's, or a snapshot's.
    public var isRecoverable = false
}

extension TwoDeaths {
    /// - Parameters:
    ///   - first, second: two masters of a cluster that gave an answer.
    ///   - snapshots: all that are known.
    ///   - refusals: why a supposed death's plan with a spare would be refused, given the state after both deaths.
    init(
        _ first: Inventory.Host, _ second: Inventory.Host, _ state: ClusterState, snapshots: [KnownSnapshot],
        refusals plan: (_ dead: Inventory.Host, _ after: ClusterState) -> [String: [Refusal]]
    ) {
        hosts = [first.name, second.name]
        self.snapshots = snapshots.filter { $0.host.map { ![first.name, second.name].contains($0) } ?? true }
        let healthy = Set(state.cluster.members.filter { $0.isHealthy && $0.isStarted && !$0.isLearner }.map(\.id))
        survivors = state.liveMasters.filter { host in
            host != first && host != second && !state.ownMembers(of: host).isDisjoint(with: healthy)
        }.map(\.name)
        // Who has the VIP then is a matter of both orders.
        let afters = Self.states(first, second, state)
        let lostMajority = afters.contains { $0.lostMajority }
        keepsMajority = state.cluster.members.isEmpty ? nil : !lostMajority
        (replaceable, self.refusals) = ([], [])
        if keepsMajority == true {
            for dead in [first, second] {
                var bySpare: [String: [Refusal]] = [:]
                for after in afters { bySpare.merge(plan(dead, after.state)) { $0 + $1 } }
                if bySpare.values.contains(where: \.isEmpty) {
                    replaceable.append(dead.name)
                } else {
                    refusals += bySpare.sorted { $0.key < $1.key }.flatMap(\.value)
                }
            }
            refusals = Array(uniqued: refusals)
        }
        // Nobody may be left to be asked then; what is lost is told by what was seen today.
        var after = afters[0].state
        after.cluster.source = state.cluster.source
        (lostData, unknownData) = Self.losses(first, second, after)
        isRecoverable = keepsMajority == true || !survivors.isEmpty || !self.snapshots.isEmpty
    }

    /// One for each survivor that could have the VIP thereafter.
    private static func states(_ first: Inventory.Host, _ second: Inventory.Host, _ state: ClusterState) -> [(
        state: ClusterState, lostMajority: Bool
    )] {
        var states: [(state: ClusterState, lostMajority: Bool)] = []
        var holders: Set<String?> = []
        for death in SupposedDeath.all(of: first, state) {
            let after = death.applied(to: state)
            for other in SupposedDeath.all(of: second, after) {
                let both = other.applied(to: after)
                guard holders.insert(both.vipHolders.first?.name).inserted || states.isEmpty else { continue }
                states.append((both, other.lostMajority(in: after) != nil))
            }
        }
        return states
    }

    private static func isHealed(_ loss: WorkloadLoss, _ inventory: Inventory) -> Bool {
        let rules = inventory.workloads.filter { $0.namespace == loss.namespace && $0.target == loss.target }
        return rules.contains { if case .rebuild(_, heal: .minio, _) = $0.rule { true } else { false } }
    }

    /// What both have of the data that has to survive, by the functions that judge one death: of the other one's drives nothing can
    /// be known then.
    private static func losses(_ first: Inventory.Host, _ second: Inventory.Host, _ after: ClusterState) -> (
        [LostData], unknown: [String]
    ) {
        func input(_ dead: Inventory.Host, _ state: ClusterState) -> PlanningInput? {
            // Who takes its place is no matter for what is lost.
            try? PlanningInput(state, ReplacementRequest(dead: dead.name, replacement: dead.name, notReadyFor: 0))
        }
        var found: [LostData] = []
        var unknown: [String] = []
        for (dead, other) in [(first, second), (second, first)] {
            var state = after
            for lost in input(other, after)?.lost ?? [] {
                state.drives[lost.volume.name] = MinIODrive(.unknown("it is on \(other.name), which is dead, too"))
            }
            for loss in input(dead, state)?.losses ?? [] where loss.data != .disposable {
                guard loss.unknown.isEmpty else {
                    unknown.append(loss.name)
                    continue
                }
                guard !loss.isRedundant, let worst = loss.worst else { continue }
                let data = LostData(
                    workload: loss.name, data: loss.data, lost: worst.gone, size: worst.size, mayBeLost: worst.parity)
                if let index = found.firstIndex(where: { $0.workload == data.workload }) {
                    // MinIO's drives are counted together each time; of a set that nothing heals, those of one host.
                    let (one, both) = (found[index].lost, found[index].lost + data.lost)
                    found[index].lost = isHealed(loss, state.inventory) ? max(one, data.lost) : both
                } else {
                    found.append(data)
                }
            }
        }
        return (found, Array(uniqued: unknown))
    }
}
