import Foundation
import Synchronization

/// Decides on host keys, and records those that a person accepted. A pool has one, so that each file is read once for all hosts, and
/// each name is looked up once, which in a file of hashed names takes an HMAC for each line.
final class HostKeyTrust: Sendable {
    private struct State {
        var files: [[String]: KnownHosts] = [:]
        /// The lines for a name, by the files and the name.
        var lines: [[String]: [String: [KnownHosts.Entry]]] = [:]
        var lookups = 0
        var revocations: [String: Result<RevokedKeys, Failure>] = [:]
    }

    private let acceptances: [HostKeyAcceptance]
    private let notice: @Sendable (String) -> Void
    private let state = Mutex(State())

    init(acceptances: [HostKeyAcceptance], notice: @escaping @Sendable (String) -> Void) {
        self.acceptances = acceptances
        self.notice = notice
    }

    /// The types of the keys on file for a host, to ask the server for.
    func keyTypes(for endpoint: Endpoint) -> [String] {
        state.withLock { KnownHosts.keyTypes(of: lines(for: endpoint, &$0)) }
    }

    private func lines(for endpoint: Endpoint, _ state: inout State) -> [KnownHosts.Entry] {
        let (paths, name) = (endpoint.knownHosts, endpoint.nameInKnownHosts)
        if let known = state.lines[paths]?[name] { return known }
        let files: KnownHosts
        if let known = state.files[paths] {
            files = known
        } else {
            files = KnownHosts(files: paths)
            state.files[paths] = files
            for warning in files.warnings { notice("\(warning); the line is skipped") }
        }
        let found = files.entries(named: name)
        state.lines[paths, default: [:]][name] = found
        state.lookups += 1
        return found
    }

    /// How many names were searched for, which tests compare with the number of hosts.
    var lookupCount: Int { state.withLock { $0.lookups } }

    /// - Throws: ``SSHError`` with `hostKeyUnknown` or `hostKeyMismatch`, which end the connection before anything is sent to
    ///   authenticate.
    func verify(_ key: HostKey, of endpoint: Endpoint) throws(SSHError) {
        let accepted = acceptances.first { $0.covers(endpoint, key) }
        func refusal(_ code: SSHError.Code, _ cause: String, _ advice: String) -> SSHError {
            SSHError(code, host: endpoint.name, operation: "verify the host key", cause: cause, advice: advice)
        }
        try state.withLock { state throws(SSHError) in
            try checkRevocations(key, endpoint, &state, refusal)
            let lines = lines(for: endpoint, &state)
            switch KnownHosts.judge(key, by: lines) {
            case .trusted:
                return
            case .revoked(let entry):
                throw refusal(
                    .hostKeyMismatch,
                    "its \(key.type) key \(key.fingerprint) is revoked by \(entry.file):\(entry.line)",
                    "do not connect: give the host a new key, or find out why this one was revoked")
            case .unknown(let hasCertAuthority):
                if accepted != nil { return try record(key, of: endpoint, replacing: [], &state) }
                let place =
                    endpoint.hostKeyAlias.map { "\($0) (HostKeyAlias)" } ?? "\(endpoint.host) port \(endpoint.port)"
                let authority =
                    hasCertAuthority
                    ? "; a certificate authority is named for it, and libssh2 cannot check host certificates" : ""
                throw refusal(
                    .hostKeyUnknown,
                    "\(place) is in none of the known_hosts files (\(endpoint.knownHosts.joined(separator: ", "))); "
                        + "its \(key.type) key is \(key.fingerprint)\(authority)",
                    "compare with `ssh-keygen -lf` of the key on the host's console, "
                        + "then run again with --accept-host-key \(endpoint.name)=\(key.fingerprint)")
            case .mismatch(let entries):
                if let accepted, accepted.replacing {
                    return try record(key, of: endpoint, replacing: entries, &state)
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
                    "somebody may be in between; if the machine was reinstalled, compare the fingerprint on its console "
                        + "and run again with --replace-host-key \(endpoint.name)=\(key.fingerprint)"
                )
            }
        }
    }

    /// Checks RevokedHostKeys. Where one of its files cannot be read no key is trusted (ssh_config(5)).
    private func checkRevocations(
        _ key: HostKey, _ endpoint: Endpoint, _ state: inout State,
        _ refusal: (SSHError.Code, String, String) -> SSHError
    ) throws(SSHError) {
        for file in endpoint.revokedHostKeys {
            let read =
                state.revocations[file]
                ?? Result { () throws(Failure) in try RevokedKeys(path: LocalAccount.expand(path: file)) }
            state.revocations[file] = read
            switch read {
            case .failure(let failure):
                throw refusal(
                    .hostKeyUnknown, "RevokedHostKeys \(file) \(failure), and without it no host key is trusted",
                    "correct RevokedHostKeys in ssh_config, or the file: one public key a line, or `ssh-keygen -k`'s format"
                )
            case .success(let revoked) where revoked.contain(key):
                throw refusal(
                    .hostKeyMismatch, "its \(key.type) key \(key.fingerprint) is revoked by \(file)",
                    "do not connect: give the host a new key, or find out why this one was revoked")
            case .success: break
            }
        }
    }

    /// Writes an accepted key to the first file, and after that removes the lines that it replaces, so that there is a line for the host
    /// at every moment.
    private func record(
        _ key: HostKey, of endpoint: Endpoint, replacing old: [KnownHosts.Entry], _ state: inout State
    ) throws(SSHError) {
        let name = endpoint.nameInKnownHosts
        let files = endpoint.knownHosts
        do {
            guard let first = files.first else {
                throw Failure(description: "no known_hosts file is named for it")
            }
            try KnownHosts.append(name, key, isHashed: endpoint.hashesKnownHosts, to: first)
        } catch {
            throw SSHError(
                .hostKeyUnknown, host: endpoint.name, operation: "write the accepted host key", cause: "\(error)",
                advice: "make the first known_hosts file writable, or name another one in the inventory (known_hosts)")
        }
        for file in Set(old.map(\.file)).sorted() {
            var why: String?
            do {
                try KnownHosts.remove(name, except: key, from: file, isOurs: file == files.first)
            } catch {
                why = "\(error)"
            }
            let left = KnownHosts(files: [file]).entries(named: name).filter { $0.marker == .none && $0.key != key }
            for entry in left {
                notice(
                    "\(endpoint.name): its old key is still trusted by \(file):\(entry.line), "
                        + "\(why ?? "a line for several hosts"); whoever has that key can pose as the host: "
                        + "have the line removed")
            }
        }
        let latest = KnownHosts(files: files)
        state.files[files] = latest
        state.lines[files, default: [:]][name] = latest.entries(named: name)
    }
}
