import Foundation

/// Finds the keys to authenticate with, before a host is dialled, so that waiting for a person's passphrase takes nothing from the
/// connect deadline. Each passphrase is asked for once, whatever the number of hosts.
actor KeyRing {
    /// The keys of an agent that can be used, and why others, or the agent itself, cannot.
    private typealias Agent = (keys: [AgentClient.Key], problems: [Connector.Credential])

    private let prompt: ConnectionPool.PassphrasePrompt?
    private let agentPath: String?
    private var decrypted: [String: Task<Connector.Credential, Never>] = [:]
    private var files: [String: Result<PrivateKeyFile, PrivateKeyFile.Problem>] = [:]
    private var agents: [String: Task<Result<[AgentClient.Key], Failure>, Never>] = [:]

    init(prompt: ConnectionPool.PassphrasePrompt?, agentPath: String?) {
        self.prompt = prompt
        self.agentPath = agentPath
    }

    /// OpenSSH's default key files: those that libssh2 may be able to use, and the two of FIDO keys, which are reported as unusable.
    private static let usual = ["id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk"].map {
        "~/.ssh/\($0)"
    }

    /// The keys in the order in which they are tried. Every refusal counts (MaxAuthTries): files that were named go before the keys
    /// that an agent happens to hold, and those before OpenSSH's default files.
    func credentials(for endpoint: Endpoint) async -> [Connector.Credential] {
        let agent = await agent(of: endpoint)
        let named = endpoint.identities.filter { $0 != "none" }
        let paths = endpoint.identities.isEmpty ? Self.usual.filter(isThere) : named
        var own: [Connector.Credential] = []
        var blobs: Set<Data> = []
        for path in paths {
            own.append(await credential(path, agent))
            if let blob = publicBlob(path) { blobs.insert(blob) }
            if case .failure(.publicKey(let key?)) = file("\(path)-cert.pub"), key.isCertificate {
                own.append(.unusable(name: "\(path)-cert.pub", reason: HostKey.whyNoCertificate))
            }
        }
        guard !endpoint.identitiesOnly else { return own + agent.problems }
        // RSA last: libssh2 1.10 cannot use it with a current server.
        let others = agent.keys.filter { !blobs.contains($0.blob) }
        let rest = (others.filter { $0.type != "ssh-rsa" } + others.filter { $0.type == "ssh-rsa" }).map {
            Connector.Credential.agent($0, name: "\($0.comment) from the agent")
        }
        return (named.isEmpty ? rest + own : own + rest) + agent.problems
    }

    private func credential(_ path: String, _ agent: Agent) async -> Connector.Credential {
        switch file(path) {
        case .success(let file) where !file.isEncrypted:
            return .file(file, passphrase: nil)
        case .success(let file):
            // Often the agent holds the key unlocked; then the passphrase is not asked for.
            if let held = key(publicBlob(path), path, in: agent) { return held }
            let task = decrypted[path] ?? Task { await self.decrypt(file) }
            decrypted[path] = task
            return await task.value
        case .failure(let problem):
            // A public key file names a key of the agent, also where only `X.pub` exists and `X` was named.
            let blob = publicBlob(path)
            var reason = problem.description
            if case .missing = problem, blob != nil { reason += ", and no agent holds the key of \(path).pub" }
            return key(blob, path, in: agent) ?? .unusable(name: path, reason: reason)
        }
    }

    private func key(_ blob: Data?, _ path: String, in agent: Agent) -> Connector.Credential? {
        agent.keys.first { $0.blob == blob }.map { .agent($0, name: "\(path) from the agent") }
    }

    /// The public half of a key, from its own file or from the `.pub` file beside it.
    private func publicBlob(_ path: String) -> Data? {
        switch file(path) {
        case .success(let file) where file.publicBlob != nil: return file.publicBlob
        case .failure(.publicKey(let key)): return key?.blob
        case .failure(.exposed(_, let blob?)): return blob
        default:
            if case .failure(.publicKey(let key)) = file("\(path).pub") { return key?.blob }
            return nil
        }
    }

    private func isThere(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: LocalAccount.expand(path: path))
            || FileManager.default.fileExists(atPath: LocalAccount.expand(path: "\(path).pub"))
    }

    private func file(_ path: String) -> Result<PrivateKeyFile, PrivateKeyFile.Problem> {
        if let known = files[path] { return known }
        let read = Result { () throws(PrivateKeyFile.Problem) in try PrivateKeyFile(path: path) }
        files[path] = read
        return read
    }

    /// Asks for the passphrase and takes the key out of its file: once for all hosts.
    private func decrypt(_ file: PrivateKeyFile) async -> Connector.Credential {
        guard let passphrase = await prompt?(file.path) else {
            return .unusable(name: file.path, reason: "it has a passphrase, and none was given")
        }
        let credential = await PooledThread.value {
            do throws(PrivateKeyFile.Problem) {
                let plain = try file.decrypted(by: passphrase)
                return Connector.Credential.file(plain ?? file, passphrase: plain == nil ? passphrase : nil)
            } catch {
                return .unusable(name: file.path, reason: error.description)
            }
        }
        switch credential {
        case .success(let credential): return credential
        case .failure(let error): return .unusable(name: file.path, reason: "\(error)")
        }
    }

    // MARK: Agents

    private func agent(of endpoint: Endpoint) async -> Agent {
        let path: String?
        switch endpoint.agent {
        case .environment: path = agentPath
        case .none: path = nil
        case .socket(let own): path = LocalAccount.expand(path: own)
        }
        guard let path else { return ([], []) }
        let task = agents[path] ?? Task { await Self.list(path) }
        agents[path] = task
        switch await task.value {
        case .failure(let failure):
            return ([], [.unusable(name: "the agent", reason: failure.description)])
        case .success(let keys):
            var agent = Agent([], [])
            for key in keys {
                let name = "\(key.comment) from the agent"
                if key.isCertificate {
                    agent.problems.append(.unusable(name: name, reason: HostKey.whyNoCertificate))
                } else if key.type.hasPrefix("sk-") {
                    agent.problems.append(
                        .unusable(name: name, reason: "a FIDO key (\(key.type)), which libssh2 cannot use"))
                } else {
                    agent.keys.append(key)
                }
            }
            return agent
        }
    }

    private static func list(_ path: String) async -> Result<[AgentClient.Key], Failure> {
        let result = await PooledThread.value {
            do {
                let agent = try AgentClient(path: path, waiter: Waiter(limit: .seconds(5)))
                return Result<[AgentClient.Key], Failure>.success(try agent.keys())
            } catch let failure as Failure {
                return .failure(failure)
            } catch is Stop {
                return .failure(Failure(description: "no answer within 5 s"))
            } catch {
                return .failure(Failure(description: "\(error)"))
            }
        }
        switch result {
        case .success(let keys): return keys
        case .failure(let error): return .failure(Failure(description: "\(error)"))
        }
    }
}
