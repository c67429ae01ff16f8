import Foundation
import SSH

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Hosts that a real shell of this machine stands in for: their scripts run as they are, in a folder that has what they look for, with
/// programs beside them that answer as a cluster would. Everything that is connected to is a closed port of loopback.
struct StandInHosts {
    static let inventory = """
        # the password of the registry is hunter2-comment
        cluster: { name: stand-in, vip: 127.0.0.10, api_port: 1 }
        ssh: { user: root, port: 1 }
        hosts:
          m1: { address: 127.0.0.11, role: master }
          m2: { address: 127.0.0.12, role: master }
          m3: { address: 127.0.0.13, role: master }
          s1: { address: 127.0.0.14, role: spare }
        ocboot:
          onecloud_version: v3.8.8
          image_repository: registry.example/yunionio
          database: { host: 127.0.0.1, port: 2, user: root, password: { command: [echo, hunter2-database] } }
          primary_master_node: { registry_password: hunter2-registry, insecure: false }
        """

    /// Everything that must not be in a recording of them.
    static let secrets = [
        "hunter2-comment", "hunter2-database", "hunter2-registry", "d0cker-vrrp", "hunter2-environment", "minio-access",
        "hunter2-annotation", "abcdef.0123456789abcdef",
    ]

    static let manifest = """
        apiVersion: v1
        kind: Pod
        spec:
          containers:
          - name: keepalived
            env:
            - { name: KEEPALIVED_PRIORITY, value: "100" }
            - { name: KEEPALIVED_VIRTUAL_IPS, value: "#PYTHON2BASH:['127.0.0.10']" }
            - { name: KEEPALIVED_STATE, value: BACKUP }
            - name: KEEPALIVED_PASSWORD
              value: d0cker-vrrp

        """

    private static func node(_ index: Int) -> String {
        """
        { "kind": "Node", "metadata": { "name": "m\(index)", "uid": "node-\(index)",
            "labels": { "node-role.kubernetes.io/master": "", "kubernetes.io/hostname": "m\(index)" } },
          "spec": {}, "status": { "conditions": [{ "type": "Ready", "status": "\(index == 1 ? "Unknown" : "True")",
            "lastTransitionTime": "2022-04-13T00:00:00Z" }],
            "addresses": [{ "type": "InternalIP", "address": "127.0.0.1\(index)" }],
            "nodeInfo": { "kubeletVersion": "v1.20.15" } } }
        """
    }

    private static let pod = #"""
        { "kind": "Pod", "metadata": { "name": "minio-0", "namespace": "onecloud-minio", "uid": "pod-0", "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration":
              "{\"spec\":{\"containers\":[{\"env\":[{\"name\":\"A\",\"value\":\"hunter2-annotation\"}]}]}}" } },
          "spec": { "nodeName": "m2", "containers": [{ "name": "minio", "args": ["--token", "abcdef.0123456789abcdef"], "env": [
            { "name": "MINIO_ACCESS_KEY", "value": "minio-access" },
            { "name": "ANYTHING", "value": "hunter2-environment" } ] }] },
          "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } }
        """#

    private static let kubectl = """
        #!/bin/sh
        case "$*" in
        *'get nodes -o'*) printf 'm1 127.0.0.11\\nm2 127.0.0.12\\nm3 127.0.0.13\\n' ;;
        *get*pods*) cat "$(dirname "$0")/objects.json" ;;
        *'member list'*) printf '{"members":[{"ID":1,"name":"m2","peerURLs":["https://127.0.0.12:2380"],"clientURLs":["https://127.0.0.12:2379"]}]}' ;;
        *) echo "Error from server (NotFound): $* not found" >&2; exit 1 ;;
        esac
        """

    let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        func write(_ text: String, to name: String, mode: Int = 0o644) throws {
            let file = URL(fileURLWithPath: folder.path + "/" + name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file.path)
        }
        let items = [Self.node(1), Self.node(2), Self.node(3), Self.pod].joined(separator: ", ")
        try write(#"{ "kind": "List", "items": [\#(items)] }"#, to: "bin/objects.json")
        try write(Self.kubectl, to: "bin/kubectl", mode: 0o755)
        // One is enough to have the cluster read by way of every master.
        try write("#!/bin/sh\necho 1\n", to: "bin/pidof", mode: 0o755)
        for master in ["m2", "m3"] {
            try write(Self.manifest, to: "\(master)/etc/kubernetes/manifests/keepalived.yaml")
        }
    }

    /// The first master is dead.
    var remotes: Remotes {
        let path = folder.path
        return Remotes { host in
            guard host.name != "m1" else {
                throw SSHError(
                    .unreachable, host: "m1", operation: "connect to 127.0.0.11 port 22", cause: "No route to host")
            }
            return StandIn(name: host.name, folder: path)
        }
    }

    private struct StandIn: Remote {
        let name: String
        let folder: String

        func run(_ command: Command) async throws -> CommandResult {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = command.arguments.map {
                $0.replacing("/etc/kubernetes", with: "\(folder)/\(name)/etc/kubernetes")
            }
            var environment = ProcessInfo.processInfo.environment
            environment["PATH"] = "\(folder)/bin:" + (environment["PATH"] ?? "/usr/bin:/bin")
            // Behind a proxy no registry is looked for.
            environment["https_proxy"] = "http://127.0.0.1:1"
            process.environment = environment
            let output = Pipe()
            let errors = URL(fileURLWithPath: "\(folder)/errors-\(UUID().uuidString)")
            _ = FileManager.default.createFile(atPath: errors.path, contents: nil)
            process.standardOutput = output
            process.standardError = try FileHandle(forWritingTo: errors)
            let startedAt = Date()
            try process.run()
            let data = output.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return CommandResult(
                outcome: .exited(process.terminationStatus), standardOutput: data,
                standardError: try Data(contentsOf: errors), startedAt: startedAt, duration: .milliseconds(1234))
        }

        func upload(_ contents: Data, to path: String, mode: UInt16) async throws {}
        func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
    }
}

/// A host that answers each command as the test says.
struct AnsweringRemote: Remote {
    let name: String
    let answer: @Sendable (Command) throws -> CommandResult

    func run(_ command: Command) async throws -> CommandResult { try answer(command) }
    func upload(_ contents: Data, to path: String, mode: UInt16) async throws {}
    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
}
