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

    /// Brings a file of this machine to the host, 0600. It is there once it is whole.
    /// - Parameter sha256: of it, in hexadecimal.
    /// - Throws: `SSHError`; ``ClusterError``.
    func upload(_ path: String, to remotePath: String, sha256: String) async throws {
        let compare = #"[ "$(sha256sum -- "$1" 2>/dev/null | cut -d ' ' -f 1)" = "$2" ]"#
        if try await remote.run(
            .script(compare, [remotePath, sha256], timeout: .seconds(300), label: "sha256sum \(remotePath)")
        ).succeeded {
            return
        }
        func run(_ script: String, _ label: String) async throws {
            let part = remotePath + ".part"
            let result = try await remote.run(
                .script(script, [part, sha256, remotePath], timeout: .seconds(300), label: label))
            guard result.succeeded else {
                throw ClusterError(
                    .commandFailed, host: remote.name, operation: label,
                    cause: "\(result.outcome): \(result.errorText.lastLines(1))", advice: next)
            }
        }
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw LocalFile.failure("read \(path)", "it cannot be opened", next: next)
        }
        defer { try? file.close() }
        try await run(#"umask 077; rm -f -- "$1.piece"; : >"$1""#, "make \(remotePath).part")
        while let piece = try file.read(upToCount: 8 << 20), !piece.isEmpty {
            try Task.checkCancellation()
            try await remote.upload(piece, to: remotePath + ".part.piece", mode: 0o600)
            try await run(
                #"cat "$1.piece" >>"$1" && rm -f -- "$1.piece""#, "write \(remotePath).part")
        }
        try await run(
            #"\#(compare) || { echo "it arrived with another checksum than it has here" >&2; exit 1; }; mv -f -- "$1" "$3""#,
            "write \(remotePath)")
    }
}
