import Cluster
import Foundation
import Inventories
public import Planning

/// Writes the roles that a replacement has made into the inventory's file.
public enum InventoryUpdate {
    /// Of the event that tells it, by which a report knows that nothing is left to write.
    public static let title = "inventory"

    /// What was there stays beside it, and the file is whole at every moment.
    /// - Returns: what was done, as a sentence.
    /// - Throws: ``InventoryError``; ``ClusterError`` with `localFile`.
    public static func write(_ plan: Plan, to file: String, run: String) throws -> String {
        let (old, new) = (plan.dead.host, plan.replacement.host)
        // A link stays one.
        let path = URL(fileURLWithPath: (file as NSString).expandingTildeInPath).resolvingSymlinksInPath().path
        let text = try Inventory.text(of: path)
        let (copy, part) = ("\(path).before-\(run)", "\(path).masterswap")
        func failure(_ operation: String, _ cause: String = String(cString: strerror(errno))) -> ClusterError {
            ClusterError(
                .localFile, host: "this machine", operation: operation, cause: cause,
                advice: "write it by hand: take \(old) out of the hosts, and make \(new) 'role: master'")
        }
        let edited: String
        do { edited = try InventoryEdit.replace(old, by: new, in: text, file: file) } catch let error
            as InventoryEdit.Impossible
        {
            throw failure("write the new roles into \(file)", error.description)
        }
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        let kept = (attributes ?? [:]).filter {
            [.posixPermissions, .ownerAccountID, .groupOwnerAccountID].contains($0.key)
        }
        func write(_ data: Data, _ place: String) throws {
            guard FileManager.default.createFile(atPath: place, contents: nil, attributes: kept),
                let handle = FileHandle(forWritingAtPath: place)
            else { throw failure("create \(place)") }
            do {
                try handle.write(contentsOf: data)
                try handle.synchronize()
                try handle.close()
            } catch { throw failure("write \(place)") }
        }
        guard let before = FileManager.default.contents(atPath: path), before == Data(text.utf8) else {
            throw failure("write the new roles into \(file)", "it was changed meanwhile, or is no plain UTF-8")
        }
        if !FileManager.default.fileExists(atPath: copy) { try write(before, copy) }
        try write(Data(edited.utf8), part)
        guard rename(part, path) == 0 else { throw failure("rename \(part)") }
        return "\(file) has \(new) as a master now, and the lines of \(old) as comments; as it was before: \(copy)"
    }
}
