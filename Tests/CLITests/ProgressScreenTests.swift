import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting
import Testing

@testable import masterswap

@Suite struct ProgressScreenTests {
    enum Phase: String, CaseIterable {
        case pending, drain, join, heal, failed, done

        /// What had happened by then, and how long ago the last of it was.
        func events() throws -> (events: [Event], ago: TimeInterval) {
            switch self {
            case .pending: return (try RecordedRun.events { $0.event == .stateBefore }, 1)
            case .drain: return (try RecordedRun.events { $0.text?.contains("kubectl drain lzx") == true }, 5)
            case .join: return (try joining(), 4)
            case .heal:
                return (
                    try RecordedRun.events { $0.event == .waiting && $0.text?.contains("MinIO is healing") == true }, 3
                )
            case .failed: return (try joining() + failure(), 0)
            case .done: return (try RecordedRun.events(), 0)
            }
        }

        private func joining() throws -> [Event] {
            try RecordedRun.events { $0.event == .waiting && ($0.elapsed ?? 0) > 12 && $0.title == "ocboot" }
        }

        /// As a run tells it: the step's own words, what is taken back, the end.
        private func failure() throws -> [Event] {
            let error = ClusterError(
                .commandFailed, host: "lzx-ocboot-ha-test-2", operation: "run ocboot",
                cause: "it ended with status 2; its last words are above",
                advice:
                    "its log is /var/lib/masterswap/20261122-221213-2ba0/join-1/log there; fix the cause, then: masterswap resume"
            )
            let end = try joining().last?.at.addingTimeInterval(6) ?? Date()
            return [
                Event(.output, at: end, step: "join", text: "fatal: [10.127.100.224]: FAILED! => kubeadm 加入失败：令牌已过期"),
                Event(.stepFailed, at: end, step: "join", title: "Join", text: "\(error)", elapsed: 24.1, waited: 24),
                Event(.result, at: end, text: "\(error)", status: 2, run: "20261122-221213-2ba0"),
            ]
        }
    }

    static let sizes = [(80, 24), (200, 50), (40, 12)]

    func screen(_ phase: Phase, _ width: Int, _ height: Int, isInterrupted: Bool = false) throws -> ProgressScreen {
        let (events, ago) = try phase.events()
        var progress = Progress()
        for event in events { progress.note(event) }
        let now = (events.last?.at ?? Date()).addingTimeInterval(ago)
        return ProgressScreen(
            progress: progress, width: width, height: height, now: now, isInterrupted: isInterrupted)
    }

    @Test(arguments: Phase.allCases) func itIsAsItWasLookedAt(phase: Phase) throws {
        for (width, height) in Self.sizes {
            try Golden.expect(
                try screen(phase, width, height).lines.map(\.text), in: "\(width)x\(height)/\(phase.rawValue)")
        }
    }

    @Test(arguments: Phase.allCases) func itFitsEveryScreen(phase: Phase) throws {
        for width in [30, 31, 40, 79, 80, 120, 250] {
            for height in 8...60 {
                for isInterrupted in [false, true] {
                    let lines = try screen(phase, width, height, isInterrupted: isInterrupted).lines
                    #expect(lines.count < height, "\(width)x\(height)")
                    #expect(lines.allSatisfy { Columns.width($0.text) <= width }, "\(width)x\(height)")
                }
            }
        }
    }

    /// However low the screen: the current step, and what it waits for.
    @Test func whatItWaitsForIsAlwaysShown() throws {
        for height in 8...60 {
            let lines = try screen(.join, 80, height).lines.map(\.text)
            #expect(lines.contains { $0.hasPrefix(" ▶  7 Join") }, "\(height)")
            #expect(lines.contains { $0.hasPrefix("      waiting for ocboot") }, "\(height)")
        }
    }

    /// A full screen leaves no line above it for that.
    @Test func anInterruptIsSaidOnTheScreenWhileTheRunGoesOn() throws {
        #expect(try screen(.join, 80, 24, isInterrupted: true).lines[1].text.hasPrefix("Interrupted: "))
        #expect(try !screen(.failed, 80, 24, isInterrupted: true).lines[1].text.hasPrefix("Interrupted: "))
    }

    @Test func aHostCannotMoveTheCursor() throws {
        var progress = Progress()
        progress.note(Event(.stepStarted, step: "a", title: "A"))
        progress.note(Event(.output, step: "a", text: "\u{1B}[2J\rgone\u{7}"))
        let screen = ProgressScreen(progress: progress, width: 80, height: 24, now: Date())
        #expect(!screen.lines.map(\.text).joined().unicodeScalars.contains { $0.value < 0x20 })
    }

    @Test func aResumedRunShowsItsStepsFromTheBeginning() throws {
        let plan = try #require(try RecordedRun.events().first?.plan)
        #expect(Progress(plan: plan).steps.count == ReplacementSteps.make(plan).count)
    }
}

@Suite struct ComparisonViewTests {
    let rows = [["node a", "Ready", "–"], ["node b", "Ready", "Ready"]]

    @Test func aTableWhereItFits() {
        #expect(
            ComparisonView(rows: rows).lines(width: 80) == [
                "        BEFORE  AFTER", "node a  Ready   –", "node b  Ready   Ready",
            ])
        #expect(ComparisonView(rows: rows).lines(width: nil).count == 3)
    }

    @Test func elseWhatIsDifferent() {
        #expect(
            ComparisonView(rows: rows).lines(width: 15) == [
                "BEFORE → AFTER", "node a", "    Ready → –", "1 more are as they were",
            ])
    }
}

@Suite struct ColumnsTests {
    @Test func chineseTakesTwo() {
        #expect(Columns.width("主节点 ok") == 9)
        #expect(Columns.fit("主节点主节点", to: 7) == "主节点…")
        #expect(Columns.fit("主节点主节点", to: 6) == "主节…")
        #expect(Columns.fit("short", to: 5) == "short")
    }

    @Test func linesAreBrokenBetweenWords() {
        #expect(Columns.wrap("one two three", to: 7) == ["one two", "three"])
        #expect(Columns.wrap("主节点坏了", to: 4) == ["主节", "点坏", "了"])
        #expect(Columns.wrap("", to: 4) == [])
    }

    @Test func aCountSaysWhoIsWaitedFor() {
        #expect(HostCount.line(total: 3, waiting: ["c"], width: 80) == "2 of 3 hosts done; waiting for c")
        #expect(HostCount.line(total: 3, waiting: [], width: 80) == "3 of 3 hosts done")
        #expect(HostCount.line(total: 3, waiting: ["aaaaaaaaaa", "b"], width: 20).count == 20)
    }
}
