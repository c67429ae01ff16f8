public import Foundation
public import Inventories
public import SSH
import Synchronization

/// kubectl, run on a master over SSH, and on the next one where that one or its API server is away for the moment.
///
/// Every command given to it can be given again without harm: reads, and changes that name a UID or a state to reach.
public struct Kubectl: Sendable {
    /// A master to run on and the API server beside it, `ADDRESS:PORT`: a VIP on the move is no obstacle then.
    public struct Target: Sendable {
        public var remote: any Remote
        public var apiServer: String?

        public init(remote: any Remote, apiServer: String? = nil) {
            self.remote = remote
            self.apiServer = apiServer
        }
    }

    private let targets: [Target]
    private let first = FirstTarget()
    private let distribution: Inventory.Distribution
    /// kubectl's own; flags follow it. `nil` counts as current.
    private let version: KubernetesVersion?
    /// The cluster's; the image of etcd follows it. `nil` counts as current.
    let kubernetes: KubernetesVersion?
    /// For how long a server that is away is retried.
    private let retryTimeout: Duration
    private let note: @Sendable (String) -> Void

    public init(
        _ targets: [Target], distribution: Inventory.Distribution, version: KubernetesVersion? = nil,
        kubernetes: KubernetesVersion? = nil, retryTimeout: Duration = .zero,
        note: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        precondition(!targets.isEmpty, "kubectl needs a master to run on")
        self.targets = targets
        self.distribution = distribution
        self.version = version
        self.kubernetes = kubernetes
        self.retryTimeout = retryTimeout
        self.note = note
    }

    /// The target that is asked first: the one that answered last, so that not every command waits for a master that is silent.
    private final class FirstTarget: Sendable {
        private let value = Mutex(0)
        var index: Int {
            get { value.withLock { $0 } }
            set { value.withLock { $0 = newValue } }
        }
    }

    /// The masters that it may run on.
    var remotes: [any Remote] { targets.map(\.remote) }

    /// The master that is asked first.
    public var host: String { targets[0].remote.name }

    /// What stands before the arguments of every call.
    package static func prefix(_ distribution: Inventory.Distribution, apiServer: String?) -> [String] {
        environment + words(distribution, apiServer: apiServer)
    }

    /// kubectl as a person would type it there.
    package static func words(_ distribution: Inventory.Distribution, apiServer: String?) -> [String] {
        distribution.kubectl(apiServer: apiServer)
    }

    /// Before kubectl's own words. A proxy that a master's environment names (/etc/environment) is not on the way to the API server
    /// beside it, and no_proxy seldom has every master's address (kubernetes/kubeadm#2145). sudo's secure_path lacks the folder
    /// in which kubectl and k3s often are (k3s-io/k3s#10175).
    package static let environment = [
        "sh", "-c",
        "unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY; PATH=$PATH:/usr/local/bin; export PATH; exec \"$@\"",
        "sh",
    ]

    /// What a command gave, and where it ran.
    package struct Answer {
        package var host: String
        package var result: CommandResult
    }

    /// Runs a command that is made for the target it is run on. Where it is retried at all, each target is tried, however long one of
    /// them takes to be silent.
    /// - Parameter accepts: whether the result is an answer; what is none is an error, and retried if it is transient.
    func execute(
        accepts: (CommandResult) -> Bool = { $0.succeeded }, _ command: (_ prefix: [String]) -> Command
    ) async throws -> Answer {
        let deadline = ContinuousClock.now + retryTimeout
        let start = first.index
        var tries = 0
        while true {
            let index = (start + tries) % targets.count
            let target = targets[index]
            let command = command(Self.prefix(distribution, apiServer: target.apiServer))
            do {
                let result = try await target.remote.run(command)
                if accepts(result) {
                    first.index = index
                    return Answer(host: target.remote.name, result: result)
                }
                throw Self.failure(command.display, result, host: target.remote.name, of: distribution)
            } catch let error
                where Transient.isTransient(error)
                && (ContinuousClock.now < deadline || retryTimeout > .zero && tries + 1 < targets.count)
            {
                note("\(Transient.message(error).lastLines(1)); retrying")
                tries += 1
                if tries % targets.count == 0 { try await Task.sleep(for: .seconds(1)) }
            }
        }
    }

    /// The error of a command that failed: the server's verdict, else kubectl's own words, without what is logged beside them.
    package static func failure(
        _ operation: String, _ result: CommandResult, host: String, of distribution: Inventory.Distribution
    ) -> ClusterError {
        let message = KubectlMessage(result.errorText)
        var error = ClusterError(
            .commandFailed, host: host, operation: operation,
            cause: message.cause.isEmpty ? "\(result.outcome)" : "\(result.outcome): \(message.cause)",
            advice: message.advice(on: host, of: distribution) ?? "try it there by hand; then: masterswap resume")
        error.serverReason = message.reason
        return error
    }

    /// - Throws: `SSHError`; ``ClusterError`` with `commandFailed` on a non-zero exit status.
    @discardableResult
    public func run(_ arguments: [String], input: Data? = nil, timeout: Duration? = .seconds(60)) async throws -> Data {
        try await answer(arguments, input: input, timeout: timeout).result.standardOutput
    }

    private func answer(_ arguments: [String], input: Data? = nil, timeout: Duration? = .seconds(60)) async throws
        -> Answer
    {
        try await execute { prefix in
            Command(
                prefix + arguments, input: input, timeout: timeout, outputLimit: 512 << 20,
                label: Self.label(arguments))
        }
    }

    /// What a person is shown in place of the whole command.
    package static func label(_ arguments: [String]) -> String { "kubectl " + ShellQuoting.join(arguments) }

    /// - Throws: as `run`; ``ClusterError`` with `badOutput` where the answer is not what was asked for.
    public func get<T: Decodable>(_ type: T.Type, _ arguments: [String]) async throws -> T {
        let arguments = ["get"] + arguments + ["-o", "json"]
        let answer = try await answer(arguments)
        return try Self.decode(
            type, from: answer.result.standardOutput, host: answer.host,
            operation: "kubectl " + arguments.joined(separator: " "))
    }

    private struct List<Item: Decodable>: Decodable {
        var items: [Item]
    }

    /// The objects of one kind.
    /// - Throws: as `get`.
    package func list<T: KubernetesObject>(_ type: T.Type, _ arguments: [String]) async throws -> [T] {
        try await get(List<T>.self, arguments).items
    }

    /// `nil` where the API server says NotFound.
    public func find<T: Decodable>(_ type: T.Type, _ arguments: [String]) async throws -> T? {
        do {
            return try await get(type, arguments)
        } catch let error as ClusterError where error.serverReason == "NotFound" {
            return nil
        }
    }

    public func objects() async throws -> KubernetesObjects {
        let label = Self.label(["get", KubernetesObjects.kinds, "-A"])
        let answer = try await execute { prefix in
            Command(ObjectsTemplate.command(prefix), timeout: nil, outputLimit: 512 << 20, label: label)
        }
        return try Self.decode(
            KubernetesObjects.self, from: answer.result.standardOutput, host: answer.host,
            operation: label)
    }

    package static func decode<T: Decodable>(_ type: T.Type, from data: Data, host: String, operation: String) throws
        -> T
    {
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch {
            let cause = data.isEmpty ? "kubectl printed nothing" : "its JSON cannot be read: \(Self.explain(error))"
            throw ClusterError(
                .badOutput, host: host, operation: operation, cause: cause,
                advice: "run it on \(host) by hand and look at what it prints")
        }
    }

    private static func explain(_ error: any Error) -> String {
        func place(_ context: DecodingError.Context) -> String {
            let path = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
            return path.isEmpty ? context.debugDescription : "\(path): \(context.debugDescription)"
        }
        guard let error = error as? DecodingError else { return "\(error)" }
        switch error {
        case .dataCorrupted(let context), .typeMismatch(_, let context), .valueNotFound(_, let context):
            return place(context)
        case .keyNotFound(let key, let context): return "\(key.stringValue) is missing, \(place(context))"
        @unknown default: return "\(error)"
        }
    }
}

/// An object named together with its UID: what a destructive act is planned against.
public struct ObjectReference: Sendable, Hashable, Codable, CustomStringConvertible {
    public enum Kind: String, Sendable, Hashable, Codable {
        case node, pod, deployment
        case statefulSet = "statefulset"
        case claim = "persistentvolumeclaim"
        case volume = "persistentvolume"
        case secret
    }

    public var kind: Kind
    public var namespace: String?
    public var name: String
    public var uid: String

    public init(_ kind: Kind, namespace: String? = nil, name: String, uid: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.uid = uid
    }

    public init(_ kind: Kind, _ object: some KubernetesObject) {
        self.init(kind, namespace: object.metadata.namespace, name: object.name, uid: object.uid)
    }

    public var reference: String { namespace.map { "\($0)/\(name)" } ?? name }
    public var description: String { "\(kind.rawValue) \(reference) (uid \(uid))" }

    package var scope: [String] { namespace.map { ["-n", $0] } ?? [] }

    var apiPath: String {
        let base = kind == .deployment || kind == .statefulSet ? "/apis/apps/v1" : "/api/v1"
        return base + (namespace.map { "/namespaces/\($0)" } ?? "") + "/\(kind.rawValue)s/\(name)"
    }
}

extension Kubectl {
    private struct Metadata: KubernetesObject {
        var metadata: ObjectMeta
    }

    /// The UID that the name stands for now; `nil` where nothing has it.
    public func uid(of object: ObjectReference) async throws -> String? {
        try await find(Metadata.self, [object.kind.rawValue, object.name] + object.scope)?.uid
    }

    /// Deletes just the object that was planned, never its successor of the same name. Does not wait for its end.
    ///
    /// From kubectl 1.18 on the UID goes with the request as a precondition, so that the API server compares it; older ones cannot
    /// send one, and the UID is compared right before.
    /// - Parameter force: without grace; only for pods of a node that is truly gone.
    /// - Returns: `false` where it was gone already, or its name stands for another object by now.
    @discardableResult
    public func delete(_ object: ObjectReference, force: Bool = false) async throws -> Bool {
        guard try await uid(of: object) == object.uid else { return false }
        do {
            let deletion = Self.deletion(object, version: version, force: force)
            try await run(deletion.arguments, input: deletion.input)
        } catch let error as ClusterError where error.code == .commandFailed {
            // Gone while we were at it: by a request whose answer was lost, or in a race with a controller.
            if try await uid(of: object) == object.uid { throw error }
        }
        return true
    }

    package static func deletion(
        _ object: ObjectReference, version: KubernetesVersion?, force: Bool
    ) -> (arguments: [String], input: Data?) {
        if let version, version < KubernetesVersion(1, 18) {
            let grace = force ? ["--grace-period=0", "--force"] : []
            return (["delete", object.kind.rawValue, object.name, "--wait=false"] + object.scope + grace, nil)
        }
        var options =
            #"{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Background","preconditions":{"uid":"\#(object.uid)"}"#
        if force { options += #","gracePeriodSeconds":0"# }
        return (["delete", "--raw", object.apiPath, "-f", "-"], Data((options + "}").utf8))
    }
}
