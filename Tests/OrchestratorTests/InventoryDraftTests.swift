import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// `inventory init` and `import`: what they write is read by the program's own reader, gaps and all.
@Suite struct InventoryDraftTests {
    /// The runbook's cluster, all masters well, by the answers that its hosts would give.
    func survey(_ change: @escaping @Sendable (inout [String: String]) -> Void = { _ in }) async throws
        -> InventoryDraft
    {
        let objects = try RunbookCluster.objects(dead: nil)
        let list = try ObjectList.text(objects)
        return try await ClusterSurvey(.init(host: RunbookCluster.addresses[1], user: "root")) { endpoint in
            var answers = Self.answers(RunbookCluster.addresses.firstIndex(of: endpoint.host) ?? 0)
            answers["objects"] = list
            answers["members"] = ""
            change(&answers)
            return SectionRemote(endpoint.name, answers)
        }.run()
    }

    static func answers(_ index: Int) -> [String: String] {
        [
            "distribution": "kubeadm",
            "addresses":
                "1: lo    inet 127.0.0.1/8 scope host lo\n2: eth0    inet \(RunbookCluster.addresses[index])/24 brd 10.127.100.255",
            "advertised": RunbookCluster.addresses[index],
            "server": "https://10.127.100.102:6443",
            "keepalived": RunbookCluster.manifest(index),
            "storage": "local-path rancher.io/local-path\nceph rbd.csi.ceph.com",
            "onecloud":
                "version=v3.8.8\nrepository=registry.example/yunionio\ndb-host=10.127.100.101\ndb-port=3306\ndb-user=root",
            "ocboot": "/root/ocboot",
        ]
    }

    static let spareLine = "  \(RunbookCluster.spare): { address: 10.127.100.224, role: spare }"

    /// What the operator does: the spare and the secret's place, nothing else.
    static func filledIn(_ text: String) -> String {
        text.replacing("  FILL-IN: { address: FILL-IN, role: spare }", with: spareLine)
            .replacing("password: FILL-IN", with: "password: { env: MASTERSWAP_DB_PASSWORD }")
    }

    @Test func theRunbooksClusterGivesTheRunbooksInventory() async throws {
        let draft = try await survey()
        let written = try Inventory.parse(Self.filledIn(draft.text), file: "written.yaml")
        var expected = try RunbookCluster.inventory()
        // The key is found by ssh_config or by its usual name; the file says nothing that it does not know.
        for index in expected.hosts.indices { expected.hosts[index].ssh.identity = written.hosts[0].ssh.identity }
        expected.cluster.name = "lzx-ocboot-ha-test"
        #expect(written == expected)
    }

    @Test func aDraftIsReadAsItWasMeant() async throws {
        var draft = try await survey()
        draft.hosts.append(
            .init(
                name: RunbookCluster.spare, address: "10.127.100.224", role: .spare,
                ssh: .init(user: "admin", port: 2222, identity: "~/my keys/k", jump: "a@b:22", become: .sudo)))
        draft.ocboot.databasePassword = .command(["pass", "show", "a b", "c: d"])
        draft.ocboot.primaryMasterNode = [
            YAMLEntry("as_host", .bool(false)), YAMLEntry("text", .string("3306")),
            YAMLEntry("odd", .string("a: \"b\" #\n")),
            YAMLEntry("list", .sequence([.plain("1"), .mapping([YAMLEntry("true", .string("é"))])])),
            YAMLEntry("empty", .mapping([])),
        ]
        draft.name = "null"
        #expect(try Inventory.parse(draft.text, file: "draft.yaml") == draft.inventory)
    }

    @Test func eachGapIsNamedWithItsLine() async throws {
        let draft = try await survey {
            $0["keepalived"] = nil
            $0["server"] = nil
            $0["onecloud"] = nil
        }
        let lines = draft.text.split(separator: "\n", omittingEmptySubsequences: false)
        let gaps = lines.indices.filter { lines[$0].contains("FILL-IN") && !lines[$0].hasPrefix("#") }.map { $0 + 1 }
        do {
            _ = try Inventory.parse(draft.text, file: "draft.yaml")
            Issue.record("it has gaps")
        } catch let error as InventoryError {
            #expect(error.problems.map(\.line) == gaps)
            #expect(error.problems.allSatisfy { $0.message.contains("filled in") && !$0.advice.isEmpty }, "\(error)")
            #expect(gaps.count == 7, "vip, spare, version, repository, database, its user and password: \(error)")
        }
        #expect(draft.inventory == nil)
    }

    @Test func withoutKeepalivedTheServerOfKubectlIsTheVIPUnlessItIsAMaster() async throws {
        #expect(try await survey { $0["keepalived"] = nil }.vip == "10.127.100.102")
        let draft = try await survey {
            $0["keepalived"] = nil
            $0["server"] = "https://\(RunbookCluster.addresses[0]):6443"
        }
        #expect(draft.vip == nil)
    }

    @Test func aMasterThatSaysNothingIsARemarkAndNoMaster() async throws {
        let draft = try await survey {
            if $0["advertised"] == RunbookCluster.addresses[2] { $0["distribution"] = nil }
        }
        #expect(draft.hosts.map(\.name) == RunbookCluster.names)
        #expect(draft.remarks.contains { $0.contains(RunbookCluster.names[2]) }, "\(draft.remarks)")
        await #expect(throws: ClusterError.self) { try await survey { $0["distribution"] = nil } }
    }

    @Test func workloadsWithoutAKnownRuleAreLeftToPeople() async throws {
        var objects = try RunbookCluster.objects(dead: nil)
        objects.statefulSets.append(
            StatefulSet(
                metadata: RunbookCluster.meta("loki", "onecloud-monitoring"),
                spec: .init(replicas: 1, volumeClaimTemplates: [.init(metadata: .init(name: "storage"))])))
        objects.claims.append(
            Claim(
                metadata: RunbookCluster.meta("storage-loki-0", "onecloud-monitoring"),
                spec: .init(storageClassName: "local-path", volumeName: "v"), status: .init(phase: "Bound")))
        var cluster = ClusterObservation()
        cluster.objects = objects
        let state = ClusterState(inventory: try RunbookCluster.inventory(), hosts: [:], cluster: cluster)
        let (rules, undecided) = WorkloadRules.suggest(state, localClasses: ["local-path"])
        #expect(rules.map(\.workload) == state.inventory.workloads)
        #expect(
            undecided == [
                .init(namespace: "onecloud-monitoring", owner: "statefulset/loki", claims: ["storage-loki-0"])
            ])
        var draft = try await survey()
        draft.undecided = undecided
        #expect(
            draft.text.contains(
                "# - { namespace: onecloud-monitoring, statefulset: loki, data: FILL-IN }  # storage-loki-0"))
        #expect(try Inventory.parse(Self.filledIn(draft.text), file: "x").workloads == state.inventory.workloads)
    }

    static let ocbootFile = """
        primary_master_node:
          hostname: 10.127.100.234
          user: root
          use_local: false
          onecloud_version: "v3.8.8"
          db_host: 10.127.100.101
          db_user: root
          db_password: 0neC1oudDB#
          db_port: 3306
          image_repository: registry.example/yunionio
          registry_password: hunter2
          controlplane_host: 10.127.100.102
          controlplane_port: "6443"
          as_host: true
          high_availability: true
          insecure_registries: [registry.example]
          host_networks: "ens3/br0/10.127.100.234"
        master_nodes:
          controlplane_host: 10.127.100.102
          controlplane_port: "6443"
          as_controller: true
          as_host: false
          hosts:
          - user: admin
            hostname: 10.127.100.229
          - user: root
            hostname: 10.127.100.226
            port: 2222
        """

    @Test func anOcbootFileBecomesAnInventoryWithoutItsPasswords() throws {
        let file = try OcbootFile(parsing: Self.ocbootFile, path: "config.yml")
        let draft = InventoryDraft(file)
        #expect(!draft.text.contains("0neC1oudDB#") && !draft.text.contains("hunter2"))
        #expect(draft.remarks.contains { $0.contains("db_password") && $0.contains("registry_password") })
        let text = Self.filledIn(draft.text)
        let inventory = try Inventory.parse(text, file: "imported.yaml")
        #expect(inventory.masters.map(\.address) == RunbookCluster.addresses)
        #expect(inventory.masters.map(\.ssh.user) == ["root", "admin", "root"])
        #expect(inventory.masters.map(\.ssh.port) == [nil, nil, 2222])
        #expect(inventory.cluster.vip == "10.127.100.102")
        let ocboot = try #require(inventory.ocboot)
        #expect(ocboot.onecloudVersion == "v3.8.8")
        #expect(ocboot.hostNetworks == "ens3/br0/{address}")
        #expect(ocboot.database.host == "10.127.100.101")
        #expect(ocboot.primaryMasterNode.isEmpty && ocboot.masterNodes.isEmpty, "what is read live is not kept")
    }

    /// From 3.11.8 to 3.12 it depends on ocboot's branch or tag: nobody is told what is not known.
    @Test(arguments: [
        ("v3.8.8", "kubeadm"), ("v3.11.7", "kubeadm"), ("v3.11.14", "FILL-IN"), ("v3.12.1", "FILL-IN"),
        ("v4.0.1", "k3s"),
    ])
    func theCloudsVersionTellsTheDistributionWhereItDoes(version: String, distribution: String) throws {
        let file = try OcbootFile(parsing: Self.ocbootFile.replacing("v3.8.8", with: version), path: "config.yml")
        #expect(InventoryDraft(file).text.contains("distribution: \(distribution) "))
    }

    @Test(arguments: [
        ("", "empty"), ("a: 1", "'primary_master_node' is missing"),
        ("primary_master_node: {}", "'hostname' is missing"),
        ("primary_master_node: { hostname: master.example }", "no IPv4 address"),
    ]) func whatIsNoOcbootFileIsRefused(text: String, expected: String) {
        let error = #expect(throws: InventoryError.self) { try OcbootFile(parsing: text, path: "c.yml") }
        #expect(error?.description.contains(expected) == true)
    }

    /// The script itself, on this machine: secrets are taken out before anything is sent.
    @Test func theHostItselfTakesPasswordsOut() async throws {
        let home = FileManager.default.temporaryDirectory.appendingPathComponent("ocboot-\(UUID().uuidString)")
        let folder = home.appendingPathComponent("ocboot")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: home) }
        try Self.ocbootFile.write(to: folder.appendingPathComponent("my config.yml"), atomically: true, encoding: .utf8)
        try "other: 1".write(to: folder.appendingPathComponent("other.yml"), atomically: true, encoding: .utf8)
        try "".write(to: folder.appendingPathComponent("run.py"), atomically: true, encoding: .utf8)
        let script = MasterSurvey.script
        var command = script.command(label: "x", timeout: nil)
        command.arguments[2] = "HOME=\(ShellQuoting.quote(home.path))\n" + command.arguments[2]
        let result = try await LocalRemote(shell: "sh").run(command)
        let sections = try script.parse(result, host: "h", operation: "x")
        let text = try #require(sections["ocboot-file"]?.text)
        #expect(text.hasPrefix(folder.path + "/my config.yml\n"))
        #expect(!text.contains("0neC1oudDB") && !text.contains("hunter2"))
        #expect(sections["ocboot"]?.text == folder.path)
        let body = text.split(separator: "\n", maxSplits: 1)[1]
        #expect(try OcbootFile(parsing: String(body), path: "x").masters.map(\.address) == RunbookCluster.addresses)
    }

    @Test func theNameOfAClusterIsWhatItsMastersShare() {
        #expect(InventoryDraft.commonName(RunbookCluster.names) == "lzx-ocboot-ha-test")
        #expect(InventoryDraft.commonName(["cp-1", "cp-2"]) == "cp")
        #expect(InventoryDraft.commonName(["a", "b"]) == "cluster")
        #expect(InventoryDraft.commonName([]) == "cluster")
    }
}

/// Answers a ``SectionedScript`` section by section; a section without an answer ends with status 1.
struct SectionRemote: Remote {
    let name: String
    let answers: [String: String]

    init(_ name: String, _ answers: [String: String]) {
        self.name = name
        self.answers = answers
    }

    func run(_ command: Command) async throws -> CommandResult {
        try #require(FakeCluster.sections(command, answers, isComplete: false))
    }

    func upload(_ contents: Data, to path: String, mode: UInt16) async throws {}
    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
}

/// Objects as `kubectl get A,B,C -A -o json` prints them.
enum ObjectList {
    static func text(_ objects: KubernetesObjects) throws -> String {
        var items: [[String: Any]] = []
        func add(_ kind: String, _ objects: [some KubernetesObject]) throws {
            for object in objects {
                let json = try JSONSerialization.jsonObject(with: JSONEncoder().encode(object))
                var item = try #require(json as? [String: Any])
                item["kind"] = kind
                items.append(item)
            }
        }
        try add("Node", objects.nodes)
        try add("Pod", objects.pods)
        try add("PersistentVolume", objects.volumes)
        try add("PersistentVolumeClaim", objects.claims)
        try add("StatefulSet", objects.statefulSets)
        try add("Deployment", objects.deployments)
        try add("ReplicaSet", objects.replicaSets)
        let list = try JSONSerialization.data(withJSONObject: ["kind": "List", "items": items])
        return String(decoding: list, as: UTF8.self)
    }
}
