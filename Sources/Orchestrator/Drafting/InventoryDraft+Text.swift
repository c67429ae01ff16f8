package import Inventories
import SSH

extension InventoryDraft {
    /// The file, commented for those who go on with it. Each gap is marked, and `inventory check` names its line.
    public var text: String {
        let gap = Placeholder.text
        return """
            # An inventory for masterswap, made from \(comment(origin)).
            # What could not be known is marked \(gap); this names those lines:  masterswap inventory check -i FILE
            \(remarks.map { "# NOTE: \(comment($0))\n" }.joined())
            cluster:
              name: \(YAMLText.scalar(name))  # how you call this cluster
              distribution: \(distribution?.rawValue ?? gap)  # how the masters were made: kubeadm or k3s
              vip: \(vip.map(YAMLText.scalar) ?? gap)  # the address that keepalived moves between the masters
              api_port: \(apiPort)
              local_storage_classes: \(YAMLText.list(localStorageClasses))  # volumes of these live and die with one node's disk

            # For every host; each host below may set any of these keys for itself. What is left out comes from your ssh_config.
            ssh:
            \(lines(sshEntries, indent: 2))

            # The names are yours to choose: a host is matched with its node by its addresses. Which master is the primary is not
            # written down: the cluster knows.
            hosts:
            \(hostLines)

            # How a new master is joined: ocboot, on the primary master. Its release must be the one that runs.
            ocboot:
            \(ocbootLines)

            # What may be rebuilt when its volume is lost with a node. A lost claim that nothing here names is refused, not guessed.
            \(workloadLines)

            """
    }

    private func comment(_ text: String) -> String {
        String(
            text.map { $0.isNewline ? " " : $0 }.filter {
                !($0.unicodeScalars.first?.properties.generalCategory == .control)
            })
    }

    private func lines(_ entries: [(key: String, value: String)], indent: Int) -> String {
        entries.map { String(repeating: " ", count: indent) + "\($0.key): \($0.value)" }.joined(separator: "\n")
    }

    private var sshEntries: [(key: String, value: String)] {
        entries(ssh, beside: nil) + [("become", ssh.become.rawValue)]
    }

    /// The settings that are not those of the defaults.
    private func entries(_ settings: Inventory.SSHSettings, beside defaults: Inventory.SSHSettings?) -> [(
        key: String, value: String
    )] {
        var entries: [(key: String, value: String)] = []
        func add(_ key: String, _ value: String?, _ standard: String?) {
            if let value, value != standard { entries.append((key, value)) }
        }
        add("user", settings.user.map(YAMLText.scalar), defaults?.user.map(YAMLText.scalar))
        add("port", settings.port.map(String.init), defaults?.port.map(String.init))
        add("identity", settings.identity.map(YAMLText.scalar), defaults?.identity.map(YAMLText.scalar))
        add("known_hosts", settings.knownHosts.map(YAMLText.scalar), defaults?.knownHosts.map(YAMLText.scalar))
        add("jump", settings.jump.map(YAMLText.scalar), defaults?.jump.map(YAMLText.scalar))
        add("algorithms", settings.algorithms?.rawValue, defaults?.algorithms?.rawValue)
        if let defaults { add("become", settings.become.rawValue, defaults.become.rawValue) }
        return entries
    }

    private var hostLines: String {
        var lines = hosts.map { host in
            let fields =
                [("address", YAMLText.scalar(host.address)), ("role", host.role.rawValue)]
                + entries(host.ssh, beside: ssh)
            return "  \(YAMLText.scalar(host.name)): { \(fields.map { "\($0.0): \($0.1)" }.joined(separator: ", ")) }"
        }
        if !hosts.contains(where: { $0.role == .spare }) {
            lines += [
                "  # The machine that takes a dead master's place: bare, with SSH. Its host name will be the new node's name.",
                "  \(Placeholder.text): { address: \(Placeholder.text), role: spare }",
            ]
        }
        return lines.joined(separator: "\n")
    }

    private var ocbootLines: String {
        func text(_ value: String?) -> String { value.map(YAMLText.scalar) ?? Placeholder.text }
        // What is left out is derived from the release that stands there.
        let command =
            ocboot.command.map {
                "\n  command: \(YAMLText.list($0))  # {config}: the name of the configuration file that masterswap writes there"
            } ?? ""
        let port = ocboot.databasePort ?? 3306
        return """
              directory: \(YAMLText.scalar(ocboot.directory ?? Self.directory))\(command)
              onecloud_version: \(text(ocboot.onecloudVersion))
              image_repository: \(text(ocboot.imageRepository))
              host_networks: \(YAMLText.scalar(ocboot.hostNetworks ?? Self.hostNetworks))  # {address}: each host's own
              database:
                host: \(text(ocboot.databaseHost))
                port: \(port)
                user: \(text(ocboot.databaseUser))
                # Where the password is kept, never the password: { env: NAME }, { file: PATH } or { command: [PROGRAM, ...] }.
                # The cluster has it, too: kubectl get onecloudcluster -n onecloud -o jsonpath='{.items[0].spec.mysql.password}'
                password: \(ocboot.databasePassword.map(source) ?? Placeholder.text)
              # Further keys for the two sections of ocboot's configuration, as ocboot knows them.
              primary_master_node: \(YAMLText.value(.mapping(ocboot.primaryMasterNode)))
              master_nodes: \(YAMLText.value(.mapping(ocboot.masterNodes)))
            """
    }

    private func source(_ source: Inventory.SecretSource) -> String {
        switch source {
        case .environment(let name): "{ env: \(YAMLText.scalar(name)) }"
        case .file(let path): "{ file: \(YAMLText.scalar(path)) }"
        case .command(let command): "{ command: \(YAMLText.list(command)) }"
        }
    }

    private var workloadLines: String {
        var lines = [rules.isEmpty ? "workloads: []" : "workloads:"]
        var reason: String?
        for rule in rules {
            if rule.reason != reason { lines.append("  # \(comment(rule.reason))") }
            reason = rule.reason
            lines.append("  - \(YAMLText.rule(rule.workload))")
        }
        if !undecided.isEmpty {
            lines.append("  # No rule is known for these: decide, take the # away and add the rule to the list.")
            lines.append("  #   data: critical, replicated or disposable; for a deployment also recreated_by: operator")
        }
        for item in undecided {
            let parts = item.owner.split(separator: "/", maxSplits: 1).map(String.init)
            let target = parts.count == 2 && parts[0] == "statefulset" || parts[0] == "deployment"
            let rule =
                target
                ? "\(parts[0]): \(YAMLText.scalar(parts[1])), data: \(Placeholder.text)"
                : "claim: \(YAMLText.scalar(item.claims[0])), action: ignore"
            lines.append(
                "  # - { namespace: \(YAMLText.scalar(item.namespace)), \(rule) }  # \(comment(item.claims.joined(separator: ", ")))"
            )
        }
        return lines.joined(separator: "\n")
    }
}

extension YAMLText {
    /// A rule of the inventory's `workloads`, in flow style.
    package static func rule(_ workload: Inventory.Workload) -> String {
        var fields = ["namespace: \(scalar(workload.namespace))"]
        switch workload.target {
        case .statefulSet(let name): fields.append("statefulset: \(scalar(name))")
        case .deployment(let name): fields.append("deployment: \(scalar(name))")
        case .claim(let name): fields.append("claim: \(scalar(name))")
        }
        switch workload.rule {
        case .ignore: fields.append("action: ignore")
        case .rebuild(let data, let heal, let recreator):
            fields.append("data: \(data.rawValue)")
            if let heal { fields.append("heal: \(heal.rawValue)") }
            if let recreator { fields.append("recreated_by: \(recreator.rawValue)") }
        }
        return "{ \(fields.joined(separator: ", ")) }"
    }
}
