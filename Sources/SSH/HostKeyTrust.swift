import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Decides on host keys, and writes down those that a person accepted. One for a pool: the files are read once for all hosts.
final class HostKeyTrust: Sendable {
    private let acceptances: [HostKeyAcceptance]
    private let notice: @Sendable (String) -> Void
    private let cache = Mutex<[[String]: KnownHosts]>([:])

    init(acceptances: [HostKeyAcceptance], notice: @escaping @Sendable (String) -> Void) {
        self.acceptances = acceptances
        self.notice = notice
    }

    func knownHosts(_ files: [String]) -> KnownHosts {
        cache.withLock { cache in
            if let known = cache[files] { return known }
            let known = KnownHosts(files: files)
            cache[files] = known
            for warning in known.warnings { notice("\(warning); the line is passed over") }
            return known
        }
    }

    /// - Throws: ``SSHError`` with `hostKeyUnknown` or `hostKeyMismatch`, which end the connection before anything of ours
    ///   was sent to authenticate.
    func verify(_ key: HostKey, of endpoint: Endpoint) throws(SSHError) {
        let known = knownHosts(endpoint.knownHosts)
        let accepted = acceptances.first { $0.covers(endpoint, key) }
        func refusal(_ code: SSHError.Code, _ cause: String, _ advice: String) -> SSHError {
            SSHError(code, host: endpoint.name, operation: "verify the host key", cause: cause, advice: advice)
        }
        switch known.judge(host: endpoint.host, port: endpoint.port, key: key) {
        case .trusted:
            return
        case .revoked(let entry):
            throw refusal(
                .hostKeyMismatch, "its \(key.type) key \(key.fingerprint) is revoked by \(entry.file):\(entry.line)",
                "do not connect: give the host a new key, or find out why this one was revoked")
        case .unknown(let hasCertAuthority):
            if let accepted {
                try record(key, of: endpoint, accepted)
                return
            }
            let authority =
                hasCertAuthority
                ? "; a certificate authority is named for it, and libssh2 cannot check host certificates" : ""
            throw refusal(
                .hostKeyUnknown,
                "\(endpoint.host) port \(endpoint.port) is in none of the known_hosts files (\(endpoint.knownHosts.joined(separator: ", "))); "
                    + "its \(key.type) key is \(key.fingerprint)\(authority)",
                "compare with `ssh-keygen -lf` of the key on the host's console, "
                    + "then run again with --accept-host-key \(endpoint.name)=\(key.fingerprint)")
        case .mismatch(let entries):
            if let accepted, accepted.replacing {
                try record(key, of: endpoint, accepted)
                return
            }
            let lines = entries.prefix(4)
                .map { "\($0.key.type) \($0.key.fingerprint) at \($0.file):\($0.line)" }.joined(separator: ", ")
            let isOtherType = !entries.contains { $0.key.type == key.type }
            let what =
                isOtherType
                ? "the host showed a \(key.type) key, and only others are on file"
                : "the host key has changed"
            throw refusal(
                .hostKeyMismatch, "\(what): got \(key.type) \(key.fingerprint), on file \(lines)",
                "somebody may be in between; if the machine was installed anew, compare the fingerprint on its console "
                    + "and run again with --replace-host-key \(endpoint.name)=\(key.fingerprint)"
            )
        }
    }

    // MARK: Writing

    private func record(
        _ key: HostKey, of endpoint: Endpoint, _ acceptance: HostKeyAcceptance
    ) throws(SSHError) {
        let name = KnownHosts.name(host: endpoint.host, port: endpoint.port)
        do {
            try cache.withLock { cache in
                // Another connection to the same host may have written it by now.
                let latest = KnownHosts(files: endpoint.knownHosts)
                if case .trusted = latest.judge(host: endpoint.host, port: endpoint.port, key: key) {
                    cache = [:]
                    return
                }
                if acceptance.replacing {
                    for file in endpoint.knownHosts { try KnownHostsFile.remove(name, from: Paths.expand(file)) }
                }
                guard let file = endpoint.knownHosts.first else {
                    throw AgentFailure(description: "no known_hosts file is named for it")
                }
                try KnownHostsFile.append(name, key, to: Paths.expand(file))
                cache = [:]
            }
        } catch {
            throw SSHError(
                .hostKeyUnknown, host: endpoint.name, operation: "write the accepted host key", cause: "\(error)",
                advice: "make the first known_hosts file writable")
        }
    }
}

/// Changes to known_hosts files. Each is one rename, so that other readers never see a part.
enum KnownHostsFile {
    static func append(_ name: String, _ key: HostKey, to path: String) throws {
        try rewrite(path) { contents in
            if !contents.isEmpty && contents.last != newline { contents.append(newline) }
            contents += Array("\(name) \(key.type) \(key.blob.base64EncodedString())\n".utf8)
        }
    }

    /// Takes a host's keys out: its name from lines with several, whole lines otherwise. Revocations, authorities and lines that
    /// hold for it by a wildcard stay, and so does every byte of the other lines.
    static func remove(_ name: String, from path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        try rewrite(path) { contents in
            let lines = contents.split(separator: newline, omittingEmptySubsequences: false)
            contents = Array(
                lines.compactMap { line -> [UInt8]? in
                    let text = String(decoding: line, as: UTF8.self)
                    guard let rest = without(name, text[...]) else { return nil }
                    return rest == text ? Array(line) : Array(rest.utf8)
                }.joined(separator: [newline]))
        }
    }

    private static let newline = UInt8(ascii: "\n")

    static func without(_ name: String, _ line: Substring) -> String? {
        guard case .entry(let entry) = KnownHosts.parse(Array(line.utf8)[...], file: "", number: 0),
            entry.marker == .none
        else {
            return String(line)
        }
        switch entry.names {
        case .hashed:
            return entry.names.match(name) ? nil : String(line)
        case .patterns:
            let fields = line.split(maxSplits: 1) { $0 == " " || $0 == "\t" }
            let all = fields[0].split(separator: ",")
            let kept = all.filter { $0.lowercased() != name }
            if kept.count == all.count { return String(line) }
            let positive = kept.contains { !$0.hasPrefix("!") }
            return positive ? kept.joined(separator: ",") + " " + fields[1] : nil
        }
    }

    private static func rewrite(_ path: String, _ change: (inout [UInt8]) -> Void) throws {
        // The file behind a link is replaced, not the link.
        let path = URL(filePath: path).resolvingSymlinksInPath().path
        let folder = (path as NSString).deletingLastPathComponent
        if !FileManager.default.fileExists(atPath: folder) {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        let lock = open(folder, O_RDONLY)
        defer { if lock >= 0 { close(lock) } }
        // Two runs that accept keys at the same time write one after the other.
        if lock >= 0 { flock(lock, LOCK_EX) }
        var contents = FileManager.default.contents(atPath: path).map { Array($0) } ?? []
        change(&contents)
        let mode = (try? FileManager.default.attributesOfItem(atPath: path))?[.posixPermissions] as? Int ?? 0o600
        let temporary = folder + "/.known_hosts.\(getpid()).\(UInt32.random(in: 0...UInt32.max))"
        let number = open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode_t(mode))
        guard number >= 0 else { throw SystemError("open \(temporary)") }
        defer { close(number) }
        guard write(number, contents, contents.count) == contents.count, fsync(number) == 0,
            rename(temporary, path) == 0
        else {
            let error = SystemError("write \(path)")
            unlink(temporary)
            throw error
        }
    }
}
