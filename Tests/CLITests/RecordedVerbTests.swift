import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// `--record` against real sshds, then `--replay` without a network, a key, ssh(1) or an inventory: the same output, byte for byte.
@Suite(.serialized, .blocking, .enabled(if: LoopbackServer.isPresent, LoopbackServer.missing))
struct RecordedVerbTests {
    /// Stands first in the hosts' PATH and answers as a cluster would.
    private static let kubectl = """
        #!/bin/sh
        case "$*" in
        *'get nodes -o'*) printf 'm1 127.0.0.1\\nm2 127.0.0.2\\nm3 127.0.0.3\\n' ;;
        *get*pods*) cat "$(dirname "$0")/objects.json" ;;
        *) echo "Error from server (NotFound): $* not found" >&2; exit 1 ;;
        esac
        """

    private static func node(_ index: Int) -> String {
        """
        { "kind": "Node", "metadata": { "name": "m\(index)", "uid": "node-\(index)",
            "labels": { "node-role.kubernetes.io/master": "", "kubernetes.io/hostname": "m\(index)" } },
          "spec": {}, "status": { "conditions": [{ "type": "Ready", "status": "\(index == 1 ? "Unknown" : "True")",
            "lastTransitionTime": "2022-04-13T00:00:00Z" }],
            "addresses": [{ "type": "InternalIP", "address": "127.0.0.\(index)" }],
            "nodeInfo": { "kubeletVersion": "v1.20.15" } } }
        """
    }

    private static let pod = """
        { "kind": "Pod", "metadata": { "name": "minio-0", "namespace": "onecloud-minio", "uid": "pod-0" },
          "spec": { "nodeName": "m1", "containers": [{ "name": "minio",
            "env": [{ "name": "MINIO_SECRET_KEY", "value": "hunter2-environment" }] }] },
          "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } }
        """

    /// Three masters, of which the first is dead, and a spare.
    private struct Cluster {
        let server: LoopbackServer
        let inventory: String
        var folder: Scratch { server.scratch }

        init() throws {
            let stubs = try Scratch()
            server = try LoopbackServer(
                addresses: ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"],
                path: "\(stubs.path):/usr/sbin:/usr/bin:/sbin:/bin")
            self.stubs = stubs
            let items = [node(1), node(2), node(3), pod].joined(separator: ", ")
            try stubs.write(#"{ "kind": "List", "items": [\#(items)] }"#, to: "objects.json")
            try stubs.write(kubectl, to: "kubectl", mode: 0o755)
            try stubs.write("#!/bin/sh\necho 1\n", to: "pidof", mode: 0o755)
            inventory = try server.scratch.write(
                """
                cluster: { name: loopback, vip: 127.0.0.9, api_port: 1 }
                ssh:
                  user: \(NSUserName())
                  port: \(server.port)
                  identity: \(server.identity)
                  known_hosts: \(server.knownHosts)
                hosts:
                  m1: { address: 127.0.0.1, role: master, port: \(try LoopbackServer.freePort()) }
                  m2: { address: 127.0.0.2, role: master }
                  m3: { address: 127.0.0.3, role: master }
                  s1: { address: 127.0.0.4, role: spare }
                ocboot:
                  onecloud_version: v3.8.8
                  image_repository: registry.example/yunionio
                  database: { host: 127.0.0.1, port: 2, user: root, password: { env: DB_PASSWORD } }
                """, to: "hosts.yaml")
        }

        private let stubs: Scratch

        var environment: [String: String] {
            [
                "PATH": "/usr/bin:/bin", "HOME": folder.path, "MASTERSWAP_STATE": "\(folder.path)/state",
                "DB_PASSWORD": "hunter2-database",
            ]
        }
    }

    private static let verbs = [
        ["check"], ["check", "--output", "json"], ["check", "--limit", "m2,s1"], ["inspect", "m1"],
        ["inspect", "m1", "--output", "json"], ["plan", "m1", "--with", "s1"],
        ["plan", "m1", "--with", "s1", "--output", "json"], ["plan", "m2", "--with", "s1"],
    ]

    @Test func aReplayPrintsTheSameWithoutAnything() throws {
        let cluster = try Cluster()
        var recorded: [Program.Result] = []
        for (index, verb) in Self.verbs.enumerated() {
            let file = "\(cluster.folder.path)/\(index).jsonl"
            let result = try Program.run(
                verb + ["-i", cluster.inventory, "--record", file], environment: cluster.environment)
            #expect(result.errors.contains("recorded: "), "\(result)")
            #expect(!result.output.isEmpty || result.status == 3, "\(verb): \(result)")
            let text = try String(contentsOfFile: file, encoding: .utf8)
            for secret in ["hunter2-environment", "hunter2-database"] { #expect(!text.contains(secret), "\(verb)") }
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            recorded.append(result)
        }
        // The first master is dead: that is why check fails and plan refuses nothing else but what is missing here.
        #expect(recorded[0].status == 4 && recorded[0].output.contains("m1: connect"), "\(recorded[0])")
        #expect(recorded[3].output.contains("onecloud-minio/minio-0"), "\(recorded[3])")
        cluster.server.stop()
        let empty = try Scratch()
        for (index, verb) in Self.verbs.enumerated() {
            let file = "\(cluster.folder.path)/\(index).jsonl"
            let replayed = try Program.run(
                verb + ["--replay", file], in: empty.path,
                environment: ["PATH": "/nowhere", "HOME": empty.path, "MASTERSWAP_STATE": "\(empty.path)/state"])
            #expect(replayed.output == recorded[index].output, "\(verb)")
            #expect(replayed.status == recorded[index].status, "\(verb)")
            let errors = recorded[index].errors.split(separator: "\n").filter { !$0.hasPrefix("recorded: ") }
            #expect(replayed.errors.split(separator: "\n") == errors, "\(verb)")
        }
        for folder in [empty, cluster.folder] {
            #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/state"), "no check is remembered")
        }
    }

    /// Appended, for whoever made the file alone, and without what the hosts said.
    @Test func everyQuestionIsLogged() throws {
        let cluster = try Cluster()
        let log = "\(cluster.folder.path)/questions.log"
        let arguments = ["inspect", "m1", "-i", cluster.inventory, "--log-file", log, "-v"]
        let result = try Program.run(arguments, environment: cluster.environment)
        let lines = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
        for (level, words) in [
            ("info", "m2: look at the host: exit status 0, "), ("info", ": read the cluster: exit status 0, "),
            ("warning", "m1: look at the host: m1: connect to 127.0.0.1"),
        ] {
            let line = try #require(lines.first { $0.contains(words) }, "\(words): \(lines)")
            let parts = line.split(separator: " ", maxSplits: 2)
            #expect((try? Date(String(parts[0]), strategy: .iso8601)) != nil && parts[1] == level, "\(line)")
            #expect(line.hasSuffix(" s"), "it ends with the time: \(line)")
            #expect(result.errors.contains("$ \(parts[2])\n"), "-v prints it, too")
        }
        #expect(!lines.contains { $0.contains("hunter2") })
        #expect(try FileManager.default.attributesOfItem(atPath: log)[.posixPermissions] as? Int == 0o600)
        _ = try Program.run(arguments, environment: cluster.environment)
        #expect(try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").count >= 2 * lines.count)
        let missing = try Program.run(
            ["check", "-i", cluster.inventory, "--log-file", "/nowhere/log"], environment: cluster.environment)
        #expect(missing.status == 2 && missing.errors.contains("open the log /nowhere/log"), "\(missing)")
    }

    /// What is asked depends on the host's role, not on the verb.
    @Test func anotherVerbReplaysTheSameRecording() throws {
        let cluster = try Cluster()
        let file = "\(cluster.folder.path)/check.jsonl"
        _ = try Program.run(["check", "-i", cluster.inventory, "--record", file], environment: cluster.environment)
        cluster.server.stop()
        let transcript = try RecordingTranscript(file).lines
        #expect(transcript == (try RecordingTranscript(file).lines))
        for line in ["$ masterswap check", "$ masterswap inspect m1", "$ masterswap plan m1 --with s1"] {
            #expect(transcript.contains(line), "\(transcript)")
        }
        #expect(transcript.contains("exit status 4") && transcript.contains("exit status 3"))
        // The same hosts under another inventory.
        let text = try String(contentsOfFile: cluster.inventory, encoding: .utf8)
        let other = try cluster.folder.write(text.replacing("name: loopback", with: "name: other"), to: "other.yaml")
        let result = try Program.run(["check", "--replay", file, "-i", other])
        #expect(result.output.contains("(cluster other, read by way of m2)"), "\(result)")
    }

    @Test func whatCannotBeRecordedOrReplayedIsToldBeforeAnyHostIsAsked() throws {
        let folder = try Scratch()
        let inventory = try folder.write(
            """
            cluster: { name: none, vip: 127.0.0.9 }
            ssh: { user: nobody, identity: /nowhere/id, known_hosts: /nowhere/known_hosts, port: 1 }
            hosts:
              m1: { address: 127.0.0.1, role: master }
            """, to: "hosts.yaml")
        let present = try folder.write("mine", to: "present.jsonl")
        func run(_ options: [String]) throws -> Program.Result {
            try Program.run(["check", "-i", inventory] + options, environment: ["MASTERSWAP_STATE": folder.path])
        }
        let refused = try run(["--record", present])
        #expect(refused.status == 2 && refused.output.isEmpty, "\(refused)")
        #expect(refused.errors.contains("write the recording \(present): File exists; name a new file"), "\(refused)")
        #expect(try String(contentsOfFile: present, encoding: .utf8) == "mine")
        let foreign = try run(["--replay", present])
        #expect(foreign.status == 2 && foreign.errors.contains("it is no recording"), "\(foreign)")
        let both = try run(["--record", "a", "--replay", "b"])
        #expect(both.status == 64, "\(both)")
        let acting = try Program.run(["exec", "--record", "a", "--", "true"])
        #expect(acting.status == 64, "\(acting)")
    }
}
