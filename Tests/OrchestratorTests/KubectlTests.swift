import Foundation
import SSH
import Synchronization
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

@Suite struct KubectlTests {
    /// Answers by the first rule whose words all stand in the command.
    final class ScriptedRemote: Remote {
        let name: String
        let answer: @Sendable (Command) throws -> CommandResult
        let commands = Mutex<[Command]>([])

        init(_ name: String, _ answer: @escaping @Sendable (Command) throws -> CommandResult) {
            self.name = name
            self.answer = answer
        }

        func run(_ command: Command) async throws -> CommandResult {
            commands.withLock { $0.append(command) }
            return try answer(command)
        }
        func upload(_ contents: Data, to path: String, mode: UInt16) async throws {}
        func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
        var displays: [String] { commands.withLock { $0.map(\.display) } }
    }

    static func output(_ text: String) -> CommandResult {
        CommandResult(outcome: .exited(0), standardOutput: Data(text.utf8))
    }
    static func failure(_ text: String) -> CommandResult {
        CommandResult(outcome: .exited(1), standardError: Data(text.utf8))
    }

    let claim = ObjectReference(.claim, namespace: "n", name: "c", uid: "old")

    func kubectl(_ remotes: [ScriptedRemote], version: KubernetesVersion? = nil) -> Kubectl {
        Kubectl(remotes.map { .init(remote: $0) }, distribution: .kubeadm, version: version, retryTimeout: .seconds(5))
    }

    @Test func aSuccessorOfTheSameNameIsNotDeleted() async throws {
        let remote = ScriptedRemote("a") { _ in Self.output(#"{"metadata":{"name":"c","namespace":"n","uid":"new"}}"#) }
        #expect(try await kubectl([remote]).delete(claim) == false)
        #expect(remote.displays == ["kubectl get persistentvolumeclaim c -n n -o json"])
    }

    @Test func theUIDGoesWithTheDeletion() async throws {
        let remote = ScriptedRemote("a") { command in
            command.display.contains("get")
                ? Self.output(#"{"metadata":{"name":"c","namespace":"n","uid":"old"}}"#) : Self.output("")
        }
        #expect(try await kubectl([remote]).delete(claim))
        let last = try #require(remote.commands.withLock { $0.last })
        #expect(last.display == "kubectl delete --raw /api/v1/namespaces/n/persistentvolumeclaims/c -f -")
        #expect(String(decoding: last.input ?? Data(), as: UTF8.self).contains(#""preconditions":{"uid":"old"}"#))
    }

    @Test func oldKubectlDeletesByNameAfterComparing() async throws {
        let remote = ScriptedRemote("a") { command in
            command.display.contains("get")
                ? Self.output(#"{"metadata":{"name":"c","namespace":"n","uid":"old"}}"#) : Self.output("")
        }
        #expect(try await kubectl([remote], version: KubernetesVersion(1, 15)).delete(claim))
        #expect(remote.displays.last == "kubectl delete persistentvolumeclaim c --wait=false -n n")
    }

    @Test func whatIsGoneIsNotAnError() async throws {
        let remote = ScriptedRemote("a") { _ in
            Self.failure(#"Error from server (NotFound): persistentvolumeclaims "c" not found"#)
        }
        #expect(try await kubectl([remote]).delete(claim) == false)
    }

    @Test func anotherMasterIsAskedWhereOneIsAway() async throws {
        let away = ScriptedRemote("a") { _ in
            Self.failure(
                "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?")
        }
        let lost = ScriptedRemote("b") { _ in
            throw SSHError(.connectionLost, host: "b", operation: "run", cause: "reset")
        }
        let there = ScriptedRemote("c") { _ in Self.output("ok") }
        #expect(try await kubectl([away, lost, there]).run(["version"]) == Data("ok".utf8))
    }

    /// However long the first one takes to be silent; and it is not asked first any more.
    @Test func eachMasterIsTriedOnceAndTheOneThatAnswersIsAskedFirstThen() async throws {
        let silent = ScriptedRemote("a") { _ in
            throw SSHError(.unreachable, host: "a", operation: "connect", cause: "no answer within 10 s")
        }
        let there = ScriptedRemote("b") { _ in Self.output("ok") }
        let kubectl = Kubectl(
            [silent, there].map { .init(remote: $0) }, distribution: .kubeadm, retryTimeout: .nanoseconds(1))
        for _ in 0..<3 { #expect(try await kubectl.run(["version"]) == Data("ok".utf8)) }
        #expect(silent.displays.count == 1 && there.displays.count == 3)
    }

    /// Cut off, of another shape, empty: a typed error, and nothing is deleted.
    @Test(arguments: [
        "", "{", #"{"metadata":{"name":"c","uid":"old""#, "[]", "null", #"{"metadata":{"name":"c"}}"#,
        #"{"metadata":{"name":"c","uid":7}}"#, #"{"items":[]}"#, "No resources found",
    ]) func unreadableJSONIsNoReasonToAct(text: String) async throws {
        let remote = ScriptedRemote("a") { _ in Self.output(text) }
        let error = await #expect(throws: ClusterError.self) { try await kubectl([remote]).delete(claim) }
        #expect(error?.code == .badOutput)
        #expect(remote.displays.allSatisfy { $0.hasPrefix("kubectl get") }, "\(remote.displays)")
    }

    @Test func aRealRefusalIsNotAskedAgain() async throws {
        let remote = ScriptedRemote("a") { _ in Self.failure("Error from server (Forbidden): no") }
        await #expect(throws: ClusterError.self) { try await kubectl([remote, remote]).run(["delete", "x"]) }
        #expect(remote.displays.count == 1)
    }
}
