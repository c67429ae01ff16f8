import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What `ready` gives to paste is about its refusals, is valid where it is pasted, and answers them.
@Suite struct PreparationTests {
    private let masters: [String]
    private let spare: Inventory.Host
    private let healthy: ClusterState

    init() async throws {
        healthy = try await ReadinessTests.state("healthy")
        masters = healthy.inventory.masters.map(\.name)
        spare = try #require(healthy.inventory.hosts.first { $0.role == .spare })
    }

    private func readiness(_ change: (inout ClusterState) -> Void) -> Readiness {
        var state = healthy
        change(&state)
        return Readiness(state, now: .now)
    }

    private func commands(_ readiness: Readiness, on host: String) -> [String] {
        (readiness.commands ?? []).filter { $0.host == host }.map(\.command)
    }

    /// The shell itself reads it, and runs nothing.
    private func isShell(_ command: String) async throws -> Bool {
        try await LocalRemote(shell: "sh").run(Command(["sh", "-n", "-c", command])).succeeded
    }

    @Test func aHealthyClusterNeedsNothing() {
        let readiness = readiness { _ in }
        #expect(readiness.commands == nil && readiness.inventoryLines == nil)
    }

    // MARK: Logins

    private func denied(_ address: String, _ cause: String = "Permission denied (publickey,password).") -> Readiness {
        readiness { state in state.change(masters[0]) { $0.deniedLogins = [address: cause] } }
    }

    @Test func aKeyForTheSpareIsCopiedFromThePrimary() async throws {
        let readiness = denied(spare.address)
        #expect(
            commands(readiness, on: masters[0]) == [
                "[ -e ~/.ssh/id_rsa ] || ssh-keygen -q -t rsa -b 4096 -N '' -f ~/.ssh/id_rsa",
                "ssh-copy-id -i ~/.ssh/id_rsa.pub -p 22 root@\(spare.address)",
            ])
        #expect(readiness.commands?.allSatisfy { $0.host == masters[0] } == true)
        for command in readiness.commands ?? [] { #expect(try await isShell(command.command)) }
    }

    /// The key has to be kept by a machine, and not by whoever has the VIP today.
    @Test func aKeyForTheVIPIsCopiedToItsHolder() throws {
        let readiness = denied(healthy.inventory.cluster.vip)
        let holder = try #require(healthy.vipHolders.first)
        #expect(commands(readiness, on: masters[0]).last?.hasSuffix(" root@\(holder.address)") == true)
    }

    @Test func userAndPortAreThoseThatOcbootTakes() throws {
        let readiness = readiness { state in
            let index = state.inventory.hosts.firstIndex { $0.name == spare.name }
            state.inventory.hosts[index ?? 0].ssh.user = "CORP\\ops"
            state.inventory.hosts[index ?? 0].ssh.port = 2222
            state.change(masters[0]) { $0.deniedLogins = [spare.address: "Permission denied (publickey,password)."] }
        }
        #expect(commands(readiness, on: masters[0]).last?.hasSuffix("-p 2222 'CORP\\ops@\(spare.address)'") == true)
    }

    /// `~` is root's home, not that of whoever pastes it.
    @Test func whereRootIsBecomeTheCommandIsRoots() async throws {
        let readiness = readiness { state in
            for index in state.inventory.hosts.indices { state.inventory.hosts[index].ssh.become = .sudo }
            state.change(masters[0]) { $0.deniedLogins = [spare.address: "Permission denied (publickey,password)."] }
        }
        let commands = commands(readiness, on: masters[0])
        #expect(commands.count == 2 && commands.allSatisfy { $0.hasPrefix("sudo -H sh -c '") })
        for command in commands { #expect(try await isShell(command)) }
    }

    /// ssh-copy-id could not log in there.
    @Test func whereNoPasswordIsTakenTheKeyIsShownAndPasted() async throws {
        let readiness = denied(spare.address, "Permission denied (publickey).")
        #expect(commands(readiness, on: masters[0]).last == "cat ~/.ssh/id_rsa.pub")
        let there = commands(readiness, on: spare.name)
        #expect(there.count == 1 && there[0].hasSuffix(">>~/.ssh/authorized_keys)"), "it is added to: \(there)")
        #expect(try await isShell(there[0]))
    }

    /// Each of the masters has a key of its own, and each has to be added.
    @Test func everyMastersKeyIsPasted() {
        let readiness = readiness { state in
            for master in masters {
                state.change(master) { $0.deniedLogins = [spare.address: "Permission denied (publickey)."] }
            }
        }
        let reasons = (readiness.commands ?? []).filter { $0.host == spare.name }.map(\.reason)
        for master in masters.prefix(2) {
            #expect(reasons.count { $0.contains("the line that \(master) prints") } == 1, "\(reasons)")
        }
    }

    /// What reads from the terminal comes last: it would take the next pasted line for its answer. For itself nothing is to be pasted.
    @Test func aBlockCanBePastedAsAWhole() async throws {
        let own = healthy.inventory.masters[0].address
        let readiness = readiness { state in
            state.change(masters[0]) {
                $0.deniedLogins = [
                    spare.address: "Permission denied (publickey).", own: "Permission denied (publickey,password).",
                ]
                $0.ocboot?.hasYAML = false
            }
        }
        let all = (readiness.commands ?? []).map(\.command)
        let asking = all.indices.filter { all[$0].contains("read -r") || all[$0].contains("ssh-copy-id") }
        #expect(!asking.isEmpty && asking == Array(all.indices.suffix(asking.count)), "\(all)")
        let publicKeyOnly = denied(healthy.inventory.masters[0].address, "Permission denied (publickey).")
        let itself = commands(publicKeyOnly, on: masters[0])
        #expect(itself.last?.contains("cat ~/.ssh/id_rsa.pub; } >>~/.ssh/authorized_keys") == true, "\(itself)")
        for command in itself { #expect(try await isShell(command)) }
    }

    /// At zsh's prompt a comment is a command.
    @Test func whatAHostSaysIsNoCommandInAComment() {
        let readiness = readiness { $0.change(masters[0]) { $0.ocboot?.release = "v3.11.9'$(id)`id`;id" } }
        let comments = (readiness.commands ?? []).map(\.comment)
        #expect(comments.contains { $0.contains("v3.11.9") })
        for comment in comments { #expect(comment.allSatisfy { !"`$;'".contains($0) }, "\(comment)") }
    }

    @Test func aWorkloadOfSomebodyElseIsNotKnownByItsName() {
        func rule(_ namespace: String) -> InventoryDraft.Rule? {
            let claim = Claim(
                metadata: ObjectMeta(name: "data", namespace: namespace, uid: "1"), spec: .init(volumeName: "v"),
                status: .init(phase: "Bound"))
            return WorkloadRules.rule(claim, owner: "deployment/default-influxdb")
        }
        #expect(rule("onecloud") != nil)
        #expect(rule("billing") == nil)
    }

    /// No key helps against a closed port.
    @Test func noKeyIsCopiedWhereNobodyAnswers() {
        let readiness = denied(spare.address, "Connection refused")
        #expect(readiness.commands == nil && !readiness.ready)
    }

    /// After the primary's death the VIP would be on the survivor itself: its login there is one to itself.
    @Test func aLoginToTheVIPIsOneToItselfWhereItWouldHaveTheVIP() throws {
        let vip = healthy.inventory.cluster.vip
        let readiness = readiness { state in
            // Each of the two could have the VIP, and cannot log in to the primary of today.
            for master in masters.dropFirst() {
                state.change(master) { $0.deniedLogins = [vip: "Permission denied (publickey)."] }
            }
        }
        #expect(readiness.ready, "\(readiness.masters.flatMap(\.trials).flatMap(\.refusals))")
        let other = self.readiness { state in
            for master in state.inventory.masters.dropFirst() {
                state.change(master.name) { $0.deniedLogins = [master.address: "Permission denied (publickey)."] }
            }
        }
        #expect(!other.masters[0].ready)
        // sshd may listen on given addresses only.
        let refused = self.readiness { state in
            for master in masters.dropFirst() { state.change(master) { $0.deniedLogins = [vip: "Connection refused"] } }
        }
        #expect(!refused.masters[0].ready)
    }

    // MARK: ocboot

    @Test func theRightOcbootIsCloned() throws {
        let readiness = readiness { $0.change(masters[1]) { $0.ocboot = nil } }
        #expect(
            commands(readiness, on: masters[1]) == [
                "git clone --branch release/3.8 https://github.com/yunionio/ocboot.git /root/ocboot"
            ])
        #expect(readiness.commands?.count == 1, "the others have theirs")
    }

    @Test func ofAWrongOcbootTheRightRevisionIsCheckedOut() async throws {
        let readiness = readiness { state in state.change(masters[0]) { $0.ocboot?.release = "v3.11.13" } }
        let commands = commands(readiness, on: masters[0])
        #expect(
            commands == [
                "cd /root/ocboot && [ -e .git ] && git fetch https://github.com/yunionio/ocboot.git release/3.8 && git checkout --detach FETCH_HEAD"
            ])
        for command in commands { #expect(try await isShell(command)) }
    }

    /// Nothing of the system's own Python is changed on a master that is at work.
    @Test func ansibleIsInstalledBesideTheSystem() async throws {
        let readiness = readiness { state in
            state.change(masters[0]) { facts in
                facts.ocboot?.ansible = nil
                facts.ocboot?.hasYAML = false
            }
        }
        let commands = commands(readiness, on: masters[0])
        #expect(commands.contains("/opt/ocboot-ansible/bin/python -m pip install ansible==2.9.27"), "\(commands)")
        #expect(commands.filter { $0.contains("pip") }.allSatisfy { $0.hasPrefix("/opt/ocboot-ansible/bin/python ") })
        #expect(commands.last == "apt-get install -y python3-yaml", "the lab's hosts are Debian: \(commands)")
        for command in commands { #expect(try await isShell(command)) }
    }

    @Test func collectionsAloneAreInstalledWhereTheyAloneAreMissing() {
        var preparation = Preparation()
        var state = healthy
        state.cluster.onecloudVersion = "v3.10.15"
        state.inventory.ocboot?.onecloudVersion = "v3.10.15"
        state.change(masters[0]) { facts in
            facts.ocboot = OcbootFacts(
                release: "v3.10.15", commandLine: .stack(["full"]), takesTags: true, ansible: "2.11.12",
                hasCollections: false)
        }
        let death = SupposedDeath(host: masters[1], holder: nil)
        let request = ReplacementRequest(dead: masters[1], replacement: spare.name, notReadyFor: 0)
        guard let input = try? PlanningInput(death.applied(to: state), request) else {
            Issue.record("no input")
            return
        }
        preparation.add(input)
        #expect(
            preparation.commands.map(\.command) == [
                "ansible-galaxy collection install ansible.posix community.general"
            ])
    }

    private static let revisions: [(version: String, distribution: Inventory.Distribution, expected: String?)] = [
        ("v3.8.8", .kubeadm, "release/3.8"), ("v3.9.9", .kubeadm, "release/3.9"),
        ("v3.10.15", .kubeadm, "release/3.10"), ("v3.11.3", .kubeadm, "release/3.11.7"),
        ("v3.11.9-20240911.0", .kubeadm, "release/3.11.9"), ("v3.11.15", .kubeadm, "release/3.11"),
        ("v3.12.1", .kubeadm, "release/3.12"), ("v3.11.9", .k3s, "master-v3.11.9-3"), ("v4.0.1", .k3s, "release/4.0.1"),
        ("v4.0.9", .k3s, "release/4.0"), ("v4.0.4", .kubeadm, "release/4.0.4"), ("v5.0.0", .k3s, nil),
        ("v3.10.1", .k3s, nil), ("v3.5.1", .kubeadm, nil), ("master", .k3s, nil),
    ]

    /// Branches and tags of ocboot's public repository, of which each has a VERSION that fits the cloud.
    @Test(arguments: revisions) func theRevisionIsThatOfTheCloudsRelease(
        version: String, distribution: Inventory.Distribution, expected: String?
    ) {
        #expect(OcbootRelease.revision(for: version, distribution) == expected)
    }

    /// docs/ocboot.md has the Ansible packages that its roles were run with.
    @Test(arguments: OcbootRelease.all) func theAnsiblePackageIsOneThatTheRolesRunWith(_ row: OcbootRelease) throws {
        let cores = ["ansible==2.9.27": "2.9.27", "ansible==4.10.0": "2.11.12", "ansible>=4.10.0,<10": "2.15.13"]
        #expect(row.runs(withAnsible: try #require(cores[row.ansiblePackage])))
    }

    // MARK: The inventory

    /// Added to the inventory as they are, they answer every refusal of the rule.
    @Test(arguments: ["healthy", "five-healthy"]) func theLinesAnswerTheRefusal(recording: String) async throws {
        let file = DocumentationTests.root.appendingPathComponent("Tests/Recordings/\(recording).jsonl").path
        let text = try Recording(contentsOf: file).header.inventory
        let top = text.components(separatedBy: "\nworkloads:")[0] + "\nworkloads:"
        var state = try await ReadinessTests.state(recording)
        state.inventory = try Inventory.parse(top + " []\n", file: "without")
        let refused = Readiness(state, now: .now)
        func isAboutRules(_ readiness: Readiness) -> Bool {
            readiness.masters.flatMap(\.trials).flatMap(\.refusals).contains { $0.rule == EveryLostClaimHasARule.id }
        }
        #expect(isAboutRules(refused))
        let lines = try #require(refused.inventoryLines)
        state.inventory = try Inventory.parse(
            top + "\n" + lines.map { "  \($0)\n" }.joined(), file: "with")
        let answered = Readiness(state, now: .now)
        #expect(!isAboutRules(answered) && answered.inventoryLines == nil, "\(lines)")
        #expect(lines.contains("- { namespace: onecloud-minio, statefulset: minio, data: critical, heal: minio }"))
    }

    /// What nobody knows is left alone, and not declared to be worth nothing.
    @Test func anUnknownWorkloadsClaimIsLeftAlone() throws {
        let readiness = readiness { state in
            state.inventory.workloads.removeAll { $0.namespace == "onecloud-minio" }
            for index in state.cluster.objects.statefulSets.indices
            where state.cluster.objects.statefulSets[index].namespace == "onecloud-minio" {
                state.cluster.objects.statefulSets[index].metadata.name = "storage"
            }
            for index in state.cluster.objects.claims.indices
            where state.cluster.objects.claims[index].namespace == "onecloud-minio" {
                state.cluster.objects.claims[index].metadata.name.replace("minio", with: "storage")
            }
            for index in state.cluster.objects.volumes.indices
            where state.cluster.objects.volumes[index].spec.claimRef?.namespace == "onecloud-minio" {
                state.cluster.objects.volumes[index].spec.claimRef?.name?.replace("minio", with: "storage")
            }
        }
        let lines = try #require(readiness.inventoryLines)
        #expect(lines.count == 4)
        #expect(lines.allSatisfy { $0.contains("action: ignore }  # statefulset/storage") }, "\(lines)")
    }
}
