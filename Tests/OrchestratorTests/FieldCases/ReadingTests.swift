import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What kubectl prints on standard error beside a right or a wrong answer.
enum KubectlNoise {
    /// kubectl 1.29 and newer while metrics-server, an aggregated API, is away (kubernetes/client-go#1223).
    static let aggregatedAPI = """
        E1126 14:18:45.226493   10026 memcache.go:287] "Unhandled Error" err="couldn't get resource list for metrics.k8s.io/v1beta1: the server is currently unable to handle the request"
        E1126 14:18:45.228940   10026 memcache.go:121] "Unhandled Error" err="couldn't get resource list for metrics.k8s.io/v1beta1: the server is currently unable to handle the request"
        """
    /// kubectl up to 1.23, with the same fault.
    static let olderAggregatedAPI =
        "I0413 06:49:29.882069    2931 request.go:668] Waited for 1.19s due to client-side throttling, not priority and fairness, request: GET:https://10.66.0.11:6443/apis/apps/v1?timeout=32s"
    static let all = [
        aggregatedAPI, olderAggregatedAPI,
        "Waited for 1.19s due to client-side throttling, not priority and fairness",
        #"Defaulted container "etcd" out of: etcd, wait-disk (init)"#,
        "Defaulting container name to etcd.\nUse 'kubectl describe pod/etcd-m1 -n kube-system' to see all of the containers in this pod.",
        "Warning: policy/v1beta1 PodDisruptionBudget is deprecated in v1.21+, unavailable in v1.25+",
        "Flag --delete-local-data has been deprecated, This option is deprecated and will be deleted. Use --delete-emptydir-data.",
        "W1126 14:18:45.226493   10026 loader.go:222] Config not found",
        "bash: warning: setlocale: LC_ALL: cannot change locale (zh_CN.UTF-8)",
        "sudo: unable to resolve host m2: Name or service not known",
    ]
}

@Suite struct KubectlMessageTests {
    @Test(arguments: ["NotFound", "Conflict", "Forbidden", "AlreadyExists", "Invalid"], KubectlNoise.all)
    func aVerdictIsFinalWhateverNoiseSurroundsIt(reason: String, noise: String) {
        let verdict = "Error from server (\(reason)): leases.coordination.k8s.io \"masterswap\" is not as it should be"
        for text in ["\(noise)\n\(verdict)\n", "\(verdict)\n\(noise)\n", "\(noise)\n\(verdict)\n\(noise)\n"] {
            let message = KubectlMessage(text)
            #expect(message.reason == reason)
            #expect(message.cause == verdict)
            let error = Kubectl.failure(
                "kubectl get", CommandResult(outcome: .exited(1), standardError: Data(text.utf8)), host: "m1",
                of: .kubeadm)
            #expect(!Transient.isTransient(error), "\(error)")
        }
    }

    @Test(arguments: KubectlNoise.all) func noiseAloneIsNoCause(noise: String) {
        #expect(KubectlMessage(noise).cause.isEmpty)
        #expect(KubectlMessage(noise).reason == nil)
    }

    @Test(arguments: [
        "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
        "Error from server (InternalError): an error on the server has prevented the request from succeeding",
        "Error from server (Timeout): the server was unable to return a response in the time allotted",
        "Error from server: etcdserver: leader changed",
        "The connection to the server 10.66.0.11:6443 was refused - did you specify the right host or port?",
        "Unable to connect to the server: net/http: TLS handshake timeout",
        "error: unable to upgrade connection: container not found (\"etcd\")",
    ]) func aServerThatIsAwayIsPassing(text: String) {
        let result = CommandResult(outcome: .exited(1), standardError: Data(text.utf8))
        #expect(Transient.isTransient(Kubectl.failure("kubectl get", result, host: "m1", of: .kubeadm)))
    }

    /// kubectl words an invalid object in a way of its own (cmd/util/helpers.go).
    @Test func anInvalidObjectIsAVerdict() {
        let text =
            "The Lease \"masterswap\" is invalid: spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"
        #expect(KubectlMessage(text).reason == "Invalid")
    }

    @Test func aMessageOfSeveralLinesIsQuotedFromItsBeginning() {
        let text = "Error from server (BadRequest): error when creating \"STDIN\":\nfirst\nsecond\n"
        #expect(KubectlMessage(text).cause.hasPrefix("Error from server (BadRequest)"))
    }

    /// A find that is answered NotFound beside the noise returns at once: one command, no retry.
    @Test func anAbsentObjectIsFoundAbsentAtOnce() async throws {
        let cluster = FakeCluster(KubernetesObjects()) { _, command in
            guard command.display.contains("get node ") else { return nil }
            return FakeCluster.failure(
                KubectlNoise.aggregatedAPI + "\nError from server (NotFound): nodes \"m9\" not found\n")
        }
        let kubectl = Kubectl(
            [.init(remote: FakeCluster.Target(name: "m1", cluster: cluster))], distribution: .kubeadm,
            retryTimeout: .seconds(60))
        #expect(try await kubectl.find(Node.self, ["node", "m9"]) == nil)
        #expect(cluster.asked.count == 1)
    }

    @Test(arguments: [
        ("sh: 1: exec: kubectl: not found", "install kubectl"),
        ("sh: line 0: exec: kubectl: not found", "install kubectl"),
        ("error: stat /etc/kubernetes/admin.conf: no such file or directory", "admin.conf"),
        (
            "error: error loading config file \"/etc/kubernetes/admin.conf\": open /etc/kubernetes/admin.conf: permission denied",
            "become: sudo"
        ),
        (
            "Unable to connect to the server: x509: certificate has expired or is not yet valid: current time 2026-11-26T14:18:45Z is after 2026-04-13T06:49:29Z",
            "check-expiration"
        ),
        (
            "Unable to connect to the server: x509: certificate is valid for 10.96.0.1, 10.66.0.12, not 10.66.0.11",
            "api_port"
        ),
        ("Unable to connect to the server: x509: certificate signed by unknown authority", "not this cluster's"),
        ("error: You must be logged in to the server (Unauthorized)", "client certificate"),
        (
            "The connection to the server 10.66.0.11:6443 was refused - did you specify the right host or port?",
            "kubelet and its containers"
        ),
        (
            "Unable to connect to the server: proxyconnect tcp: dial tcp 10.66.0.250:3128: connect: connection refused",
            "proxy"
        ),
        ("Unable to connect to the server: net/http: request canceled (Client.Timeout exceeded)", "slow"),
    ]) func eachCauseHasItsOwnAdvice(text: String, advice: String) {
        let error = Kubectl.failure(
            "kubectl get", CommandResult(outcome: .exited(1), standardError: Data(text.utf8)), host: "m1",
            of: .kubeadm)
        #expect(error.advice.contains(advice), "\(error.advice)")
        #expect(error.cause.contains(text.prefix(40)), "its own words are told")
    }

    @Test(arguments: [
        "error: stat /etc/rancher/k3s/k3s.yaml: no such file or directory",
        "Unable to connect to the server: x509: certificate has expired or is not yet valid",
        "Unable to connect to the server: x509: certificate signed by unknown authority",
        "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?",
    ]) func onK3sNoPlaceOfKubeadmIsNamed(text: String) {
        let error = Kubectl.failure(
            "kubectl get", CommandResult(outcome: .exited(1), standardError: Data(text.utf8)), host: "m1", of: .k3s)
        #expect(error.advice.contains("k3s"), "\(error.advice)")
        #expect(!error.advice.contains("kubeadm") && !error.advice.contains("/etc/kubernetes"), "\(error.advice)")
    }
}

@Suite struct ClusterProbeTests {
    /// The probe's own script, run by this machine's shell, with a kubectl that logs on standard error beside right answers.
    @Test(arguments: KubectlNoise.all + [""]) func standardErrorIsNeverMixedWithData(noise: String) async throws {
        let folder = try TemporaryFolder()
        let objects = try ObjectList.text(RunbookCluster.objects(dead: 0))
        try Data(objects.utf8).write(to: URL(fileURLWithPath: folder.path + "/objects"))
        try Data(EtcdOutputTests.json.utf8).write(to: URL(fileURLWithPath: folder.path + "/members"))
        try Data(noise.utf8).write(to: URL(fileURLWithPath: folder.path + "/noise"))
        let script = """
            #!/bin/sh
            cat \(folder.path)/noise >&2; echo >&2
            case "$*" in
            *'member list'*) cat \(folder.path)/members ;;
            *'endpoint health'*)
                echo 'https://10.127.100.234:2379 is healthy: successfully committed input: took = 10ms' >&2
                echo 'Error: unhealthy cluster' >&2; exit 1 ;;
            *onecloudclusters*) printf v3.8.8 ;;
            *'get configmap'*) echo 'Error from server (NotFound): configmaps "kubeadm-config" not found' >&2; exit 1 ;;
            *'get nodes -o jsonpath'*) echo 'lzx-ocboot-ha-test-2 10.127.100.229' ;;
            *'get --raw'*) echo ok ;;
            *version*) echo '{}' ;;
            *) cat \(folder.path)/objects ;;
            esac
            """
        try folder.program("kubectl", script)
        let inventory = try RunbookCluster.inventory()
        let remote = LocalRemote(shell: "sh", path: folder.path)
        let observation = try await ClusterProbe(inventory).run(on: remote, host: inventory.hosts[1])
        #expect(observation.problems.isEmpty, "\(observation.problems)")
        #expect(observation.members.count == 2)
        #expect(observation.members.map(\.isHealthy) == [true, false])
        #expect(observation.onecloudVersion == "v3.8.8")
        #expect(observation.objects.nodes.count == 3)
    }

    /// The cause of what failed is its own section's, not the last line of the whole script.
    @Test func theCauseIsTheOneOfTheQuestionThatFailed() throws {
        let inventory = try RunbookCluster.inventory()
        func section(_ text: String, _ errors: String = "", _ status: Int32 = 0) -> SectionedScript.Section {
            .init(output: Data(text.utf8), errors: Data(errors.utf8), status: status)
        }
        let objects = try ObjectList.text(RunbookCluster.objects(dead: 0))
        let observation = try ClusterProbe(inventory).observation(
            [
                "objects": section(objects),
                "members": section("", "Error: context deadline exceeded\ncommand terminated with exit code 1\n", 1),
                "health": section("", "something else that came last", 1),
                "onecloud": section(
                    "",
                    KubectlNoise.aggregatedAPI
                        + "\nerror: the server doesn't have a resource type \"onecloudclusters\"", 1),
            ], host: "m2")
        #expect(observation.problems == ["m2: etcdctl member list: Error: context deadline exceeded"])
        #expect(observation.onecloudProblem == nil, "a cluster without that resource is an answer")
    }

    /// A master whose environment names a proxy (/etc/environment): kubectl is run without it.
    @Test func proxyVariablesDoNotReachKubectl() async throws {
        let folder = try TemporaryFolder()
        try folder.program("kubectl", "#!/bin/sh\nenv | grep -i proxy && exit 1\necho clean")
        let kubectl = Kubectl(
            [
                .init(
                    remote: LocalRemote(
                        shell: "sh", path: folder.path,
                        environment: [
                            "https_proxy": "http://10.66.0.250:3128", "HTTPS_PROXY": "x", "all_proxy": "x",
                            "HTTP_PROXY": "x",
                        ]), apiServer: "10.66.0.11:6443")
            ],
            distribution: .kubeadm)
        let answer = try await kubectl.run(["get", "nodes"])
        #expect(String(decoding: answer, as: UTF8.self) == "clean\n")
    }
}

@Suite struct SectionedScriptTests {
    /// A forced command or a menu that ends with 0 and ran nothing is no answer.
    @Test(arguments: ["", "1) node-a\n2) node-b\nchoose: ", "\n@0123456789abcdef clock 0\n"])
    func aScriptThatDidNotReachItsEndIsNoAnswer(output: String) throws {
        let inventory = try RunbookCluster.inventory()
        let script = HostProbe(inventory, for: inventory.hosts[0]).script
        let result = CommandResult(outcome: .exited(0), standardOutput: Data(output.utf8))
        #expect(throws: ClusterError.self) { try script.parse(result, host: "m1", operation: "look at the host") }
    }

    /// The real script's answer, cut off at every place of its end.
    @Test func anAnswerThatIsCutOffIsNoAnswer() async throws {
        var script = SectionedScript()
        script.section("one", "echo 1; echo e1 >&2")
        script.section("two", "echo 2; echo e2 >&2; exit 3")
        let result = try await LocalRemote(shell: "sh").run(script.command(label: "x", timeout: nil))
        let whole = try script.parse(result, host: "h", operation: "x")
        #expect(whole["one"] == .init(output: Data("1\n".utf8), errors: Data("e1\n".utf8), status: 0))
        #expect(whole["two"]?.text == "2")
        #expect(whole["two"]?.errorText == "e2")
        #expect(whole["two"]?.status == 3)
        for length in 0..<result.standardOutput.count {
            var cut = result
            cut.standardOutput = result.standardOutput.prefix(length)
            #expect(throws: ClusterError.self) { try script.parse(cut, host: "h", operation: "x") }
        }
    }

    @Test func aNeededSectionThatFailsEndsTheScriptAsAnAnswer() async throws {
        var script = SectionedScript()
        script.neededSection("needed", "echo cause >&2; exit 4")
        script.section("after", "echo never")
        let result = try await LocalRemote(shell: "sh").run(script.command(label: "x", timeout: nil))
        let sections = try script.parse(result, host: "h", operation: "x")
        #expect(sections["needed"]?.status == 4)
        #expect(sections["needed"]?.errorText == "cause")
        #expect(sections["after"] == nil)
    }
}

@Suite struct UnknownFactsTests {
    private func facts(_ change: (inout [String: SectionedScript.Section]) -> Void) throws -> HostFacts {
        func section(_ text: String, _ status: Int32 = 0) -> SectionedScript.Section {
            .init(output: Data(text.utf8), status: status)
        }
        var sections = [
            "clock": section("1650000002.5"), "hostname": section("m1"),
            "disks": section("/dev/vda1 41931756 6612352 35319404 16% /"),
            "addresses": section("1: lo    inet 127.0.0.1/8 scope host lo"), "processes": section(""),
            "listening": section("State Recv-Q\nLISTEN 0 128 *:22 *:*"), "traces": section(""),
        ]
        change(&sections)
        let inventory = try RunbookCluster.inventory()
        return HostProbe(inventory, for: inventory.hosts[3]).facts(sections, startedAt: 1_650_000_000)
    }

    @Test func whatWasReadIsKnown() throws {
        let facts = try facts { _ in }
        #expect(facts.unread.isEmpty)
        #expect(facts.isBare)
        #expect(facts.clockOffset == 2.5)
    }

    @Test(arguments: ["clock", "hostname", "disks", "addresses", "processes", "listening", "traces"])
    func whatCouldNotBeReadIsUnknown(section: String) throws {
        let failed = try facts { $0[section] = .init(output: Data(), status: 1) }
        #expect(failed.unread.count == 1, "\(failed.unread)")
        let missing = try facts { $0[section] = nil }
        #expect(missing.unread == failed.unread)
        if section == "processes" || section == "traces" { #expect(!failed.isBare, "unknown is not bare") }
    }

    /// A greeting before the first answer once made the clock's offset 0.
    @Test func aClockWithOtherWordsIsUnknown() throws {
        let facts = try facts { $0["clock"]?.output = Data("Welcome to rack 7\n1650000002.5".utf8) }
        #expect(facts.clockOffset == nil)
    }

    private func refusals(_ change: (inout HostFacts) -> Void, of host: String = RunbookCluster.spare) throws
        -> [Refusal]
    {
        var state = try RunbookCluster.state()
        var facts = try #require(state.hosts[host]?.facts)
        change(&facts)
        state.hosts[host] = .reached(facts)
        do {
            _ = try Planner.plan(state, RunbookCluster.request, now: Date())
            return []
        } catch let refused as Refused { return refused.refusals }
    }

    @Test func theRuleThatNeedsAFactSaysThatItIsUnknown() throws {
        #expect(try refusals { $0.clockOffset = nil }.map(\.rule) == ["replacement-fits"])
        #expect(try refusals { $0.disks = nil }.map(\.rule) == ["replacement-fits"])
        #expect(try refusals { $0.listening = nil }.map(\.rule) == ["replacement-is-bare"])
        #expect(try refusals { $0.kubeletRuns = nil }.map(\.rule) == ["replacement-is-bare"])
        #expect(try refusals { $0.clusterTraces = nil }.map(\.rule) == ["replacement-is-bare"])
        #expect(try refusals { $0.hostname = "" }.map(\.rule) == ["replacement-is-bare"])
        #expect(
            try refusals({ $0.clockOffset = nil }, of: RunbookCluster.names[1]).map(\.rule) == [
                "node-is-dead", "replacement-fits",
            ])
        #expect(try refusals({ $0.clockOffset = nil }, of: RunbookCluster.names[2]).map(\.rule) == ["node-is-dead"])
        #expect(try refusals({ $0.addresses = nil }, of: RunbookCluster.names[2]).map(\.rule) == ["one-vip-holder"])
    }
}
