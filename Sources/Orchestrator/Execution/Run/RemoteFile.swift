import Cluster
import Crypto
import Foundation
import SSH

/// Brings a file of a host to this machine, in pieces, so that gigabytes need no memory of that size.
struct RemoteFile {
    let remote: any Remote
    /// The last words of an error's advice: how to go on.
    let next: String

    init(_ remote: any Remote, next: String) {
        self.remote = remote
        self.next = next
    }

    /// - Returns: the SHA-256 of what arrived, in hexadecimal.
    /// - Throws: `SSHError`; ``ClusterError``.
    func download(_ remotePath: String, to path: String) async throws -> String {
        let piece = 8 << 20
        var hash = SHA256()
        let file = try LocalFile.create(path, next: next)
        var offset = 0
        while true {
            let result = try await remote.run(
                .script(
                    #"tail -c "+$2" -- "$1" | head -c "$3""#, [remotePath, String(offset + 1), String(piece)],
                    timeout: .seconds(120),
                    label: "read \(remotePath) from \(offset)"))
            guard result.succeeded else {
                throw ClusterError(
                    .commandFailed, host: remote.name, operation: "read \(remotePath)",
                    cause: "\(result.outcome): \(result.errorText)", advice: "nothing was changed by that; \(next)")
            }
            if result.standardOutput.isEmpty { break }
            do { try file.write(contentsOf: result.standardOutput) } catch {
                throw LocalFile.failure("write \(path)", "\(error)", next: next)
            }
            hash.update(data: result.standardOutput)
            offset += result.standardOutput.count
        }
        do {
            try file.synchronize()
            try file.close()
        } catch { throw LocalFile.failure("write \(path)", "\(error)", next: next) }
        return hash.finalize().hexadecimal
    }
}
