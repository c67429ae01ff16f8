import Cluster
public import Inventories
public import SSH

/// Learns an inventory from a live cluster, by way of one master that is well; read-only.
public struct ClusterSurvey: Sendable {
    /// How the first master is reached: a name or address that the user's ssh_config may say more about.
    public struct Seed: Sendable {
        public var host: String
        public var user: String?
        public var become: Inventory.SSHSettings.Become

        public init(host: String, user: String? = nil, become: Inventory.SSHSettings.Become = .none) {
            self.host = host
            self.user = user
            self.become = become
        }
    }

    private let seed: Seed
    private let sudoPassword: Secret?
    private let connect: @Sendable (Endpoint) -> any Remote
    private let configurations = UserConfigurations()

    public init(_ seed: Seed, sudoPassword: Secret? = nil, connect: @escaping @Sendable (Endpoint) -> any Remote) {
        self.seed = seed
        self.sudoPassword = sudoPassword
        self.connect = connect
    }

    /// - Throws: `SSHError` where the seed cannot be reached; ``ClusterError`` where it is no master, or its API server gives
    ///   nothing. What other masters do not tell is a remark in the draft.
    public func run() async throws -> InventoryDraft {
        let way = try await EndpointDraft(
            name: seed.host, host: seed.host, user: seed.user,
            become: seed.become == .sudo ? .sudo(password: sudoPassword) : .none
        ).resolve(configurations)
        let facts = try await MasterSurvey.run(on: connect(way))
        var draft = InventoryDraft(
            origin: "the cluster, by way of \(seed.host)", distribution: facts.distribution,
            ssh: Inventory.SSHSettings(way, become: seed.become))
        draft.use(facts)
        let cluster = try await read(draft, by: way, at: facts.advertisedAddress)
        draft.use(cluster.objects, storageClasses: facts.storageClasses)
        guard draft.hosts.contains(where: { facts.addresses.contains($0.address) }) else {
            throw ClusterError(
                .changed, host: seed.host, operation: "find it among the masters",
                cause: "the cluster's masters are \(draft.hosts.map(\.address).joined(separator: ", "))",
                advice: "name one of those: masterswap inventory init --host \(draft.hosts.first?.address ?? "MASTER")")
        }
        draft.use(await look(at: draft, seed: facts))
        let state = ClusterState(inventory: draft.provisional, hosts: [:], cluster: cluster)
        (draft.rules, draft.undecided) = WorkloadRules.suggest(state, localClasses: draft.localStorageClasses)
        return draft
    }

    private func read(_ draft: InventoryDraft, by way: Endpoint, at address: String?) async throws -> ClusterObservation
    {
        let host = Inventory.Host(name: seed.host, address: address ?? way.host, role: .master, ssh: draft.ssh)
        return try await ClusterProbe(draft.provisional).run(on: connect(way), host: host)
    }

    /// Every master with what it said; those that said nothing have a remark.
    private func look(at draft: InventoryDraft, seed: MasterSurvey) async -> [SurveyedMaster] {
        await withTaskGroup(of: SurveyedMaster.self) { group in
            for host in draft.hosts {
                group.addTask {
                    if seed.addresses.contains(host.address) { return .init(host: host, facts: seed, remark: nil) }
                    let own = await settings(of: host, draft.ssh)
                    var alone = draft.provisional
                    alone.hosts = [own]
                    do {
                        guard
                            let endpoint = try await alone.endpoints(
                                sudoPassword: sudoPassword, configurations: configurations)[host.name]?.get()
                        else { return .init(host: own, facts: nil, remark: nil) }
                        return .init(host: own, facts: try await MasterSurvey.run(on: connect(endpoint)), remark: nil)
                    } catch {
                        return .init(host: own, facts: nil, remark: "Not looked at: \(error)")
                    }
                }
            }
            var masters: [SurveyedMaster] = []
            for await master in group { masters.append(master) }
            return masters
        }
    }

    /// The defaults, but for what ssh_config says of the host under its own name.
    private func settings(of host: Inventory.Host, _ defaults: Inventory.SSHSettings) async -> Inventory.Host {
        let draft = EndpointDraft(name: host.name, host: host.name, user: seed.user)
        guard let way = try? await draft.resolve(configurations), way.host == host.address else { return host }
        var host = host
        host.ssh = Inventory.SSHSettings(way, become: defaults.become)
        return host
    }
}

struct SurveyedMaster: Sendable {
    var host: Inventory.Host
    var facts: MasterSurvey?
    var remark: String?
}

extension Inventory.SSHSettings {
    /// An endpoint as an inventory would have it; what OpenSSH would do anyway is left out.
    package init(_ way: Endpoint, become: Become) {
        self.init(become: become)
        user = way.user
        port = way.port == 22 ? nil : way.port
        identity = way.identities.count == 1 ? way.identities[0] : nil
        knownHosts = way.knownHosts.first.flatMap { $0.hasSuffix("/.ssh/known_hosts") ? nil : $0 }
        // Of several hops none is written: they come from ssh_config for as long as it matches the address.
        jump = way.jumps.count == 1 ? "\(way.jumps[0].user)@\(way.jumps[0].host):\(way.jumps[0].port)" : nil
    }
}

extension InventoryDraft {
    /// What reading the cluster takes of an inventory; the VIP may still be missing.
    var provisional: Inventory {
        Inventory(
            cluster: .init(
                name: name, distribution: distribution ?? .kubeadm, vip: vip ?? "0.0.0.0", apiPort: apiPort,
                localStorageClasses: localStorageClasses),
            hosts: hosts, ocboot: nil, workloads: [])
    }

    /// What the first master says of the whole cluster.
    mutating func use(_ facts: MasterSurvey) {
        vip = facts.manifest?.virtualIPs.first ?? facts.loadBalancer
        if let port = facts.apiPort { apiPort = port }
        ocboot.onecloudVersion = facts.onecloud["version"]
        ocboot.imageRepository = facts.onecloud["repository"]
        ocboot.databaseHost = facts.onecloud["db-host"]
        ocboot.databasePort = facts.onecloud["db-port"].flatMap(Int.init)
        ocboot.databaseUser = facts.onecloud["db-user"]
    }

    mutating func use(_ objects: KubernetesObjects, storageClasses: [String: String]) {
        let nodes = objects.nodes.filter(\.isControlPlane)
        hosts = nodes.sorted {
            ($0.metadata.creationTimestamp ?? "", $0.name) < ($1.metadata.creationTimestamp ?? "", $1.name)
        }
        .compactMap { node in
            node.address(preferring: nil).map { Inventory.Host(name: node.name, address: $0, role: .master, ssh: ssh) }
        }
        // kubectl's server is a master itself where there is no VIP.
        if hosts.contains(where: { $0.address == vip }) { vip = nil }
        name = Self.commonName(hosts.map(\.name))
        let byProvisioner = storageClasses.filter { Self.isLocal(provisioner: $0.value) }.keys
        let byVolume = objects.volumes.filter { $0.spec.nodeAffinity != nil }.compactMap(\.spec.storageClassName)
        let classes = Set(byProvisioner).union(byVolume).sorted()
        if !classes.isEmpty { localStorageClasses = classes }
    }

    /// Every master's word: the primary's counts first.
    mutating func use(_ masters: [SurveyedMaster]) {
        for index in hosts.indices {
            guard let master = masters.first(where: { $0.host.name == hosts[index].name }) else { continue }
            hosts[index] = master.host
            if let remark = master.remark { remarks.append(remark) }
        }
        let ordered = hosts.compactMap { host in masters.first { $0.host.name == host.name }?.facts }
        let facts = ordered.filter { $0.manifest?.state == .master } + ordered.filter { $0.manifest?.state != .master }
        if vip == nil { vip = facts.lazy.compactMap { $0.manifest?.virtualIPs.first }.first }
        ocboot.directory = facts.lazy.compactMap(\.ocbootDirectory).first
        if ocboot.directory == nil {
            remarks.append(
                "No ocboot was found on the masters: put the release that runs there, and name its directory.")
        }
        if let file = facts.lazy.compactMap(\.ocbootFile).first {
            let live = ocboot
            ocboot = file.settings
            ocboot.directory = live.directory
            // What the cluster says is what runs; the file may be of an older release.
            ocboot.onecloudVersion = live.onecloudVersion ?? ocboot.onecloudVersion
            ocboot.imageRepository = live.imageRepository ?? ocboot.imageRepository
            ocboot.databaseHost = live.databaseHost ?? ocboot.databaseHost
            ocboot.databasePort = live.databasePort ?? ocboot.databasePort
            ocboot.databaseUser = live.databaseUser ?? ocboot.databaseUser
            addRemarks(on: file)
        } else if let interface = facts.lazy.compactMap({ $0.manifest?.interface }).first(where: {
            !$0.isEmpty && $0 != "br0"
        }) {
            ocboot.hostNetworks = "\(interface)/br0/{address}"
        }
    }

    private static func isLocal(provisioner: String) -> Bool {
        ["local-path", "no-provisioner", "hostpath", "host-path", "openebs.io/local"].contains {
            provisioner.contains($0)
        }
    }

    /// What the masters' names begin with, without a number at the end: `ha-test` of `ha-test`, `ha-test-2`, `ha-test-3`.
    static func commonName(_ names: [String]) -> String {
        guard var prefix = names.first else { return "cluster" }
        for name in names.dropFirst() { prefix = String(zip(prefix, name).prefix { $0 == $1 }.map(\.0)) }
        while let last = prefix.last, !last.isLetter { prefix.removeLast() }
        return prefix.isEmpty || !isSafeName(prefix) ? "cluster" : prefix
    }
}
