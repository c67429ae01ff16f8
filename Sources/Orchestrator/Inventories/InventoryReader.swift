import Foundation
import SSH
import Yams

extension Inventory {
    /// A megabyte is a thousand times any real inventory; more is a mistake or an attack.
    static let sizeLimit = 1 << 20

    /// Reads an inventory file.
    /// - Throws: ``InventoryError`` with every mistake and its line.
    public static func read(_ file: String) throws -> Inventory {
        try parse(text(of: file), file: file)
    }

    /// An inventory file's text.
    /// - Throws: ``InventoryError``.
    public static func text(of file: String) throws -> String {
        try text(
            of: file,
            advice:
                "name one with -i FILE or MASTERSWAP_INVENTORY, or have one written: masterswap inventory init --host MASTER"
        )
    }

    /// - Throws: ``InventoryError`` where there is no such file, or none that could be meant; with `advice` where it is not there.
    package static func text(of file: String, advice: String) throws -> String {
        let path = (file as NSString).expandingTildeInPath
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            let cause =
                FileManager.default.fileExists(atPath: path) || path.isEmpty
                ? FileProblem.reading(path) : "no such file"
            throw InventoryError(file: file, problems: [.init(line: 0, cause, fix: advice)])
        }
        guard data.count <= sizeLimit else {
            throw InventoryError(
                file: file,
                problems: [.init(line: 0, "is larger than 1 MiB: not such a file", fix: "name another file")])
        }
        guard let text = String(data: data, encoding: .utf8) else {
            throw InventoryError(
                file: file,
                problems: [.init(line: 0, "is not UTF-8 text", fix: "save it as UTF-8, or name another file")])
        }
        return text
    }

    /// The YAML tree of a file; `kind` is what it should have been, for messages.
    /// - Throws: ``InventoryError``.
    package static func compose(_ text: String, file: String, kind: String) throws -> YAMLNode {
        if let line = YAMLGuard.tooDeep(text) {
            throw InventoryError(
                file: file,
                problems: [.init(line: line, "is nested too deeply for \(kind)", fix: "look for a bracket too many")])
        }
        do {
            // Every scalar is read as text and judged by its key: YAML's own guesses ("no" is false) would only harm.
            guard let node = try Yams.compose(yaml: text, .basic) else {
                throw InventoryError(
                    file: file,
                    problems: [
                        .init(line: 0, "the file is empty", fix: "begin with an example: kubeadm.yaml, k3s.yaml")
                    ])
            }
            return node
        } catch let error as YamlError {
            throw InventoryError(file: file, problems: [error.asProblem])
        }
    }

    /// Reads an inventory's text; `file` is for messages only.
    /// - Throws: ``InventoryError``.
    public static func parse(_ text: String, file: String) throws -> Inventory {
        let problems = ProblemList()
        let root = try compose(text, file: file, kind: "an inventory")
        let inventory = StrictMapping(root, path: "inventory", problems: problems)
            .flatMap { InventoryReader(problems: problems).read($0) }
        guard problems.problems.isEmpty, let inventory else {
            throw InventoryError(file: file, problems: problems.problems)
        }
        return inventory
    }
}

/// Turns the YAML tree into an ``Inventory``, strictly.
private struct InventoryReader {
    let problems: ProblemList

    func read(_ root: StrictMapping) -> Inventory? {
        root.allow(["cluster", "ssh", "hosts", "ocboot", "workloads"])
        let cluster = root.required("cluster", meaning: "name, vip, …").flatMap(readCluster)
        let defaults = readSSH(root.value("ssh").flatMap { mapping($0, "ssh") }, defaults: nil)
        let hosts = root.required("hosts", meaning: "the masters and the spare").map { readHosts($0, defaults) } ?? []
        let ocboot = root.value("ocboot").flatMap(readOcboot)
        let workloads = root.value("workloads").map(readWorkloads) ?? []
        guard let cluster else { return nil }
        let inventory = Inventory(cluster: cluster, hosts: hosts, ocboot: ocboot, workloads: workloads)
        InventoryWhole(inventory: inventory, root: root, problems: problems).check()
        return inventory
    }

    private func mapping(_ node: YAMLNode, _ path: String) -> StrictMapping? {
        StrictMapping(node, path: path, problems: problems)
    }

    private func readCluster(_ node: YAMLNode) -> Inventory.Cluster? {
        guard let map = mapping(node, "cluster") else { return nil }
        map.allow(["name", "distribution", "vip", "api_port", "local_storage_classes"])
        let vip = map.requiredString("vip", meaning: "the address that keepalived moves")
        if let vip, let objection = IPv4.objection(to: vip) {
            problems.add(map.value("vip"), "cluster.vip: '\(vip)' \(objection)", fix: IPv4.howToWrite)
        }
        let name = map.requiredString("name", meaning: "how you call this cluster")
        guard let name, let vip else { return nil }
        return Inventory.Cluster(
            name: name,
            distribution: map.choice("distribution", Inventory.Distribution.self) ?? .kubeadm,
            vip: vip,
            apiPort: map.integer("api_port", in: 1...65535) ?? 6443,
            localStorageClasses: map.strings("local_storage_classes") ?? ["local-path"])
    }

    private static let sshKeys = ["user", "port", "identity", "known_hosts", "jump", "become", "algorithms"]

    private func readSSH(_ map: StrictMapping?, defaults: Inventory.SSHSettings?) -> Inventory.SSHSettings {
        var settings = defaults ?? Inventory.SSHSettings(become: .none)
        guard let map else { return settings }
        if defaults == nil { map.allow(Self.sshKeys) }
        if let user = map.string("user") {
            if isLoginName(user) {
                settings.user = user
            } else {
                problems.add(
                    map.value("user"), "\(map.path).user: '\(user)' is no user name",
                    fix:
                        "write a login name: letters, digits, '.', '-', '_', not '-' first; ops@corp.example and 'CORP\\ops' for a directory's users"
                )
            }
        }
        if let port = map.integer("port", in: 1...65535) { settings.port = port }
        if let identity = map.string("identity") { settings.identity = identity }
        if let knownHosts = map.string("known_hosts") { settings.knownHosts = knownHosts }
        if let jump = map.string("jump") { settings.jump = jump }
        if let algorithms = map.choice("algorithms", Endpoint.Algorithms.self) { settings.algorithms = algorithms }
        if let become = map.choice("become", Inventory.SSHSettings.Become.self) { settings.become = become }
        return settings
    }

    private func readHosts(_ node: YAMLNode, _ defaults: Inventory.SSHSettings) -> [Inventory.Host] {
        guard let map = mapping(node, "hosts") else { return [] }
        return map.entries.compactMap { key, value in
            guard let name = key.string, isSafeName(name) else {
                problems.add(
                    key, "hosts: \(key.kindName) is no host name",
                    fix: "write the node's name: letters, digits, '.', '-', '_', not '-' first")
                return nil
            }
            guard name != Placeholder.text else {
                problems.add(
                    key, "hosts: the replacement is still to be filled in",
                    fix: "write its node name and its address, or take the line out until there is a spare machine")
                return nil
            }
            guard let host = mapping(value, "hosts.\(name)") else { return nil }
            host.allow(["address", "role", "node", "fence"] + Self.sshKeys)
            let ssh = readSSH(host, defaults: defaults)
            let role = host.choice("role", Inventory.Role.self)
            if !host.has("role") {
                problems.add(value, "hosts.\(name): 'role' is missing", fix: "add 'role: master' or 'role: spare'")
            }
            guard let address = host.requiredString("address", meaning: "its IPv4 address") else { return nil }
            if let objection = IPv4.objection(to: address) {
                problems.add(
                    host.value("address"), "hosts.\(name).address: '\(address)' \(objection)",
                    fix: IPv4.howToWrite)
            }
            let node = host.string("node")
            if let node, !isNodeName(node) {
                problems.add(
                    host.value("node"), "hosts.\(name).node: '\(node)' is no node's name",
                    fix: "write it as kubectl get nodes shows it: lower-case letters, digits, '.', '-'")
            }
            return Inventory.Host(
                name: name, address: address, role: role ?? .spare, ssh: ssh, node: node,
                fence: FenceCommand.read(host, problems))
        }
    }

    private func readOcboot(_ node: YAMLNode) -> Inventory.Ocboot? {
        guard let map = mapping(node, "ocboot") else { return nil }
        map.allow([
            "directory", "command", "onecloud_version", "image_repository", "host_networks", "database",
            "primary_master_node", "master_nodes",
        ])
        let directory = map.string("directory") ?? "/root/ocboot"
        if !directory.hasPrefix("/") {
            problems.add(
                map.value("directory"), "ocboot.directory: '\(directory)' is no absolute path",
                fix: "write where ocboot is on the masters, beginning with /")
        }
        let command = map.strings("command")
        if let command, !command.contains(where: { $0.contains("{config}") }) {
            problems.add(
                map.value("command"), "ocboot.command: '{config}' is missing",
                fix: "put it where the configuration file's name goes: [./run.py, \"{config}\"]; or leave the key out")
        }
        let networks = map.string("host_networks") ?? "eth0/br0/{address}"
        if networks.replacing("{address}", with: "").contains(where: { $0 == "{" || $0 == "}" }) {
            problems.add(
                map.value("host_networks"),
                "ocboot.host_networks: '\(networks)' has braces around something else than 'address'",
                fix: "write INTERFACE/BRIDGE/{address}, as in the configuration that ocboot had: eth0/br0/{address}")
        }
        let database = map.required("database", meaning: "{ host: …, port: …, user: …, password: … }").flatMap(
            readDatabase)
        let version = map.requiredString("onecloud_version", meaning: "what runs now, for example v3.8.8")
        let repository = map.requiredString("image_repository", meaning: "where images are pulled from")
        guard let version, let repository, let database else { return nil }
        return Inventory.Ocboot(
            directory: directory, command: command, onecloudVersion: version, imageRepository: repository,
            hostNetworks: networks, database: database,
            primaryMasterNode: readFree(map.value("primary_master_node"), "ocboot.primary_master_node"),
            masterNodes: readFree(map.value("master_nodes"), "ocboot.master_nodes"))
    }

    private func readDatabase(_ node: YAMLNode) -> Inventory.Database? {
        guard let map = mapping(node, "ocboot.database") else { return nil }
        map.allow(["host", "port", "user", "password"])
        let password = map.required(
            "password", meaning: Self.secretSources
        )
        .flatMap(readSecretSource)
        let host = map.requiredString("host", meaning: "the database's address")
        if let host, !isSafeName(host) {
            problems.add(
                map.value("host"), "ocboot.database.host: '\(host)' is no host name or address",
                fix: "write the address alone; the port has a key of its own")
        }
        let user = map.requiredString("user", meaning: "the database's user")
        guard let host, let user, let password else { return nil }
        return Inventory.Database(
            host: host, port: map.integer("port", in: 1...65535) ?? 3306, user: user, password: password)
    }

    private static let secretSources = "where it is kept: {env: NAME}, {file: PATH} or {command: [...]}"

    private func readSecretSource(_ node: YAMLNode) -> Inventory.SecretSource? {
        let path = "ocboot.database.password"
        if let text = node.scalar?.string {
            let what =
                text == Placeholder.text ? "is still to be filled in" : "a password must not stand in the inventory"
            problems.add(node, "\(path): \(what)", fix: "say \(Self.secretSources)")
            return nil
        }
        guard let map = mapping(node, path) else { return nil }
        map.allow(["env", "file", "command"])
        let sources: [Inventory.SecretSource] = [
            map.string("env").map { .environment($0) }, map.string("file").map { .file($0) },
            map.strings("command", isShown: false).flatMap { $0.isEmpty ? nil : .command($0) },
        ].compactMap { $0 }
        guard let source = sources.first, sources.count == 1 else {
            problems.add(
                node, "\(path): expected exactly one of env, file, command", fix: "say \(Self.secretSources)")
            return nil
        }
        return source
    }

    private func readWorkloads(_ node: YAMLNode) -> [Inventory.Workload] {
        guard let sequence = node.sequence else {
            problems.add(
                node, "workloads: expected a list, found \(node.kindName)",
                fix: "begin each rule with '- ' on a line of its own")
            return []
        }
        var seen: [String: Int] = [:]
        return sequence.enumerated().compactMap { index, item in
            guard let map = mapping(item, "workloads[\(index)]") else { return nil }
            guard let workload = readWorkload(map) else { return nil }
            let key = "\(workload.namespace)/\(workload.target)"
            if let line = seen[key] {
                problems.add(
                    item, "\(map.path): the same workload has a rule in line \(line) already", fix: "take one out")
            }
            seen[key] = item.mark?.line ?? 0
            return workload
        }
    }

    private func readWorkload(_ map: StrictMapping) -> Inventory.Workload? {
        map.allow(["namespace", "statefulset", "deployment", "claim", "data", "heal", "recreated_by", "action"])
        let targets: [Inventory.Workload.Target] = [
            map.string("statefulset").map { .statefulSet($0) }, map.string("deployment").map { .deployment($0) },
            map.string("claim").map { .claim($0) },
        ].compactMap { $0 }
        let namespace = map.requiredString("namespace", meaning: "where the workload lives")
        guard let target = targets.first, targets.count == 1 else {
            problems.add(
                map.node, "\(map.path): expected exactly one of statefulset, deployment, claim",
                fix: "write one rule for each workload")
            return nil
        }
        guard let namespace else { return nil }
        for name in [namespace, target.name] where !isNodeName(name) {
            problems.add(
                map.node, "\(map.path): '\(name)' is no Kubernetes name", fix: "write it as kubectl get -A shows it")
        }
        guard let rule = readRule(map, target) else { return nil }
        return Inventory.Workload(namespace: namespace, target: target, rule: rule)
    }

    private func readRule(_ map: StrictMapping, _ target: Inventory.Workload.Target) -> Inventory.Workload.Rule? {
        let data = map.choice("data", Inventory.Workload.DataClass.self)
        let heal = map.choice("heal", Inventory.Workload.Heal.self)
        let recreator = map.choice("recreated_by", Inventory.Workload.Recreator.self)
        if let action = map.string("action") {
            if action != "ignore" {
                problems.add(
                    map.value("action"), "\(map.path).action: expected ignore, found '\(action)'",
                    fix: "write 'action: ignore', or 'data: …' in its place")
            }
            for key in ["data", "heal", "recreated_by"] where map.has(key) {
                problems.add(
                    map.value(key), "\(map.path).\(key): has no meaning beside 'action: ignore'", fix: "take it out")
            }
            return .ignore
        }
        if case .claim = target {
            problems.add(
                map.node, "\(map.path): a claim alone can only be left",
                fix: "add 'action: ignore', or name its workload with statefulset or deployment")
            return nil
        }
        if !map.has("data") {
            problems.add(
                map.node, "\(map.path): 'data' is missing",
                fix: "add 'data: critical', 'data: replicated' or 'data: disposable'")
        }
        if case .deployment = target, recreator == nil {
            problems.add(
                map.node,
                "\(map.path): a deployment's claim comes back only if something recreates it",
                fix: "add 'recreated_by: operator' if onecloud-operator does")
        }
        if case .statefulSet = target, recreator != nil {
            problems.add(
                map.value("recreated_by"), "\(map.path).recreated_by: a StatefulSet makes its claims itself",
                fix: "take it out")
        }
        guard let data else { return nil }
        return .rebuild(data, heal: heal, recreatedBy: recreator)
    }

    private func readFree(_ node: YAMLNode?, _ path: String) -> [YAMLEntry] {
        guard let node else { return [] }
        guard let value = readValue(node, path) else { return [] }
        guard case .mapping(let entries) = value else {
            problems.add(
                node, "\(path): expected keys with values, found \(node.kindName)",
                fix: "write 'key: value' lines under it, or {}")
            return []
        }
        return entries
    }

    private func readValue(_ node: YAMLNode, _ path: String) -> YAMLValue? {
        if node.anchor != nil {
            problems.add(node, "\(path): anchors are not supported here", fix: "write the value out")
            return nil
        }
        switch node {
        case .scalar(let scalar):
            return .scalar(scalar.string, quoted: scalar.style != .plain && scalar.style != .any)
        case .sequence(let sequence):
            return .sequence(sequence.compactMap { readValue($0, path) })
        case .mapping(let mapping):
            return .mapping(
                mapping.compactMap { key, value in
                    guard let name = key.string, let value = readValue(value, path) else { return nil }
                    return YAMLEntry(name, value)
                })
        case .alias:
            problems.add(node, "\(path): aliases are not supported here", fix: "write the value out")
            return nil
        }
    }
}
