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

/// What is recorded is what is replayed, and holds no secret.
@Suite struct RecordingTests {
    private static let now = Date(timeIntervalSince1970: 1_650_000_000.123)

    private func recorder(
        _ path: String, inventory: String = StandInHosts.inventory, secrets: [Secret] = []
    ) throws -> Recorder {
        try Recorder(
            path, program: "0.9", verb: "plan", arguments: ["m1", "--with", "s1"], inventory: inventory,
            secrets: secrets, now: Self.now)
    }

    /// Everything that the verbs tell of a state.
    private func told(_ state: ClusterState) throws -> String {
        let report = try EventCoding.encode(CheckReport(state, at: Self.now))
        var text = String(decoding: report, as: UTF8.self)
        for dead in state.inventory.masters {
            do {
                let plan = try Planner.plan(state, .init(dead: dead.name, replacement: "s1"), now: Self.now)
                text += PlanText(plan, state.inventory).lines.map(\.text).joined(separator: "\n")
            } catch let refused as Refused { text += refused.refusals.map(\.description).joined(separator: "\n") }
        }
        return text
    }

    /// Whole observations by a real shell, recorded and replayed.
    @Test func aReplayTellsTheSameAndTheFileHoldsNoSecret() async throws {
        let hosts = try StandInHosts()
        let path = hosts.folder.path + "/recording.jsonl"
        let inventory = try Inventory.parse(StandInHosts.inventory, file: "x")
        let recorder = try recorder(path)
        let recorded = await Observer(inventory, recorder.recording(hosts.remotes), isOrdered: true).observe()
        #expect(try recorder.close() == 8, "four hosts, the cluster by one of them, and what three of them reach")
        #expect(recorded.cluster.source == "m2", "\(recorded.cluster.problems)")

        let text = try String(contentsOfFile: path, encoding: .utf8)
        for secret in StandInHosts.secrets { #expect(!text.contains(secret), "\(secret)") }
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)

        let replay = Replay(try Recording(contentsOf: path), path: path, program: "1.0")
        #expect(replay.recording.isComplete)
        #expect(replay.now == recorder.now)
        let replayed = await Observer(try replay.inventory(), replay.remotes, isOrdered: true).observe()
        try replay.check()
        #expect(try told(replayed) == told(recorded))
        let manifests = ["m2", "m3"].compactMap { replayed.hosts[$0]?.facts?.manifest }
        #expect(manifests.count == 2)
        #expect(Set(manifests.map(\.password)).count == 1, "equal passwords are still equal")
        #expect(recorded.hosts["m2"]?.facts?.clockOffset == replayed.hosts["m2"]?.facts?.clockOffset)
        // A replay is not used up.
        let again = Replay(replay.recording, path: path, program: "1.0")
        #expect(try told(await Observer(inventory, again.remotes, isOrdered: true).observe()) == told(recorded))
    }

    /// A master that answers first in the recording may answer last in its replay: the cluster is read by the same one.
    @Test(arguments: ["m2", "m3"]) func theClusterIsReadByTheSameMasterWhicheverAnswersFirst(slow: String) async throws
    {
        let hosts = try StandInHosts()
        let inventory = try Inventory.parse(StandInHosts.inventory, file: "x")
        let gate = Gate(others: inventory.hosts.count - 1)
        let base = hosts.remotes
        let remotes = Remotes { host in
            GatedRemote(base: try base[host], gate: host.name == slow ? gate : nil)
        }
        let state = await Observer(inventory, remotes, isOrdered: true, each: { _ in gate.count() }).observe()
        #expect(state.cluster.source == "m2", "\(state.cluster.problems)")
    }

    // MARK: Questions and answers

    private static func command(_ sections: [String]) -> Command {
        var script = SectionedScript()
        for name in sections { script.section(name, "echo \(name)") }
        return script.command(label: "look", timeout: nil)
    }

    private func record(
        _ commands: [Command], in folder: TemporaryFolder, secrets: [Secret] = [], closes: Bool = true,
        _ answer: @escaping @Sendable (Command) throws -> CommandResult
    ) async throws -> Replay {
        let path = folder.path + "/r.jsonl"
        try? FileManager.default.removeItem(atPath: path)
        let recorder = try recorder(path, secrets: secrets)
        let inventory = try Inventory.parse(StandInHosts.inventory, file: "x")
        let remote = try recorder.recording(Remotes { AnsweringRemote(name: $0.name, answer: answer) })[
            inventory.hosts[0]]
        for command in commands { _ = try? await remote.run(command) }
        if closes { try recorder.close() }
        return Replay(try Recording(contentsOf: path), path: "FILE", program: "1.0")
    }

    private func host(_ replay: Replay) throws -> any Remote { try replay.remotes[try replay.inventory().hosts[0]] }

    @Test func everyOutcomeComesBackAsItWas() async throws {
        let folder = try TemporaryFolder()
        let results: [CommandResult] = [
            CommandResult(
                outcome: .exited(3), standardOutput: Data("text\r\n\u{0}é".utf8),
                standardError: Data([0xFF, 0x00, 0x0A]),
                droppedOutput: 7, droppedError: 8, startedAt: Self.now, duration: .milliseconds(1500)),
            CommandResult(outcome: .signalled("KILL"), startedAt: Self.now, duration: .seconds(0.1)),
        ]
        let commands = results.indices.map { Command(["echo", "\($0)"]) }
        let replay = try await record(commands, in: folder) { results[Int($0.arguments[1])!] }
        for (command, result) in zip(commands, results) {
            var expected = result
            expected.startedAt = Recording.Moment.rounded(Self.now)
            #expect(try await host(replay).run(command) == expected)
        }
    }

    @Test(arguments: SSHError.Code.allCases) func everyErrorComesBackAsItWas(_ code: SSHError.Code) async throws {
        let errors = [
            SSHError(code, host: "jump", operation: "run x", cause: "because", advice: "do this"),
            SSHError(code, host: "m1", operation: "run y", cause: "no password was given"),
        ]
        let commands = errors.indices.map { Command(["echo", "\($0)"]) }
        let replay = try await record(commands, in: TemporaryFolder()) { throw errors[Int($0.arguments[1])!] }
        for (command, error) in zip(commands, errors) {
            await #expect(throws: error) { try await host(replay).run(command) }
        }
    }

    /// The program sees what is recorded: it cannot come to another result than the replay.
    @Test func theRecordedRunSeesThePseudonymsToo() async throws {
        let folder = try TemporaryFolder()
        let recorder = try recorder(folder.path + "/r.jsonl", secrets: [Secret("open sesame")])
        let inventory = try Inventory.parse(StandInHosts.inventory, file: "x")
        let remotes = Remotes { host in
            AnsweringRemote(name: host.name) { command in
                if command.display == "fail" {
                    throw SSHError(.authenticationFailed, host: "m1", operation: "x", cause: "open sesame is wrong")
                }
                return CommandResult(outcome: .exited(0), standardOutput: Data("said open sesame\npassword: x".utf8))
            }
        }
        let remote = try recorder.recording(remotes)[inventory.hosts[0]]
        // The first one is in the inventory.
        #expect(try await remote.run(Command(["a"])).text == "said secret-2\npassword: secret-3")
        let error = await #expect(throws: SSHError.self) { try await remote.run(Command(["fail"])) }
        #expect(error?.cause == "secret-2 is wrong")
    }

    /// Each run marks its sections with a random word of its own.
    @Test func sectionsAreReadWhateverTheNonceIs() async throws {
        let remote = LocalRemote(shell: "sh")
        let replay = try await record([Self.command(["a", "b"])], in: TemporaryFolder()) { try remote.runNow($0) }
        #expect(replay.recording.exchanges[0].question.sections == ["a", "b"])
        var script = SectionedScript()
        script.section("b", "echo it does not matter what")
        let result = try await host(replay).run(script.command(label: "look", timeout: nil))
        let sections = try script.parse(result, host: "m1", operation: "look")
        #expect(sections["b"]?.text == "b")
        #expect(sections["a"]?.text == "a", "what is no longer asked is no harm")
        try replay.check()
    }

    @Test func whatARecordingLacksIsNamed() async throws {
        let remote = LocalRemote(shell: "sh")
        let folder = try TemporaryFolder()
        func failure(_ command: Command, host: Int = 0, closes: Bool = true) async throws -> ClusterError? {
            let replay = try await record([Self.command(["a"])], in: folder, closes: closes) { try remote.runNow($0) }
            let remote = try replay.remotes[try replay.inventory().hosts[host]]
            _ = try? await remote.run(command)
            return #expect(throws: ClusterError.self) { try replay.check() }
        }
        let section = try await failure(Self.command(["a", "new"]))
        #expect(section?.cause == "the recording does not hold new in the question 'look' to m1")
        #expect(section?.advice.contains("made by masterswap 0.9 (plan), this is 1.0") == true)
        let question = try await failure(Command(["other"]))
        #expect(question?.cause == "the recording does not hold the question 'other' to m1")
        let host = try await failure(Self.command(["a"]), host: 1)
        #expect(host?.cause == "the recording does not hold the question 'look' to m2")
        let cut = try await failure(Command(["other"]), closes: false)
        #expect(cut?.advice.hasPrefix("its end is missing") == true)
    }

    @Test func aQuestionThatIsAskedTwiceGetsBothAnswersInTheirOrder() async throws {
        let counter = Counter()
        let command = Command(["date"])
        let replay = try await record([command, command], in: TemporaryFolder()) { _ in
            CommandResult(outcome: .exited(0), standardOutput: Data("\(counter.next())".utf8))
        }
        let remote = try host(replay)
        var said: [String] = []
        for _ in 0..<3 { said.append(try await remote.run(command).text) }
        #expect(said == ["1", "2", "2"])
    }

    @Test func nothingIsWrittenToAHost() async throws {
        let folder = try TemporaryFolder()
        let replay = try await record([], in: folder) { _ in CommandResult(outcome: .exited(0)) }
        let recorder = try recorder(folder.path + "/other.jsonl")
        let inventory = try replay.inventory()
        let recorded = recorder.recording(Remotes { AnsweringRemote(name: $0.name) { _ in fatalError() } })
        for remotes in [replay.remotes, recorded] {
            let remote = try remotes[inventory.hosts[0]]
            await #expect(throws: SSHError.self) { try await remote.upload(Data(), to: "/x", mode: 0o600) }
            await #expect(throws: SSHError.self) { try await remote.replaceFile("/x", expected: Data(), with: Data()) }
        }
    }

    // MARK: The file

    @Test func aFileThatIsThereOrCannotBeMadeIsToldBeforeAnythingIsAsked() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/r.jsonl"
        try Data("mine".utf8).write(to: URL(fileURLWithPath: path))
        for path in [path, folder.path + "/none/r.jsonl"] {
            let error = #expect(throws: ClusterError.self) { try recorder(path) }
            #expect(error?.code == .localFile && error?.operation == "write the recording \(path)")
        }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "mine")
    }

    @Test(arguments: [
        ("", "it is no recording"), ("{}\n", "it is no recording"), ("text\n", "it is no recording"),
        (#"{"recording":99}"# + "\n", "it has format 99, this program reads format 1"),
        (#"{"recording":1}"# + "\n", "line 1 cannot be read"),
        (
            #"{"recording":1,"program":"1","at":"2022-04-15T05:20:00.000Z","verb":"check","arguments":[],"inventory":""}"#
                + "\n{\"host\":1}\n{\"exchanges\":1}\n", "line 2 cannot be read"
        ),
    ]) func whatIsNoRecordingIsTold(_ text: String, _ cause: String) throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/r.jsonl"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: ClusterError.self) { try Recording(contentsOf: path) }
        #expect(error?.cause == cause)
    }

    /// The inventory of a recording reads as the one that it was made of, but for the password's place.
    @Test(arguments: ["kubeadm", "k3s", "jump-host-sudo", "lab"]) func theInventoryIsKept(_ name: String) throws {
        let text = try DocumentationTests.document("inventory/\(name).yaml")
        var expected = try Inventory.parse(text, file: name)
        let kept = try Recording.inventory(text)
        #expect(!kept.contains("#"), "comments may hold anything")
        expected.ocboot?.database.password = .environment("NOT_RECORDED")
        #expect(try Inventory.parse(kept, file: name) == expected)
        var scrubber = SecretScrubber()
        #expect(try Inventory.parse(scrubber.scrub(kept), file: name) == expected)
    }

    @Test func everyLineIsAsTheSchemaSays() async throws {
        let folder = try TemporaryFolder()
        _ = try await record([Self.command(["a"]), Command(["x"]), Command(["y"])], in: folder) { command in
            if command.display == "x" { throw SSHError(.timedOut, host: "m1", operation: "x", cause: "y", advice: "z") }
            return CommandResult(
                outcome: command.display == "y" ? .signalled("TERM") : .exited(1), standardOutput: Data("a".utf8),
                standardError: Data("b".utf8), droppedOutput: 1, droppedError: 1)
        }
        let document = Data(try DocumentationTests.document("docs/recording.schema.json").utf8)
        let schema = try #require(try JSONSerialization.jsonObject(with: document) as? [String: Any])
        let kinds = try #require(schema["$defs"] as? [String: [String: Any]])
        let lines = try String(contentsOfFile: folder.path + "/r.jsonl", encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 5)
        for (index, line) in lines.enumerated() {
            let kind = index == 0 ? "header" : index == lines.count - 1 ? "closing" : "exchange"
            let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
            #expect(Schema.mistakes(in: value, try #require(kinds[kind]), at: "") == [], "\(line)")
        }
    }
}

// MARK: Helpers

private final class Counter: Sendable {
    private let value = Mutex(0)

    func next() -> Int {
        value.withLock { value in
            value += 1
            return value
        }
    }
}

/// Opens when all other hosts have been looked at.
private final class Gate: Sendable {
    private let counter = Counter()
    private let others: Int
    private let stream: AsyncStream<Never>
    private let continuation: AsyncStream<Never>.Continuation

    init(others: Int) {
        self.others = others
        (stream, continuation) = AsyncStream.makeStream(of: Never.self)
    }

    func count() {
        if counter.next() == others { continuation.finish() }
    }

    func wait() async {
        for await _ in stream {}
    }
}

private struct GatedRemote: Remote {
    let base: any Remote
    let gate: Gate?
    var name: String { base.name }

    func run(_ command: Command) async throws -> CommandResult {
        await gate?.wait()
        return try await base.run(command)
    }
    func upload(_ contents: Data, to path: String, mode: UInt16) async throws {}
    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
}
