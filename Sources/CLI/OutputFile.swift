import Cluster
import Foundation
import Inventories

/// A document that a verb writes for its user: whole, or not at all.
enum OutputFile {
    /// - Parameter mayReplace: whether a file that is there may be written over; nothing else is.
    /// - Throws: ``ClusterError`` with `localFile`.
    static func write(_ document: Data, to name: String, mayReplace: (Data) -> Bool = { _ in true }) throws {
        let path = (name as NSString).expandingTildeInPath
        func failure(_ cause: String) -> ClusterError {
            ClusterError(
                .localFile, host: "this machine", operation: "write \(name)", cause: cause,
                advice: "name another file with --out")
        }
        if let old = FileManager.default.contents(atPath: path), !mayReplace(old) {
            throw failure("something else than such a document is there already")
        }
        do { try document.write(to: URL(fileURLWithPath: path), options: .atomic) } catch {
            throw failure(FileProblem.writing(path))
        }
    }
}
