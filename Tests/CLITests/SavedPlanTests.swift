import Foundation
import Testing

/// A plan that is saved, and one that is run from its file.
@Suite struct SavedPlanTests {
    private static let recording = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .appendingPathComponent("Recordings/dead-primary.jsonl").path

    private let scratch: Scratch
    init() throws { scratch = try Scratch() }

    private func plan(to out: String, more: [String] = []) throws -> Program.Result {
        try Program.run(
            [
                "plan", "lzx-ocboot-ha-test", "--with", "lzx-ocboot-ha-test-4", "--replay", Self.recording,
                "--not-ready-for", "0", "--out", out,
            ]
                + more)
    }

    @Test func onlyAPlanIsWrittenOver() throws {
        let inventory = "\(scratch.path)/hosts.yaml"
        try "cluster: {}\n".write(toFile: inventory, atomically: true, encoding: .utf8)
        let refused = try plan(to: inventory)
        #expect(refused.status == 2 && refused.errors.contains("something else than such a document is there already"))
        #expect(try String(contentsOfFile: inventory, encoding: .utf8) == "cluster: {}\n")
        let file = "\(scratch.path)/plan.json"
        for _ in 1...2 { #expect(try plan(to: file).status == 0) }
    }

    @Test(arguments: [
        ("", "its name is empty"), ("/", "Is a directory"), ("/nowhere/plan.json", "No such file or directory"),
    ])
    func whyItCannotBeWrittenIsTold(out: String, cause: String) throws {
        let result = try plan(to: out)
        #expect(result.status == 2 && result.errors.contains(cause), "\(result.errors)")
    }

    /// Nobody is told to write over the file that was named by mistake.
    @Test func aFileThatIsNoPlanIsLeftAlone() throws {
        let result = try Program.run(["replace", "--plan", Self.recording, "--yes", "-i", "/nowhere.yaml"])
        #expect(
            result.errors.contains("it is no plan of this program")
                && !result.errors.contains("--out \(Self.recording)"))
    }

    @Test(arguments: [
        (["another"], "replaces lzx-ocboot-ha-test, not another"),
        (["--with", "another"], "joins lzx-ocboot-ha-test-4, not another"),
        (["--fence"], "was made without --fence"),
        (["--accept-data-loss", "a"], "was made without that --accept-data-loss"),
        (["--drain-timeout", "99"], "has a drain timeout of 30 s"),
    ]) func whatIsGivenBesideAPlanMustBeInIt(words: [String], reason: String) throws {
        let file = "\(scratch.path)/plan.json"
        #expect(try plan(to: file).status == 0)
        let result = try Program.run(["replace", "--plan", file, "--yes", "-i", "/nowhere.yaml"] + words)
        #expect(result.status == 64 && result.errors.contains(reason), "\(result.errors)")
    }

    @Test func theCommandThatIsPrintedIsWhatWasAsked() throws {
        let result = try Program.run(
            [
                "plan", "lzx-ocboot-ha-test", "--with", "lzx-ocboot-ha-test-4", "--replay", Self.recording,
                "--drain-timeout", "99", "--not-ready-for", "0",
            ])
        #expect(
            result.output.contains(
                "masterswap replace lzx-ocboot-ha-test --with lzx-ocboot-ha-test-4 --drain-timeout 99 --not-ready-for 0"
            ),
            "\(result.output.suffix(300))")
    }
}
