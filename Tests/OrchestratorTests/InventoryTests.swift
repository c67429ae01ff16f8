import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

@Suite struct InventoryTests {
    func problems(_ text: String) -> [String] {
        do {
            _ = try Inventory.parse(text, file: "hosts.yaml")
            return []
        } catch let error as InventoryError {
            return error.description.split(separator: "\n").map(String.init)
        } catch { return ["unexpected: \(error)"] }
    }

    @Test func theRunbooksInventoryIsRead() throws {
        let inventory = try RunbookCluster.inventory()
        #expect(inventory.masters.map(\.address) == RunbookCluster.addresses)
        #expect(inventory.cluster.apiPort == 6443)
        #expect(inventory.cluster.localStorageClasses == ["local-path"])
        #expect(inventory.host("10.127.100.224")?.name == RunbookCluster.spare)
        #expect(inventory.ocboot?.command == nil, "it follows the ocboot that is there")
        #expect(inventory.ocboot?.database.password == .environment("MASTERSWAP_DB_PASSWORD"))
        #expect(inventory.workloads.count == 4)
    }

    @Test func aMistypedPlaceForTheAddressIsFound() {
        let text = RunbookCluster.inventoryText.replacing(
            "ocboot:\n", with: "ocboot:\n  host_networks: eth0/br0/{adress}\n")
        #expect(problems(text).first?.hasPrefix("hosts.yaml:9: ocboot.host_networks: ") == true, "\(problems(text))")
    }

    @Test func aHostOverridesTheDefaultsKeyByKey() throws {
        let inventory = try Inventory.parse(
            """
            cluster: { name: a, vip: 10.0.0.9 }
            ssh: { user: root, port: 2222, jump: null }
            hosts:
              one: { address: 10.0.0.1, role: master, port: 22, become: sudo }
              two: { address: 10.0.0.2, role: spare, jump: one }
            """, file: "x")
        #expect(inventory.hosts[0].ssh == .init(user: "root", port: 22, become: .sudo))
        #expect(inventory.hosts[1].ssh == .init(user: "root", port: 2222, jump: "one", become: .none))
        #expect(inventory.draft(of: inventory.hosts[1]).jumps?.map(\.host) == ["10.0.0.1"])
        #expect(inventory.draft(of: inventory.hosts[0]).jumps == nil, "ssh_config may have one")
    }

    @Test func aHostCanBeReachedDirectlyWhateverSSHConfigSays() throws {
        let inventory = try Inventory.parse(
            """
            cluster: { name: a, vip: 10.0.0.9 }
            ssh: { jump: ops@gate }
            hosts:
              one: { address: 10.0.0.1, role: master }
              two: { address: 10.0.0.2, role: master, jump: none }
              three: { address: 10.0.0.3, role: spare, jump: two }
            """, file: "x")
        let ways = inventory.hosts.map { inventory.draft(of: $0).jumps }
        #expect(ways[0]?.map(\.host) == ["gate"])
        #expect(ways[0]?.first?.user == "ops")
        #expect(ways[0]?.first?.jumps == nil, "the gate may be behind another one: ssh_config says")
        #expect(ways[1] == [])
        #expect(ways[2]?.map(\.host) == ["10.0.0.2"])
        #expect(ways[2]?.first?.jumps == [])
    }

    @Test func aJumpHostOfTheInventoryIsReachedByItsOwn() throws {
        let inventory = try Inventory.parse(
            """
            cluster: { name: a, vip: 10.0.0.9 }
            hosts:
              one: { address: 10.0.0.1, role: master, jump: two, port: 2201 }
              two: { address: 10.0.0.2, role: master, jump: "CORP\\\\ops@gate:2222", user: ops@corp.example }
            """, file: "x")
        let hop = try #require(inventory.draft(of: inventory.hosts[0]).jumps?.first)
        #expect(hop.host == "10.0.0.2")
        #expect(hop.user == "ops@corp.example")
        #expect(hop.port == nil)
        #expect(hop.jumps?.first?.user == "CORP\\ops")
        #expect(hop.jumps?.first?.host == "gate")
        #expect(hop.jumps?.first?.port == 2222)
    }

    @Test(arguments: ["ops@corp.example", "CORP\\ops", "ops"])
    func usersOfADirectoryAreRead(user: String) throws {
        let inventory = try Inventory.parse(
            """
            cluster: { name: a, vip: 10.0.0.9 }
            ssh: { user: '\(user)', jump: '\(user)@gate' }
            hosts:
              one: { address: 10.0.0.1, role: master }
            """, file: "x")
        #expect(inventory.hosts[0].ssh.user == user)
        let hop = try #require(inventory.draft(of: inventory.hosts[0]).jumps?.first)
        #expect(hop.user == user)
        #expect(hop.host == "gate")
    }

    @Test func aHostWithAnOldServerMayHaveItsAlgorithms() throws {
        let inventory = try Inventory.parse(
            """
            cluster: { name: a, vip: 10.0.0.9 }
            hosts:
              one: { address: 10.0.0.1, role: master, algorithms: legacy }
              two: { address: 10.0.0.2, role: master }
            """, file: "x")
        #expect(inventory.hosts.map { inventory.draft(of: $0).algorithms } == [.legacy, .current])
        let text =
            "cluster: { name: a, vip: 1.2.3.4 }\nhosts: { a: { address: 1.2.3.5, role: master, algorithms: all } }"
        #expect(problems(text).contains { $0.contains("hosts.a.algorithms: expected one of current, legacy") })
    }

    @Test(arguments: ["-o", "a b", "a;b", "ops@", "@corp", "ops\\", "\\ops", "a@b@c", "$(id)", "ops@-x"])
    func otherUsersAreRefused(user: String) {
        let text =
            "cluster: { name: a, vip: 1.2.3.4 }\nssh: { user: '\(user)' }\nhosts: { a: { address: 1.2.3.5, role: master } }"
        #expect(problems(text).contains { $0.contains("is no user name") })
    }

    @Test func everyMistakeIsToldWithItsLine() {
        let text = """
            cluster:
              name: a
              vip: 10.0.0.300
              api_prot: 6443
            hosts:
              one: { address: 10.0.0.1, role: master }
              two: { address: 10.0.0.1, role: chief }
              three: { role: spare }
            ocboot:
              onecloud_version: v3
              image_repository: r
              database: { host: db, user: root, password: hunter2 }
            workloads:
              - { namespace: n, statefulset: s, deployment: d }
              - { namespace: n, claim: c, data: critical }
            """
        let problems = problems(text)
        #expect(problems.contains("hosts.yaml:3: cluster.vip: '10.0.0.300' is no IPv4 address; \(IPv4.howToWrite)"))
        #expect(
            problems.contains(
                "hosts.yaml:4: cluster: unknown key 'api_prot', did you mean 'api_port'?; write 'api_port', or take it out"
            ))
        #expect(
            problems.contains(
                "hosts.yaml:7: hosts.two.role: expected one of master, spare, found 'chief'; write one of those words"))
        #expect(problems.contains { $0.hasPrefix("hosts.yaml:8: hosts.three: 'address' is missing") })
        #expect(
            problems.contains {
                $0.hasPrefix("hosts.yaml:12: ocboot.database.password: a password must not stand in the inventory")
            })
        #expect(problems.contains { $0.hasPrefix("hosts.yaml:14: workloads[0]: expected exactly one of") })
        #expect(problems.contains { $0.hasPrefix("hosts.yaml:15: workloads[1]: a claim alone can only be left") })
        #expect(!problems.joined().contains("hunter2"), "a secret in the wrong place is not repeated")
    }

    @Test(arguments: [
        ("hosts: {}", "cluster"), ("a: 1\na: 2", "written twice: 'a'"), ("[", "not YAML"), ("", "empty"),
        (
            "cluster: { name: a, vip: 1.2.3.4 }\nhosts: { one: { address: 1.2.3.5, role: spare } }",
            "no host has 'role: master'"
        ),
        ("cluster: { name: a, vip: 1.2.3.5 }\nhosts: { one: { address: 1.2.3.5, role: master } }", "is the VIP"),
        ("cluster: { name: a, vip: 1.2.3.4 }\nhosts: { -o: { address: 1.2.3.5, role: master } }", "is no host name"),
        (
            "cluster: { name: a, vip: 1.2.3.4 }\nhosts: { 'a$(x)': { address: 1.2.3.5, role: master } }",
            "is no host name"
        ),
        (
            "cluster: { name: a, vip: 1.2.3.4 }\nhosts: { a: { address: 1.2.3.5, role: master, jump: b } }",
            "neither an inventory host"
        ),
        (
            "cluster: { name: a, vip: 1.2.3.4 }\nhosts: { a: { address: 1.2.3.5, role: master, jump: a } }",
            "jumps through itself; write 'jump: none'"
        ),
        (
            "cluster: { name: a, vip: 1.2.3.4 }\nhosts: { a: { address: 1.2.3.5, role: master, jump: b }, b: { address: 1.2.3.6, role: spare, jump: a } }",
            "hosts.a: the jump hosts go round in a circle: a, b, a"
        ),
    ]) func mistakesAreNamed(text: String, expected: String) {
        let problems = problems(text)
        #expect(problems.contains { $0.contains(expected) }, "\(problems)")
    }

    @Test func twoHostsAtOneAddressAreAMistake() {
        let text =
            "cluster: { name: a, vip: 1.2.3.4 }\nhosts:\n  one: { address: 1.2.3.5, role: master }\n  two: { address: 1.2.3.5, role: spare }"
        #expect(
            problems(text) == [
                "hosts.yaml:4: hosts.two: one has the address 1.2.3.5 already; correct one of the two, or take it out"
            ])
    }

    @Test func nestingAndBombsEndInAnError() {
        #expect(!problems(String(repeating: "[", count: 100_000)).isEmpty)
        #expect(!problems(String(repeating: "- ", count: 10_000)).isEmpty)
        var bomb = "a0: &a0 [x, x]\n"
        for level in 1...30 { bomb += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
        #expect(problems(bomb).contains { $0.contains("unknown key") })
    }

    /// A thousand inventories, each with a byte or a line changed: read or refused, never a crash.
    @Test func mutationsOfTheExampleNeverCrash() {
        var generator = SeededGenerator(seed: 7)
        var refused = 0
        var slowest = Duration.zero
        for _ in 0..<1000 {
            var bytes = Array(RunbookCluster.inventoryText.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[index] = UInt8.random(in: 9...126, using: &generator)
                case 1: bytes.remove(at: index)
                default: bytes.insert(contentsOf: bytes[0..<min(index, 60)], at: index)
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            slowest = max(slowest, ContinuousClock().measure { if !problems(text).isEmpty { refused += 1 } })
        }
        #expect(refused > 500)
        print("1,000 mutated inventories: \(refused) refused, the slowest read in \(slowest)")
    }
}

/// SplitMix64: the same numbers for the same seed, on every machine.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
