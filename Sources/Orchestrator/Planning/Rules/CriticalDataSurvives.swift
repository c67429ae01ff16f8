import Cluster
import Inventories

/// Of data that must not be lost, what the dead node held has to be covered by what the other nodes hold.
///
/// For MinIO that is the parity of each erasure set, counted in drives; a drive elsewhere that is still being healed, or that could not
/// be looked at, counts as lost. Where the parity itself could not be found out, that is a refusal.
public enum CriticalDataSurvives: SafetyRule {
    public static let id = "critical-data-survives"
    public static let prevents = "deleting the copy that the rest would have to be healed from"

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        input.losses.flatMap { unhealed($0, input) + uncovered($0, input) }
    }

    /// Claims of a MinIO set that MinIO has no drives on.
    private static func unhealed(_ loss: WorkloadLoss, _ input: PlanningInput) -> [Refusal] {
        guard !loss.unhealed.isEmpty, let flags = loss.lossFlags(input, of: loss.unhealed) else { return [] }
        return [
            refusal(
                "\(loss.name) is \(loss.data.rawValue), and MinIO has no drives on \(loss.unhealed.map(\.name).listed): nothing heals what they held",
                advice: "bring the dead node's disks back; if the data may go: \(flags)")
        ]
    }

    private static func uncovered(_ loss: WorkloadLoss, _ input: PlanningInput) -> [Refusal] {
        guard !loss.isRedundant, let flags = loss.lossFlags(input) else { return [] }
        let unknown = loss.unknown.map { what in
            refusal(
                "\(loss.name) is \(loss.data.rawValue), and it is not known \(what)",
                advice: "see to it that this can be read; if the data may go: \(flags)")
        }
        let lost = loss.sets.filter { loss.isParityKnown && $0.gone > $0.parity }.map { set in
            let kinds = loss.unseen.isEmpty ? "are being healed" : "are being healed or could not be looked at"
            let counted = loss.lost < set.gone ? ", those counted that \(kinds)" : ""
            let unseen = loss.unseen.map { "; it is not known \($0)" }.joined()
            let advice =
                unseen.isEmpty
                ? "bring the dead node's disks back"
                : "see to it that this can be looked at, or bring the dead node's disks back"
            return refusal(
                "\(loss.name) is \(loss.data.rawValue): \(set.gone) of \(set.size) volumes are lost\(counted), and its redundancy tolerates \(set.parity)\(unseen)",
                advice: "\(advice); if the data may go: \(flags)")
        }
        return lost + unknown
    }
}
