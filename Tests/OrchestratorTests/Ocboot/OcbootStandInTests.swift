import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// The lab's ocboots, looked at and run as on a master: what is read of them, and what a run would do to the cloud.
@Suite struct OcbootStandInTests {
    static let releases = ["3.8", "3.10", "3.11.14", "k3s"]
    private static let make = DocumentationTests.root.appendingPathComponent("Tests/Lab/ocboot/make").path

    /// An ssh that logs in nowhere: four processors and eight GiB, a configured kubelet on the primary alone.
    private static let ssh = """
        #!/bin/sh
        printf '%s\\n' "$*" >>"$FAKE/logins"
        for command; do :; done
        case $command in
        nproc*) echo 4 8000000 host 0 ;;
        *cpuinfo) printf 'processor : 0\\nprocessor : 1\\nprocessor : 2\\nprocessor : 3\\n' ;;
        *kubelet.conf) case $* in *@10.127.100.224*) exit 1 ;; esac ;;
        *'token create'*) echo abcdef.0123456789abcdef ;;
        *upload-certs*) echo key ;;
        hostname) echo new ;;
        *'>>/var/log'*) cat >>"$FAKE/effects" ;;
        *'cat >'*) cat >/dev/null ;;
        esac
        """

    private let folder: TemporaryFolder
    private let remote: LocalRemote
    private var ocboot: Inventory.Ocboot

    init() throws {
        folder = try TemporaryFolder()
        let bin = folder.path + "/ocboot/bin"
        remote = LocalRemote(shell: "sh", path: bin, environment: ["FAKE": folder.path, "STANDIN_TMP": folder.path])
        ocboot = try #require(try RunbookCluster.inventory().ocboot)
        ocboot.directory = folder.path + "/ocboot"
    }

    private func install(_ release: String) throws {
        let made = try remote.runNow(Command(["python3", Self.make, release, ocboot.directory]))
        try #require(made.succeeded, "\(made.errorText)")
        try folder.program("ocboot/bin/ssh", Self.ssh)
    }

    private func facts() throws -> OcbootFacts {
        var script = SectionedScript()
        script.section("ocboot", OcbootFacts.script(ocboot))
        let sections = try script.parse(
            try remote.runNow(script.command(label: "look", timeout: nil)), host: "m", operation: "look")
        return try #require(OcbootFacts(sections["ocboot"]))
    }

    private func state(_ facts: OcbootFacts, _ release: String) throws -> ClusterState {
        let runs = ["3.8": "v3.8.8", "3.10": "v3.10.15", "3.11.14": "v3.11.14", "k3s": "v3.11.9"][release] ?? ""
        var facts = facts
        facts.hasYAML = true
        return try OcbootCases.state(facts, running: runs, product: "FullStack")
    }

    @Test(arguments: releases) func eachIsReadAsItIs(_ release: String) throws {
        try install(release)
        let facts = try facts()
        #expect(facts.hasProgram && facts.hasCollections && facts.startProblem == nil)
        #expect(facts.takesTags == (release != "3.8"))
        #expect(facts.hasK3s == (release == "k3s") && facts.takesK8sV115 == (release == "k3s"))
        let invocation = try OcbootCases.run(state(facts, release)).invocation
        let expected = [
            "3.8": ["./run.py", "{config}"], "k3s": ["./run.py", "full", "{config}", "--k8s-v115"],
        ]
        #expect(invocation.command == expected[release] ?? ["./run.py", "full", "{config}"])
    }

    /// The product and the administrator's password stay, no host is restarted that the plan does not name, and the last word is believed.
    @Test(arguments: releases) func aRunDoesWhatThePlanSays(_ release: String) throws {
        try install(release)
        guard try facts().hasYAML else { return }
        let run = try OcbootCases.run(state(try facts(), release))
        let configuration = ocboot.directory + "/masterswap-x.yml"
        let text = try OcbootConfiguration.fill(run.configuration, Secret("hunter2"), host: "m")
        try Data(text.utf8).write(to: URL(fileURLWithPath: configuration))
        var (status, output) = try start(run.invocation, "masterswap-x.yml")
        #expect(output.objection(status: status) == nil)
        let effects = try String(contentsOfFile: folder.path + "/effects", encoding: .utf8)
        #expect(effects.contains("iptables flushed"))
        #expect(!effects.contains("user-update") && !effects.contains("onecloudcluster"), "\(effects)")
        #expect(effects.contains("reboot") == (run.invocation.restartsNewHost && text.contains("as_host: true")))
        #expect(effects.contains("coredns") == run.invocation.effects.contains { $0.contains("coredns") })
        let logins = try String(contentsOfFile: folder.path + "/logins", encoding: .utf8)
        for address in ["229", "102", "224"] { #expect(logins.contains("root@10.127.100.\(address) "), "\(logins)") }
        // As it was run before it was looked at.
        (status, output) = try start(run.invocation, configuration + ".none")
        #expect(status == (release == "3.8" ? 1 : 0))
        #expect(output.objection(status: status) != nil, "whatever the status")
    }

    private func start(_ invocation: OcbootInvocation, _ configuration: String) throws -> (Int, OcbootOutput) {
        let command = invocation.command.map { $0.replacing("{config}", with: configuration) }
        let result = try remote.runNow(
            .script(
                "cd \"$1\"; shift; exec env \"$@\" 2>&1", [ocboot.directory] + invocation.environment + command,
                label: "run"))
        var output = OcbootOutput()
        _ = output.read(result.standardOutput)
        guard case .exited(let status) = result.outcome else { return (-1, output) }
        return (Int(status), output)
    }
}
