import ArgumentParser
import Foundation
import Testing

@testable import masterswap

@Suite struct CommandLineTests {
    @Test func theVerbsOfTheContractAreThere() {
        let names = Masterswap.configuration.subcommands.compactMap { $0.configuration.commandName }
        for verb in [
            "check", "ready", "inspect", "plan", "replace", "recover", "resume", "runs", "report", "exec", "inventory",
        ] {
            #expect(names.contains(verb), "\(verb)")
        }
    }

    /// A verb that has verbs of its own shows them; every other one shows how it is called.
    @Test func everyVerbsHelpHasAnExample() {
        func leaves(_ command: any ParsableCommand.Type) -> [any ParsableCommand.Type] {
            let inner = command.configuration.subcommands
            return inner.isEmpty ? [command] : inner.flatMap(leaves)
        }
        for verb in leaves(Masterswap.self) {
            let help = Masterswap.helpMessage(for: verb)
            #expect(help.contains("Example"), "\(verb)")
            #expect(help.contains("  masterswap "), "\(verb)")
        }
    }

    @Test func optionsAreRead() throws {
        let command = try #require(
            try Masterswap.parseAsRoot([
                "replace", "dead", "--with", "spare", "-i", "file", "--yes", "--dry-run", "--accept-data-loss", "a",
                "n/b", "--drain-timeout", "5",
            ]) as? ReplaceCommand)
        #expect(command.losses.acceptedLosses == ["a", "n/b"])
        #expect(command.yes && command.dryRun)
        #expect(command.drain.seconds == 5)
        #expect(command.options.inventory.path == "file")
        #expect(command.death.notReadyFor == 300 && command.death.words.isEmpty)
        let known = try #require(
            try Masterswap.parseAsRoot(["plan", "dead", "--with", "spare", "--not-ready-for", "0"]) as? PlanCommand)
        #expect(known.death.notReadyFor == 0 && known.death.words == ["--not-ready-for", "0"])
    }

    @Test(arguments: [
        ["replace"], ["replace", "a"], ["plan", "a"], ["plan", "a", "--with"], ["exec"],
        ["check", "--concurrency", "0"],
        ["check", "--connect-timeout", "x"], ["frobnicate"],
        ["check", "--output", "xml"], ["plan", "a", "--with", "b", "--not-ready-for", "-1"],
        ["plan", "a", "--with", "b", "--not-ready-for", "86401"], ["recover"],
        ["recover", "a", "--without-quorum-for", "-1"], ["runs", "--abandon", "r"], ["runs", "--because", "why"],
        ["runs", "--abandon", "r", "--because", ""],
    ]) func misuseIsStatus64(arguments: [String]) {
        do {
            _ = try Masterswap.parseAsRoot(arguments)
            Issue.record("\(arguments) passed")
        } catch { #expect(Masterswap.exitCode(for: error).rawValue == 64) }
    }

    /// An option that a verb would not heed is a mistake there, and its help does not list it.
    @Test func eachVerbTakesOnlyWhatItHeeds() {
        let verbs: [String: (any ParsableCommand.Type, [String])] = [
            "check": (CheckCommand.self, ["check"]), "exec": (ExecCommand.self, ["exec"]),
            "ready": (ReadyCommand.self, ["ready"]), "snapshot": (SnapshotCommand.self, ["snapshot"]),
            "inspect": (InspectCommand.self, ["inspect", "a"]),
            "plan": (PlanCommand.self, ["plan", "a", "--with", "b"]),
            "replace": (ReplaceCommand.self, ["replace", "a", "--with", "b"]),
            "recover": (RecoverCommand.self, ["recover", "a"]),
            "resume": (ResumeCommand.self, ["resume"]), "unlock": (UnlockCommand.self, ["unlock"]),
            "runs": (RunsCommand.self, ["runs"]), "report": (ReportCommand.self, ["report"]),
            "inventory check": (InventoryCommand.Check.self, ["inventory", "check"]),
        ]
        let onHosts: Set = [
            "check", "exec", "ready", "snapshot", "inspect", "plan", "replace", "recover", "resume", "unlock", "runs",
        ]
        let heeded: [(option: String, value: String, verbs: Set<String>)] = [
            ("--limit", "a", ["check", "exec"]), ("--log-file", "f", onHosts),
            ("--drain-timeout", "5", ["plan", "replace"]),
            ("--wait-timeout", "5", ["replace", "recover", "resume"]), ("--concurrency", "5", onHosts),
            ("--join-stalled", "5", ["replace", "resume"]), ("--heal-stalled", "5", ["replace", "resume"]),
            ("--update-inventory", "", ["replace", "resume"]), ("--fence", "", ["plan", "replace", "resume"]),
            ("--skip", "drain --because x", ["resume"]), ("--inventory", "f", onHosts.union(["inventory check"])),
            ("--output", "json", Set(verbs.keys)),
        ]
        for (option, value, heeding) in heeded {
            for (name, (command, words)) in verbs {
                let isTaken =
                    (try? Masterswap.parseAsRoot(
                        words + [option] + value.split(separator: " ").map(String.init)
                            + (name == "exec" ? ["--", "true"] : [])))
                    != nil
                #expect(isTaken == heeding.contains(name), "\(name) \(option)")
                #expect(
                    Masterswap.helpMessage(for: command).contains(option) == heeding.contains(name), "\(name) \(option)"
                )
            }
        }
    }

    @Test func onlyWhatTheRunHasAndMayLackIsSkipped() throws {
        func words(_ step: String) -> String {
            do {
                var options = SkipOptions()
                (options.steps, options.because) = ([step], "x")
                try options.check(try PlanGoldenTests.plan())
                return ""
            } catch { return "\(error)" }
        }
        #expect(words("pods-ready").isEmpty)
        #expect(words("join").contains("--skip join: it is never passed over; possible are: drain, "))
        #expect(words("heal-minio").contains("--skip heal-minio: the run has no such step"))
        for given in [["--skip", "drain"], ["--because", "x"], ["--skip", "drain", "--because", " "]] {
            #expect(throws: (any Error).self) { try Masterswap.parseAsRoot(["resume"] + given) }
        }
    }

    @Test func anInventoryIsNotWrittenOverWithoutForce() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("import-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let source = folder.appendingPathComponent("ocboot.yml")
        let target = folder.appendingPathComponent("new/hosts.yaml")
        try Data("primary_master_node: { hostname: 10.0.0.1, db_password: hunter2 }".utf8).write(to: source)
        func run(_ more: [String]) throws {
            var command = try Masterswap.parseAsRoot(["inventory", "import", source.path, "--out", target.path] + more)
            try command.run()
        }
        try run([])
        let written = try String(contentsOf: target, encoding: .utf8)
        #expect(written.contains("10.0.0.1") && !written.contains("hunter2"))
        try Data("mine".utf8).write(to: target)
        #expect(throws: ExitCode(2)) { try run([]) }
        #expect(try String(contentsOf: target, encoding: .utf8) == "mine")
        try run(["--force"])
        #expect(try String(contentsOf: target, encoding: .utf8) == written)
    }

    @Test func aTableIsAsWideAsItsCells() {
        var table = Table(["A", "B"])
        table.rows = [["long", "x"], ["s", ""]]
        #expect(table.lines == ["A     B", "long  x", "s"])
    }
}
