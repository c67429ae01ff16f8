package import Cluster
import Foundation

/// Files on this machine that hold secrets: 0600 from their first byte on, and on the disk once they are written.
package enum LocalFile {
    /// - Throws: ``ClusterError`` with `localFile`.
    static func create(_ path: String, next: String) throws -> FileHandle {
        try? FileManager.default.removeItem(atPath: path)
        guard FileManager.default.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o600]),
            let file = FileHandle(forWritingAtPath: path)
        else { throw failure("create \(path)", "cannot be created", next: next) }
        return file
    }

    /// A name that may be anything, as one of a file.
    package static func safeName(_ name: String) -> String {
        let safe = CharacterSet(charactersIn: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
        return name.addingPercentEncoding(withAllowedCharacters: safe) ?? "unnamed"
    }

    /// Writes it beside its place and renames it: what is there is whole.
    /// - Throws: ``ClusterError`` with `localFile`.
    static func write(_ data: Data, to path: String, next: String) throws {
        let part = path + ".part"
        let file = try create(part, next: next)
        do {
            try file.write(contentsOf: data)
            try file.synchronize()
            try file.close()
        } catch { throw failure("write \(part)", "\(error)", next: next) }
        guard rename(part, path) == 0 else {
            throw failure("rename \(part)", String(cString: strerror(errno)), next: next)
        }
    }

    /// - Throws: ``ClusterError`` with `localFile`.
    static func makeFolder(_ path: String, next: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch { throw failure("make the folder \(path)", error.localizedDescription, next: next) }
    }

    package static func failure(_ operation: String, _ cause: String, next: String) -> ClusterError {
        ClusterError(
            .localFile, host: "this machine", operation: operation, cause: cause,
            advice: "nothing was changed in the cluster; make room, then \(next)")
    }
}
