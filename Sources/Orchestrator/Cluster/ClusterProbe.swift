import Foundation
public import Inventories
public import SSH

/// One script on one master that reads all that the cluster itself can say.
public struct ClusterProbe: Sendable {
    package let inventory: Inventory
    /// Where the API server beside the master is; `nil` where that is the inventory's address of it.
    private let apiAddress: String?

    public init(_ inventory: Inventory, apiAddress: String? = nil) {
        self.inventory = inventory
        self.apiAddress = apiAddress
    }

    private static let operation = "read the cluster"

    /// - Throws: `SSHError`; ``ClusterError`` where the API server beside that master gives no objects. What else is missing is
    ///   listed in the observation's problems.
    public func run(on remote: any Remote, host: Inventory.Host) async throws -> ClusterObservation {
        let script = script(host)
        let result = try await remote.run(script.command(label: Self.operation, timeout: nil))
        let sections = try script.parse(result, host: host.name, operation: Self.operation)
        return try observation(sections, host: host.name)
    }

    package func script(_ host: Inventory.Host) -> SectionedScript {
        let cluster = inventory.cluster
        let local = Kubectl.prefix(
            cluster.distribution, apiServer: "\(IPAddress.inURL(apiAddress ?? host.address)):\(cluster.apiPort)")
        let kubectl = ShellQuoting.join(local)
        let onVIP = ShellQuoting.join(
            Kubectl.environment + cluster.distribution.kubectl
                + ["--server", "https://\(cluster.vip):\(cluster.apiPort)"])
        var script = SectionedScript()
        // Before the objects: an age that is counted by it is too short rather than too long.
        script.section("clock", "date +%s")
        script.neededSection(
            "objects", ShellQuoting.join(ObjectsTemplate.command(local + ["--request-timeout=30s"])))
        script.section(
            "kubeadm-config", "\(kubectl) --request-timeout=10s get configmap kubeadm-config -n kube-system -o json")
        script.section("vip", "\(onVIP) --request-timeout=2s get --raw /healthz")
        // Once more where it failed: an API server that is starting does not know all of its resources yet.
        let release =
            "\(kubectl) --request-timeout=10s get onecloudclusters.onecloud.yunion.io -n onecloud -o jsonpath='{.items[*].spec.version}'"
        script.section("onecloud", "\(release) 2>/dev/null || \(release)")
        let cloud =
            "\(kubectl) --request-timeout=10s get onecloudclusters.onecloud.yunion.io -n onecloud -o jsonpath=\(ShellQuoting.quote(CloudFacts.jsonpath))"
        script.optionalSection("cloud", cloud)
        script.optionalSection(
            "calico",
            "\(kubectl) --request-timeout=10s get daemonset calico-node -n kube-system --ignore-not-found -o jsonpath='{.spec.template.spec.containers[*].env[?(@.name==\"IP_AUTODETECTION_METHOD\")].value}'"
        )
        script.optionalSection("runs", RunHead.objectHeads(kubectl))
        script.section("version", "\(kubectl) version --client -o json")
        for question in cluster.distribution.clusterQuestions(kubectl) {
            script.optionalSection(question.name, question.script)
        }
        if cluster.distribution.hasEtcdctl {
            askEtcdctl(host, kubectl, &script)
        } else {
            script.section("members", cluster.distribution.peerMembers())
        }
        return script
    }

    private func askEtcdctl(_ host: Inventory.Host, _ kubectl: String, _ script: inout SectionedScript) {
        // The static pod is named after the node. The node is found by the address; where that is none of a node's, by the name
        // that this host's kubelet goes by.
        let find = """
            node=$(\(kubectl) --request-timeout=10s get nodes -o jsonpath='{range .items[*]}{.metadata.name}{" "}{.status.addresses[?(@.type=="InternalIP")].address}{"\\n"}{end}' | awk -v address=\(host.address) '{ for (i = 2; i <= NF; i++) if ($i == address) { print $1; exit } }')
            [ -n "$node" ] || node=$(\(HostProbe.kubeletNode(inventory.cluster.distribution)))
            [ -n "$node" ] || node=$(uname -n | tr '[:upper:]' '[:lower:]')
            """
        let distribution = inventory.cluster.distribution
        // A member that is not healthy makes it fail, which is an answer; etcdctl 3.4 gives it on standard error.
        let health = """
            ask_health() {
                answer=$(direct "$@" 2>&1)
                case $answer in *healthy*) printf '%s' "$answer"; return 0;; esac
                by_shell "$@" 2>&1
            }
            """
        script.section("members", "\(find)\n\(Etcdctl.question(Etcdctl.listArguments, kubectl, distribution))")
        script.section(
            "health",
            "\(find)\n\(Etcdctl.ways(kubectl, distribution))\n\(health)\nask_health \(Etcdctl.healthArguments.joined(separator: " "))"
        )
        for (name, arguments) in [
            ("etcd-status", Etcdctl.statusArguments), ("etcd-alarms", Etcdctl.alarmArguments),
        ] {
            script.section(name, "\(find)\n\(Etcdctl.question(arguments, kubectl, distribution))")
        }
    }

    package func observation(_ sections: [String: SectionedScript.Section], host: String) throws -> ClusterObservation {
        /// Why a section gave no answer, in kubectl's own words.
        func cause(_ name: String) -> String {
            guard let section = sections[name] else { return "it was not asked" }
            let message = KubectlMessage(section.errorText)
            return message.cause.isEmpty ? "exit status \(section.status)" : message.cause
        }
        let operation = "kubectl get \(KubernetesObjects.kinds)"
        guard let objects = sections["objects"], objects.succeeded else {
            throw ClusterError(
                .commandFailed, host: host, operation: operation, cause: cause("objects"),
                advice: KubectlMessage(sections["objects"]?.errorText ?? "").advice(
                    on: host, of: inventory.cluster.distribution)
                    ?? "run it on \(host) by hand: kubectl get nodes")
        }
        var observation = ClusterObservation(source: host)
        observation.objects = try Kubectl.decode(
            KubernetesObjects.self, from: objects.output, host: host, operation: operation)
        // The master that answers is a node itself: without any, this is no answer about the cluster.
        guard !observation.objects.nodes.isEmpty else {
            throw ClusterError(
                .badOutput, host: host, operation: operation, cause: "it lists no node",
                advice: "run it on \(host) by hand and look at what it prints: kubectl get nodes")
        }
        observation.kubectl = sections["version"].flatMap {
            try? JSONDecoder().decode(ClientVersion.self, from: $0.output)
        }
        .flatMap { KubernetesVersion($0.clientVersion.gitVersion) }
        observation.clock = sections["clock"].flatMap { HostProbe.time($0.text) }.map(Date.init(timeIntervalSince1970:))
        observation.apiAnswersOnVIP = sections["vip"]?.succeeded == true
        if let config = sections["kubeadm-config"], config.succeeded {
            let map = try Kubectl.decode(
                ConfigMap.self, from: config.output, host: host, operation: "kubectl get configmap kubeadm-config")
            observation.clusterStatus = ClusterStatus(map)
            if observation.clusterStatus == nil, map.data?["ClusterStatus"]?.isEmpty == false {
                observation.clusterStatusProblem = "its ClusterStatus is written in a way that cannot be read"
            }
            observation.cloud.read(map)
        } else if let config = sections["kubeadm-config"], inventory.cluster.distribution.hasKubeadmConfig,
            KubectlMessage(config.errorText).reason != "NotFound"
        {
            observation.clusterStatusProblem = cause("kubeadm-config")
        }
        if let problem = observation.clusterStatusProblem {
            observation.problems.append("\(host): kubectl get configmap kubeadm-config: \(problem)")
        }
        if let cloud = sections["cloud"], cloud.succeeded { observation.cloud.read(onecloud: cloud.lines) }
        if let calico = sections["calico"], calico.succeeded, !calico.text.isEmpty {
            observation.cloud.autodetection = calico.text
        }
        if let release = sections["onecloud"], release.succeeded {
            observation.onecloudVersion = release.text.isEmpty ? nil : release.text
            if release.text.isEmpty { observation.onecloudProblem = "no OnecloudCluster there has a spec.version" }
        } else if !Self.isAbsent(sections["onecloud"]) {
            // A cluster without that resource is an answer; anything else leaves the release unknown.
            observation.onecloudProblem = cause("onecloud")
            observation.problems.append("\(host): kubectl get onecloudclusters: \(cause("onecloud"))")
        }
        if let runs = sections["runs"], runs.succeeded { observation.runs = RunHead.read(runs.lines) }
        for line in sections["node-passwords"]?.lines ?? [] {
            let words = line.split(separator: " ").map(String.init)
            if words.count == 2 { observation.nodePasswords[words[0]] = words[1] }
        }
        let hasEtcdctl = inventory.cluster.distribution.hasEtcdctl
        do {
            guard let section = sections["members"], section.succeeded else {
                throw ClusterError(
                    .commandFailed, host: host,
                    operation: hasEtcdctl ? "etcdctl member list" : EtcdBeside.membersLabel, cause: cause("members"),
                    advice: "run it on \(host) by hand and look at what it prints")
            }
            // Without etcdctl each member tells its health on its own host.
            observation.members =
                hasEtcdctl
                ? Etcdctl.mark(
                    try Etcdctl.parse(section.output, host: host), healthText: sections["health"]?.text ?? "")
                : try Etcdctl.parse(section.output, host: host, EtcdOutput.peerMembers)
        } catch let error as ClusterError {
            observation.problems.append(error.message)
        }
        if hasEtcdctl {
            observation.etcd = Etcdctl.condition(
                status: sections["etcd-status"], alarms: sections["etcd-alarms"], host: host)
        }
        return observation
    }

    /// `kubectl version --client -o json`.
    private struct ClientVersion: Decodable {
        var clientVersion: Version
        struct Version: Decodable { var gitVersion: String }
    }

    /// The cluster does not have that kind of object: kubectl knows it from the list of kinds, or the API server says it.
    private static func isAbsent(_ section: SectionedScript.Section?) -> Bool {
        guard let message = section.map({ KubectlMessage($0.errorText) }) else { return false }
        return message.reason == "NotFound" || message.cause.contains("have a resource type")
    }
}
