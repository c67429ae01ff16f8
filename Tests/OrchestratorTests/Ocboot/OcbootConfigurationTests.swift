import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What is live is never written over with a default.
@Suite struct OcbootConfigurationTests {
    @Test func itIsTheRunbooksConfiguration() throws {
        var state = try OcbootCases.state(RunbookCluster.ocboot)
        for index in state.cluster.objects.nodes.indices {
            state.cluster.objects.nodes[index].metadata.labels?[OcbootConfiguration.hostLabel] = "enable"
        }
        let text = try OcbootConfiguration.fill(
            OcbootCases.run(state).configuration, Secret(#"0neC1oud"DB#"#), host: "x")
        #expect(
            text == #"""
                primary_master_node:
                  hostname: "10.127.100.229"
                  use_local: false
                  user: "root"
                  onecloud_version: "v3.8.8"
                  db_host: "10.127.100.101"
                  db_user: "root"
                  db_password: "0neC1oud\"DB#"
                  db_port: "3306"
                  image_repository: "registry.example/yunionio"
                  node_ip: "10.127.100.229"
                  controlplane_host: "10.127.100.102"
                  controlplane_port: "6443"
                  as_host: true
                  as_host_on_vm: true
                  high_availability: true
                  use_ee: true
                master_nodes:
                  controlplane_host: "10.127.100.102"
                  controlplane_port: "6443"
                  onecloud_version: "v3.8.8"
                  as_controller: true
                  as_host: true
                  as_host_on_vm: true
                  high_availability: true
                  hosts:
                  - user: "root"
                    hostname: "10.127.100.224"
                    host_networks: "eth0/br0/10.127.100.224"

                """#)
    }

    @Test func whatIsLiveIsWritten() throws {
        var state = try OcbootCases.state(RunbookCluster.ocboot)
        state.cluster.objects.nodes[0].metadata.labels?[OcbootConfiguration.hostLabel] = "enable"
        state.cluster.cloud.imageRepository = "registry.live/yunion"
        state.cluster.cloud.autodetection = "can-reach=10.127.100.1"
        state.cluster.cloud.read(
            ConfigMap(
                metadata: RunbookCluster.meta("kubeadm-config", "kube-system"),
                data: [
                    "ClusterConfiguration":
                        "controlPlaneEndpoint: 10.127.100.102:6443\nnetworking:\n  dnsDomain: cloud.local\n  podSubnet: 10.41.0.0/16\n  serviceSubnet: 10.97.0.0/16\n"
                ]))
        state.change(RunbookCluster.names[1]) {
            $0.docker = DockerDaemon(mirrors: ["https://mirror.example"], insecureRegistries: ["10.0.0.1:5000"])
        }
        let text = try OcbootCases.run(state).configuration
        for line in [
            "image_repository: \"registry.live/yunion\"", "ip_autodetection_method: \"can-reach=10.127.100.1\"",
            "pod_network_cidr: \"10.41.0.0/16\"", "service_cidr: \"10.97.0.0/16\"",
            "service_dns_domain: \"cloud.local\"",
        ] { #expect(text.contains("  \(line)\n"), "\(line)") }
        #expect(text.ranges(of: "registry_mirrors:\n  - \"https://mirror.example\"").count == 2)
        #expect(text.ranges(of: "insecure_registries:\n  - \"10.0.0.1:5000\"").count == 2)
        #expect(
            text.contains("as_host: false\n") && text.contains("as_host: true\n"),
            "the dead one's, and the primary's own")
    }

    @Test func theInventorysOwnKeysWin() throws {
        var state = try OcbootCases.state(RunbookCluster.ocboot)
        state.inventory.ocboot?.primaryMasterNode = [
            YAMLEntry("use_ee", .bool(false)), YAMLEntry("extra", .plain("7")),
        ]
        let text = try OcbootCases.run(state).configuration
        #expect(text.contains("  use_ee: false\n"))
        #expect(text.contains("  extra: 7\n"))
    }

    @Test func aLongPasswordStaysOnItsLine() throws {
        let text = try OcbootCases.run(OcbootCases.state(RunbookCluster.ocboot)).configuration
        let password = String(repeating: "a b ", count: 60) + "é"
        let filled = try OcbootConfiguration.fill(text, Secret(password), host: "x")
        #expect(filled.split(separator: "\n").count == text.split(separator: "\n").count)
        #expect(!text.contains(password))
    }
}

/// Its real words, of several releases.
@Suite struct OcbootOutputTests {
    func objection(_ text: String, status: Int) -> String? {
        var output = OcbootOutput()
        _ = output.read(Data(text.utf8))
        return output.objection(status: status)
    }

    static let recap = """
        PLAY RECAP *********************************************************************
        10.127.100.224             : ok=120  changed=40   unreachable=0    failed=0    skipped=80   rescued=0    ignored=1
        10.127.100.229             : ok=99   changed=20   unreachable=0    failed=0    skipped=70   rescued=0    ignored=0

        Initialized successfully!

        """

    @Test func aRecapWithoutAFailureIsSuccess() {
        #expect(objection(Self.recap, status: 0) == nil)
        #expect(objection(Self.recap, status: 4)?.contains("status 4") == true)
    }

    @Test func aFailureInTheRecapIsOneWhateverTheStatus() {
        let failed = Self.recap.replacing(
            "unreachable=0    failed=0    skipped=80", with: "unreachable=0    failed=1    skipped=80")
        #expect(objection(failed, status: 0)?.contains("10.127.100.224") == true)
        #expect(
            objection(
                failed.replacing("failed=1", with: "failed=0").replacing(
                    "unreachable=0    failed=0    skipped=70", with: "unreachable=1    failed=0    skipped=70"),
                status: 0)?.contains("10.127.100.229") == true)
    }

    /// 3.9 and later end with 0 there.
    @Test func aConfigurationThatIsNotFoundIsNamed() {
        #expect(
            objection(
                "\u{1B}[91mThe configuration file </root/x.yml> does not exist or is not valid!\u{1B}[0m\n", status: 0)?
                .contains("did not find its configuration") == true)
        #expect(objection("", status: 0)?.contains("no PLAY RECAP") == true)
    }

    @Test func aUsageErrorIsNamed() {
        let text = "usage: run.py [-h] stack [ip_conf]\nrun.py: error: argument stack: invalid choice: 'x.yml'\n"
        #expect(objection(text, status: 2)?.contains("did not take its arguments: run.py: error") == true)
        #expect(objection("\nUsage: ./run.py [master_ip|<config_file>.yml]\n", status: 1)?.contains("Usage") == true)
    }

    @Test func aTracebackIsToldWithoutItsValues() throws {
        let text = """
            Traceback (most recent call last):
              File "./run.py", line 195, in <module>
                sys.exit(main())
            lib.ocboot.ConfigNotFoundException: Not found db_host in {'db_password': 'hunter2'}

            """
        let found = try #require(objection(text, status: 1))
        #expect(found.contains("ConfigNotFoundException") && !found.contains("hunter2"))
    }

    @Test func coloursAndCarriageReturnsAreTakenOut() {
        var output = OcbootOutput()
        let lines = output.read(Data("\u{1B}[0;32mok: [10.0.0.1]\u{1B}[0m\r\n 10 %\r 20 %\r100 %\nhalf".utf8))
        #expect(lines == ["ok: [10.0.0.1]", "100 %"])
        #expect(output.read(Data(" a line\n".utf8)) == ["half a line"])
    }

    @Test func whatItPrintsOfSecretsIsMasked() {
        let redactor = Redactor([])
        for text in [
            "Password: admin@123", "{'onecloud_user_password': 'admin@123', 'x': 1}",
            "onecloud_user_password: admin@123",
            "k3s server --server https://10.0.0.1:6443 --token mytoken@yunionio1",
            "\"k3s_token\": \"mytoken@yunionio\"",
        ] {
            let shown = redactor.redact(text)
            #expect(!shown.contains("admin@123") && !shown.contains("mytoken"), "\(shown)")
        }
        for text in ["the password is asked for", "token: ", "no secret 'x' was found"] {
            #expect(redactor.redact(text) == text)
        }
    }
}
