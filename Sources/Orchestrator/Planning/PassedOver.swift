package import Cluster

extension Plan {
    /// A step that an operator has a resume pass over.
    public struct PassedOver: Sendable, Hashable, Codable {
        /// Its id.
        public var step: String
        /// The operator's reason.
        public var because: String

        public init(step: String, because: String) {
            self.step = step
            self.because = because
        }
    }

    /// Why a step is passed over; `nil` where it is not.
    package func reasonToPassOver(_ step: String) -> String? { passedOver?.first { $0.step == step }?.because }

    /// Whether a step rebuilds or heals data.
    package func isOfData(_ step: String) -> Bool { rebuilds.contains { $0.id == step || $0.healID == step } }

    /// The volumes of a rebuild that is passed over are left: its claims may still be bound to them.
    package var volumesToDelete: [ObjectReference] {
        let left = Set(rebuilds.filter { reasonToPassOver($0.id) != nil }.flatMap(\.claims).map(\.volume.uid))
        return volumes.filter { !left.contains($0.uid) }
    }
}

extension Plan.Rebuild {
    /// Of the steps that rebuild it and see it healed.
    package var id: String { "rebuild-\(namespace)-\(name)" }
    package var healID: String { "heal-\(namespace)-\(name)" }
}
