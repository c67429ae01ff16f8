import Foundation

/// Finds the keys to authenticate with, before a host is dialled: waiting for a person's passphrase takes nothing from the
/// connect deadline, and each passphrase is asked for once, whatever the number of hosts.
actor KeyRing {
    typealias PassphrasePrompt = @Sendable (_ path: String) async -> Secret?

    private let prompt: PassphrasePrompt?
    private let agentPath: String?
    private var passphrases: [String: Task<Secret?, Never>] = [:]
    private var files: [String: Result<PrivateKeyFile, PrivateKeyFile.Problem>] = [:]
    private var agent: Task<Result<[AgentKey], AgentFailure>, Never>?

    init(prompt: PassphrasePrompt?, agentPath: String?) {
        self.prompt = prompt
        self.agentPath = agentPath
    }

    func credentials(for endpoint: Endpoint) async -> [Connector.Credential] {
        guard endpoint.identities.isEmpty else {
            var credentials: [Connector.Credential] = []
            for path in endpoint.identities { credentials.append(await credential(path)) }
            return credentials
        }
        var credentials: [Connector.Credential] = []
        switch await agentKeys() {
        case .success(let keys):
            // RSA last: libssh2 1.10 cannot use it with a current server, and every refused key counts (MaxAuthTries).
            let ordered = keys.filter { $0.type != "ssh-rsa" } + keys.filter { $0.type == "ssh-rsa" }
            credentials += ordered.filter { !$0.type.hasPrefix("sk-") }.map { .agent($0, name: $0.comment) }
        case .failure(let failure):
            credentials.append(.unusable(name: "the agent", reason: failure.description))
        case nil: break
        }
        for path in ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa"] {
            if case .failure(.missing) = file(path) { continue }
            credentials.append(await credential(path))
        }
        return credentials
    }

    private func credential(_ path: String) async -> Connector.Credential {
        switch file(path) {
        case .failure(let problem):
            return .unusable(name: path, reason: problem.description)
        case .success(let file) where !file.isEncrypted:
            return .file(file, passphrase: nil)
        case .success(let file):
            // The agent has it unlocked, often: then nobody is asked.
            if let blob = file.publicBlob, case .success(let keys) = await agentKeys(),
                let key = keys.first(where: { $0.blob == blob })
            {
                return .agent(key, name: path)
            }
            guard let passphrase = await passphrase(path) else {
                return .unusable(name: path, reason: "it has a passphrase, and none was given")
            }
            return .file(file, passphrase: passphrase)
        }
    }

    private func file(_ path: String) -> Result<PrivateKeyFile, PrivateKeyFile.Problem> {
        if let known = files[path] { return known }
        let read = Result { () throws(PrivateKeyFile.Problem) in try PrivateKeyFile(path: path) }
        files[path] = read
        return read
    }

    private func passphrase(_ path: String) async -> Secret? {
        guard let prompt else { return nil }
        let task = passphrases[path] ?? Task { await prompt(path) }
        passphrases[path] = task
        return await task.value
    }

    private func agentKeys() async -> Result<[AgentKey], AgentFailure>? {
        guard let agentPath else { return nil }
        let task = agent ?? Task { await Self.list(agentPath) }
        agent = task
        return await task.value
    }

    private static func list(_ path: String) async -> Result<[AgentKey], AgentFailure> {
        await withCheckedContinuation { continuation in
            OwnThread.start {
                do {
                    let waiter = Waiter(bell: try WakePipe(), deadline: .after(.seconds(5)), interrupt: Interrupt())
                    let agent = try AgentClient(path: path, waiter: waiter)
                    continuation.resume(returning: .success(try agent.keys()))
                } catch let failure as AgentFailure {
                    continuation.resume(returning: .failure(failure))
                } catch is Stop {
                    continuation.resume(returning: .failure(AgentFailure(description: "no answer within 5 s")))
                } catch {
                    continuation.resume(returning: .failure(AgentFailure(description: "\(error)")))
                }
            }
        }
    }
}
