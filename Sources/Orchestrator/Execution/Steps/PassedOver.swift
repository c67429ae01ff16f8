import Cluster
import Inventories
package import Planning

/// In the place of a step that an operator has a resume pass over. Where it is done all the same, that is told.
package struct PassedOver: Step {
    let step: any Step
    let because: String

    package var id: String { step.id }
    package var title: String { step.title }
    package var reason: String {
        "Passed over: \(because)" + (leftUndone.map { "; what that leaves: \($0)" } ?? "")
    }
    package var effects: [Effect] { [] }
    package var estimate: Int { 0 }
    package var leftUndone: String? { step.leftUndone }

    package func check(_ context: RunContext) async throws -> StepStatus {
        guard case .satisfied(let seen)? = try? await step.check(context) else {
            try Task.checkCancellation()
            return .passedOver(because)
        }
        return .satisfied(seen)
    }

    package func run(_ context: RunContext) async throws {}
    /// An earlier run of it may have left what must not outlive this one.
    package func undo(_ context: RunContext) async throws { try await step.undo(context) }
}

extension Plan {
    /// The plan with further steps passed over. With a rebuild goes the heal of what it would have made.
    /// - Parameter step: the id of one that has something that can be left undone.
    package func passing(over step: String, because: String) -> Plan {
        var plan = self
        let heals = rebuilds.filter { $0.id == step && !$0.drives.isEmpty }.map(\.healID)
        let passed = [step] + heals
        plan.passedOver =
            (passedOver ?? []).filter { !passed.contains($0.step) } + passed.map { .init(step: $0, because: because) }
        return plan
    }

    /// The workloads whose rebuild or heal is passed over: of their pods nothing is expected.
    var givenUp: [Rebuild] { rebuilds.filter { reasonToPassOver($0.id) != nil || reasonToPassOver($0.healID) != nil } }
}

extension Plan.Rebuild {
    /// What is left undone where it is passed over.
    func leftUndone(by plan: Plan) -> String {
        var left = [
            plan.reusesName
                ? "claims of \(reference) that are not deleted yet stay bound to folders of the old disk, and their pods start on empty ones"
                : "claims of \(reference) that are not deleted yet stay, and their pods Pending"
        ]
        switch kind {
        case .statefulSet:
            left.append(
                "a claim that was deleted is recreated after you delete its Pending pod, and any node may get its volume"
            )
        case .deployment:
            left.append(
                "a claim that was deleted is recreated by the operator after you delete the deployment")
        }
        if !drives.isEmpty { left.append("two of its drives may come to share a node, whose loss may then lose data") }
        left.append("its volumes stay: \(claims.map(\.volume.name).joined(separator: ", "))")
        return left.joined(separator: "; ") + "; nothing rebuilds it later but you, by hand"
    }
}
