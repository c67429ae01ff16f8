import Foundation
import SSH
import TestSupport
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// A run that somebody else has begun, and an ocboot that somebody else has started.
@Suite struct NoOtherRunTests {
    func refusals(resuming run: String? = nil, _ change: (inout ClusterState) -> Void) throws -> [Refusal] {
        var request = RunbookCluster.request
        request.resumes = run
        var state = try RunbookCluster.state()
        change(&state)
        do {
            _ = try Planner.plan(state, request, now: Date())
            return []
        } catch let refused as Refused { return refused.refusals }
    }

    func facts(_ index: Int, in state: inout ClusterState, _ change: (inout HostFacts) -> Void) {
        guard case .reached(var facts)? = state.hosts[RunbookCluster.names[index]] else { return }
        change(&facts)
        state.hosts[RunbookCluster.names[index]] = .reached(facts)
    }

    func head(_ state: RunHead.State) -> RunHead {
        RunHead(run: "20261122-0301", title: "Replace a with b", startedAt: RunRecordTests.date(0), state: state)
    }

    @Test func anUnfinishedRunIsGoneOnWith() throws {
        let refusals = try refusals { state in state.cluster.runs = [head(.unfinished)] }
        #expect(refusals.map(\.rule) == ["no-other-run"])
        #expect(refusals[0].reason.contains("run 20261122-0301 (Replace a with b), begun 2023-11-14T22:13:20Z"))
        #expect(refusals[0].advice.contains("masterswap resume 20261122-0301"))
    }

    @Test func oneOfAnotherMasterswapIsARunToo() throws {
        let line =
            #"{"record":2,"run":"20261122-0301","startedAt":"2026-11-22T03:01:15.000Z","state":"unfinished","title":"t"}"#
        let refusals = try refusals { $0.cluster.runs = RunHead.read([line]) }
        #expect(refusals.map(\.rule) == ["no-other-run"])
        #expect(refusals[0].advice == "resume it with the masterswap that has begun it")
    }

    /// What is left of a run is planned again when it is resumed.
    @Test func aRunDoesNotStandInItsOwnWay() throws {
        #expect(try refusals(resuming: "20261122-0301") { $0.cluster.runs = [head(.unfinished)] } == [])
        #expect(try refusals(resuming: "20261122") { $0.cluster.runs = [head(.unfinished)] }.count == 1)
    }

    /// The API server lost the record, or one survivor did not hear of the run's end.
    @Test func anyCopyTellsOfIt() throws {
        #expect(
            try refusals { state in facts(1, in: &state) { $0.runs = [head(.unfinished)] } }.map(\.rule)
                == ["no-other-run"])
        for end in [RunHead.State.done, .abandoned] {
            #expect(
                try refusals { state in
                    state.cluster.runs = [head(.unfinished)]
                    facts(2, in: &state) { $0.runs = [head(end)] }
                } == [])
        }
    }

    @Test func anOcbootAtWorkIsWaitedFor() throws {
        let ocboot = OcbootAtWork(process: 4711, user: "mei", runningFor: "05:12", program: "python3")
        let refusals = try refusals { state in facts(2, in: &state) { $0.ocbootAtWork = [ocboot] } }
        #expect(refusals.map(\.rule) == ["no-other-run"])
        #expect(
            refusals[0].reason
                == "ocboot is at work on \(RunbookCluster.names[2]): process 4711 (python3) of mei, for 05:12")
    }

    // MARK: Seeing it

    /// Real processes: one in ocboot's folder, one in another's.
    @Test func itsProcessIsSeenWhoeverStartedIt() async throws {
        let folder = try TemporaryFolder()
        var processes: [LocalProcess] = []
        defer {
            for process in processes {
                process.signal(SIGKILL)
                process.wait()
            }
        }
        // Nobody ever writes to it: whoever opens it waits.
        #expect(mkfifo(folder.path + "/never", 0o600) == 0)
        func start(_ place: String) throws -> Int {
            try folder.write("\(place)/run.py", Data("read line <../../never\n".utf8))
            let process = try LocalProcess.start(
                "/bin/sh", ["-c", #"cd "$1" && exec sh ./run.py config.yml"#, "sh", folder.path + "/" + place])
            processes.append(process)
            return Int(process.pid)
        }
        let (ocboot, named, other) = (try start("a/ocboot"), try start("b/boot"), try start("c/website"))
        let remote = LocalRemote(shell: "sh")
        func seen(_ directory: String?) async throws -> Set<Int> {
            Set(try await OcbootAtWork.look(on: remote, directory).map(\.process)).intersection([ocboot, named, other])
        }
        // Each look takes its time; until then the last of them has become what it was started for.
        for _ in 0..<200 { if try await seen(folder.path + "/c/website") == [ocboot, other] { break } }
        for _ in 0..<200 { if try await seen(folder.path + "/b/boot") == [ocboot, named] { break } }
        #expect(try await seen(folder.path + "/b/boot") == [ocboot, named])
        #expect(try await seen(nil) == [ocboot])
        let told = try #require(try await OcbootAtWork.look(on: remote, nil).first { $0.process == ocboot })
        #expect(told.user == NSUserName() && told.program == "sh")
    }

    /// The join looks once more, for the plan may be old by then.
    @Test func noSecondOneIsStarted() async throws {
        let folder = try TemporaryFolder()
        let plan = try RunRecordTests.plan()
        let state = try RunbookCluster.state()
        let other = RunbookCluster.names[2]
        let cluster = FakeCluster(state.objects, members: state.cluster.members) { host, command in
            if command.display == "look for an ocboot at work", host == other {
                return FakeCluster.output(" 4711 mei      05:12 python3\n")
            }
            return command.display == "test -e /etc/kubernetes/kubelet.conf" ? FakeCluster.failure("") : nil
        }
        let context = try cluster.context(plan, in: folder)
        let error = try #require(
            await #expect(throws: ClusterError.self) { try await JoinStep(plan: plan).run(context) })
        #expect(error.host == other && error.cause.contains("process 4711"), "\(error)")
        #expect(!cluster.asked.contains { $0.contains("start ") || $0.contains("upload ") })
    }
}
