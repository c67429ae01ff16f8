import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting

/// The events of a real replacement on the lab, as its journal has them: `Fixtures/replacement.jsonl`.
enum RecordedRun {
    static func events() throws -> [Event] {
        let file = Golden.folder.appendingPathComponent("Fixtures/replacement.jsonl")
        return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map {
            try EventCoding.decode(Event.self, from: Data($0.utf8))
        }
    }

    /// Up to the first event that is so, that one included.
    static func events(upTo isLast: (Event) -> Bool) throws -> [Event] {
        let all = try events()
        guard let index = all.firstIndex(where: isLast) else { return all }
        return Array(all[...index])
    }
}
