import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

@Suite struct ReportTests {
    let start = Date(timeIntervalSince1970: 1_650_000_000)

    func events() throws -> [Event] {
        let plan = try Planner.plan(try RunbookCluster.state(), RunbookCluster.request, now: start)
        return [
            Event(.runStarted, at: start, title: "Replace", run: "r", plan: plan),
            Event(.stateBefore, at: start, state: ClusterSummary(try RunbookCluster.state())),
            Event(.stepStarted, at: start, step: "drain", title: "Drain"),
            Event(.stepBegan, at: start, step: "drain", title: "Drain", text: "6 pods"),
            Event(.command, at: start, step: "drain", text: "a: kubectl drain | x"),
            Event(.command, at: start, step: "join", text: "a: kubectl drain | x"),
            Event(.stepFinished, at: start, step: "drain", title: "Drain", text: "done | so", elapsed: 9, waited: 8.5),
            Event(.stepStarted, at: start, step: "join", title: "Join"),
            Event(.stepFailed, at: start, step: "join", title: "Join", text: "no", elapsed: 3, waited: 2),
            Event(.destroyed, at: start, step: "drain", text: "pod a/b (uid 1)"),
        ]
    }

    @Test func anUnfinishedRunSaysSo() throws {
        let report = RunReport(run: "r", events: try events())
        #expect(report.outcome == "not ended")
        #expect(report.steps.map(\.outcome) == [.done, .failed])
        #expect(report.own == 1.5)
        #expect(report.commands == ["a: kubectl drain | x"])
    }

    @Test func aResumedRunKeepsTheFiguresOfWhatWasDone() throws {
        let resumed =
            try events() + [
                Event(.result, at: start, text: "failed", status: 2),
                Event(.runStarted, at: start, title: "Resume", run: "r"),
                Event(.stepStarted, at: start, step: "drain", title: "Drain"),
                Event(
                    .stepSkipped, at: start, step: "drain", title: "Drain", text: "nothing", elapsed: 0.1, waited: 0.1),
                Event(.stepStarted, at: start, step: "join", title: "Join"),
                Event(.stepFinished, at: start, step: "join", title: "Join", text: "in", elapsed: 20, waited: 19),
                Event(.stateAfter, at: start, state: ClusterSummary(try RunbookCluster.state(isDead: false))),
                Event(.result, at: start, text: "done and verified", status: 0),
            ]
        let report = RunReport(run: "r", events: resumed)
        #expect(report.status == 0)
        #expect(report.outcome == "done")
        #expect(report.steps.map(\.id) == ["drain", "join"])
        #expect(report.steps.map(\.outcome) == [.done, .done])
        #expect(report.steps[0].elapsed == 9)
    }

    @Test func theMarkdownHoldsItsTablesTogether() throws {
        let markdown = RunReport(run: "r", events: try events()).markdown
        #expect(markdown.contains("| Drain | done | 9.0 | 8.5 | 0.5 | done \\| so |"))
        #expect(markdown.contains("- pod a/b (uid 1)"))
        #expect(markdown.contains("    a: kubectl drain | x"))
    }

    @Test func whatIsLeftToPeopleIsToldOnceAReplacementIsDone() throws {
        let unfinished = RunReport(run: "r", events: try events())
        #expect(unfinished.remaining.isEmpty)
        let ended = try events() + [Event(.result, at: start, text: "done", status: 0, run: "r")]
        var report = RunReport(run: "r", events: ended)
        let (old, new) = (RunbookCluster.names[0], RunbookCluster.spare)
        #expect(report.remaining.count == 5)
        #expect(report.remaining[0].contains("take \(old) out of the hosts and write 'role: master' for \(new)"))
        #expect(report.markdown.contains("## Left to do\n\n- In the inventory"))
        #expect(HTMLReport(report, events: ended).text.contains("<h2>Left to do</h2>"))
        // The cloud's own records, each with what shows it.
        let cloud = report.remaining.dropFirst(2).joined()
        for command in [
            "climc host-list --search \(new)", "climc host-enable \(new)", "climc host-list --search \(old)",
            "climc server-list --host \(old) --system", "ovn-sbctl show",
        ] { #expect(cloud.contains(command), "\(command)") }
        let written = Event(.note, at: start, title: InventoryUpdate.title, text: "it is written")
        let updated = RunReport(run: "r", events: ended + [written])
        #expect(updated.inventoryUpdate == "it is written")
        #expect(updated.remaining.count == 4 && !updated.remaining[0].contains("inventory"))
        // The same machine again: its disk is the new one's, and so is its name.
        report.plan?.dead.host = new
        report.plan?.dead.node = new
        #expect(report.remaining.count == 1)
        report.plan?.ocboot = nil
        #expect(report.remaining.isEmpty)
    }

    @Test func theHTMLStandsByItselfAndEscapesWhatItTells() throws {
        let odd = Event(.note, at: start, text: "<script>alert('x')</script> & \u{1B}[31m")
        let events = try events() + [odd]
        let html = HTMLReport(RunReport(run: "r", events: events), events: events).text
        for reference in ["http://", "https://", "src=", "href=", "<script", "@import", "url(", "\u{1B}"] {
            #expect(!html.contains(reference), "\(reference)")
        }
        #expect(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp;"))
        #expect(html.contains("pod a/b (uid 1)"))
    }

    @Test func beforeAndAfterStandSideBySide() throws {
        let rows = Comparison.rows(
            ClusterSummary(try RunbookCluster.state()), ClusterSummary(try RunbookCluster.state(isDead: false)))
        #expect(rows.contains(["node lzx-ocboot-ha-test", "NotReady", "Ready"]))
        #expect(rows.contains(["VIP", "lzx-ocboot-ha-test-2", "lzx-ocboot-ha-test"]))
    }
}
