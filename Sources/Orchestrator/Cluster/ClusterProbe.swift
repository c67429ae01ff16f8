public import SSH

/// One script on one master that reads all that the cluster itself can say.
public struct ClusterProbe: Sendable {
    let inventory: Inventory
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
        let result = try await remote.run(script.command(label: Self.operation, timeout: .seconds(60)))
        let sections = try script.parse(result, host: host.name, operation: Self.operation)
        return try observation(sections, host: host.name, errors: result.errorText)
    }

    func script(_ host: Inventory.Host) -> SectionedScript {
        let cluster = inventory.cluster
        let local = Kubectl.prefix(
            cluster.distribution, apiServer: "\(IPAddress.inURL(apiAddress ?? host.address)):\(cluster.apiPort)")
        let kubectl = ShellQuoting.join(local)
        let onVIP = ShellQuoting.join(
            cluster.distribution.kubectl + ["--server", "https://\(cluster.vip):\(cluster.apiPort)"])
        var script = SectionedScript()
        script.neededSection("objects", "\(kubectl) --request-timeout=30s get \(KubernetesObjects.kinds) -A -o json")
        script.section(
            "kubeadm-config", "\(kubectl) --request-timeout=10s get configmap kubeadm-config -n kube-system -o json")
        script.section("vip", "\(onVIP) --request-timeout=2s get --raw /healthz")
        // A cluster without that resource is an answer; an API server that does not answer is none.
        script.section(
            "onecloud",
            """
            release() { \(kubectl) --request-timeout=10s get onecloudclusters.onecloud.yunion.io -n onecloud -o jsonpath='{.items[*].spec.version}'; }
            answer=$(release 2>/dev/null) && { printf '%s' "$answer"; exit 0; }
            answer=$(release 2>&1) && { printf '%s' "$answer"; exit 0; }
            case $answer in *'have a resource type'*) exit 0 ;; esac
            printf '%s' "$answer"; exit 1
            """)
        script.section("version", "\(kubectl) version --client -o json")
        // The static pod is named after the node. The node is found by the address; where that is none of a node's, by the name
        // that this host's kubelet goes by.
        let find = """
            node=$(\(kubectl) --request-timeout=10s get nodes -o jsonpath='{range .items[*]}{.metadata.name}{" "}{.status.addresses[?(@.type=="InternalIP")].address}{"\\n"}{end}' | awk -v address=\(host.address) '{ for (i = 2; i <= NF; i++) if ($i == address) { print $1; exit } }')
            [ -n "$node" ] || node=$(\(HostProbe.kubeletNode(cluster.distribution)))
            [ -n "$node" ] || node=$(uname -n | tr '[:upper:]' '[:lower:]')
            """
        let etcdctl = etcdctl(kubectl)
        script.section("members", "\(find)\n\(etcdctl) member list -w json")
        script.section("health", "\(find)\n\(etcdctl) \(Etcdctl.healthArguments.joined(separator: " ")) 2>&1")
        for (name, arguments) in [("etcd-status", Etcdctl.statusArguments), ("etcd-alarms", Etcdctl.alarmArguments)] {
            script.section(name, "\(find)\n\(Etcdctl.question(arguments, kubectl, cluster.distribution))")
        }
        return script
    }

    private func etcdctl(_ kubectl: String) -> String {
        let credentials = inventory.cluster.distribution.etcdCredentials
        let options =
            "--endpoints=https://127.0.0.1:2379 --cacert=\(credentials.authority) --cert=\(credentials.certificate) --key=\(credentials.key)"
        switch inventory.cluster.distribution {
        case .kubeadm:
            // etcd 3.3 needs the variable, and its image has a shell; newer images may have none. A dead member makes `health` end
            // with 1, which is an answer.
            return """
                direct() { \(kubectl) exec -n kube-system "etcd-$node" -- etcdctl \(options) "$@"; }
                by_shell() { \(kubectl) exec -n kube-system "etcd-$node" -- sh -c 'ETCDCTL_API=3 exec etcdctl "$@"' sh \(options) "$@"; }
                ask() {
                    answer=$(direct "$@" 2>&1) && { printf '%s' "$answer"; return 0; }
                    case $answer in *healthy*) printf '%s' "$answer"; return 0;; esac
                    by_shell "$@"
                }
                ask
                """
        case .k3s:
            return "ETCDCTL_API=3 etcdctl \(options)"
        }
    }

    func observation(
        _ sections: [String: SectionedScript.Section], host: String, errors: String
    ) throws -> ClusterObservation {
        guard let objects = sections["objects"], objects.succeeded else {
            throw ClusterError(
                .commandFailed, host: host, operation: "kubectl get \(KubernetesObjects.kinds)",
                cause: errors.lastLines(2),
                advice: "the API server beside this master does not answer; look at its kubelet and its containers")
        }
        var observation = ClusterObservation(source: host)
        observation.objects = try Kubectl.decode(
            KubernetesObjects.self, from: objects.output, host: host,
            operation: "kubectl get \(KubernetesObjects.kinds)")
        observation.apiAnswersOnVIP = sections["vip"]?.succeeded == true
        if let config = sections["kubeadm-config"], config.succeeded {
            let map = try Kubectl.decode(
                ConfigMap.self, from: config.output, host: host, operation: "kubectl get configmap kubeadm-config")
            observation.clusterStatus = ClusterStatus(map)
        }
        if let version = sections["onecloud"], !version.succeeded {
            observation.onecloudProblem = version.text.lastLines(2)
            observation.problems.append("\(host): kubectl get onecloudclusters: \(version.text.lastLines(2))")
        } else if let version = sections["onecloud"], !version.text.isEmpty {
            observation.onecloudVersion = version.text
        }
        if let section = sections["members"], section.succeeded,
            let members = try? Etcdctl.parse(section.output, host: host)
        {
            observation.members = Etcdctl.mark(members, healthText: sections["health"]?.text ?? "")
        } else {
            observation.problems.append("\(host): etcdctl member list: \(errors.lastLines(2))")
        }
        observation.etcd = Etcdctl.condition(
            status: sections["etcd-status"], alarms: sections["etcd-alarms"], host: host)
        return observation
    }
}
