package import Cluster
package import Inventories

/// How ocboot is run for a join: its words and its environment, of what is there on the primary; or why it cannot be.
///
/// All that it does to the cloud is skipped: it would set the administrator's password to its public default, and write its own
/// defaults over the OnecloudCluster. From 3.9 on by SKIP_TAGS; 3.8, which has no tags, leaves the users alone with `use_ee: true`.
public struct OcbootInvocation: Sendable, Hashable, Codable {
    /// As it is told to people: `3.8`, `3.11 with k3s`.
    public var release: String
    /// `{config}` stands for the configuration file's name in ocboot's directory.
    public var command: [String]
    /// `NAME=VALUE`.
    public var environment: [String]
    /// The configuration has `use_ee: true`.
    public var leavesUsersByEdition: Bool
    /// What it does to hosts of the cluster nevertheless.
    public var effects: [String]
    /// Files that it leaves with passwords in them, absolute or beneath its directory.
    public var leftovers: [String]
    /// The new host may be restarted by it.
    public var restartsNewHost: Bool
    /// Files of the survivors that some release writes: kept before the join, and compared after it.
    public var watched: [String]

    /// A missing hugepages setting made ocboot restart masters (cloudpods#19281).
    private static let usualEnvironment = ["NO_REBOOT=1", "PYTHONUNBUFFERED=1"]
    /// Plays of its playbook beside the join, by their tags: the OnecloudCluster and its users, restarts, kernels, drivers of GPUs on
    /// every host that it names.
    private static let skippedTags = ["cloud", "reboot", "kernel", "gpu"]

    /// The stack that run.py wants, by the OnecloudCluster's productVersion.
    static let stacks = ["FullStack": "full", "CMP": "cmp", "Edge": "virt", "LightEdge": "light-virt", "AI": "ai"]

    /// The same in 3.9.
    private static let optionalStacks = ["FullStack": "fullstack", "CMP": "cmp", "Edge": "edge"]

    /// Why ocboot is not run, and what to do.
    package struct Obstacle: Error, Sendable, Hashable {
        /// What removes it, where commands can.
        package enum Remedy: Sendable, Hashable {
            /// Another ocboot in the directory.
            case ocboot
            /// Ansible, its collections or PyYAML, as this release needs them.
            case software(OcbootRelease)
        }

        package var reason: String
        package var advice: String
        package var remedy: Remedy?
    }

    /// - Parameters:
    ///   - facts: of ocboot's directory on the primary.
    ///   - product: the OnecloudCluster's productVersion; `nil` where it has none or it is not known.
    /// - Throws: ``Obstacle``.
    package init(
        _ ocboot: Inventory.Ocboot, _ facts: OcbootFacts, distribution: Inventory.Distribution, product: String?
    ) throws(Obstacle) {
        let row = try Self.row(ocboot, facts)
        release = row.name
        try Self.checkKind(row, facts, distribution, ocboot)
        if let own = ocboot.command {
            command = try Self.check(own, facts, row)
        } else {
            command = try Self.derive(facts, distribution, product)
        }
        leavesUsersByEdition = !facts.takesTags
        environment = Self.usualEnvironment
        if facts.takesTags {
            environment.append("SKIP_TAGS=" + Self.skippedTags.joined(separator: ","))
        } else if row.hasTags {
            throw Obstacle(
                reason:
                    "it does not pass SKIP_TAGS on to Ansible, as releases from 3.9 on do: it would set the web administrator's password to its public default",
                advice: "put an unchanged ocboot of release \(ocboot.onecloudVersion) into \(ocboot.directory)",
                remedy: .ocboot)
        }
        effects = row.effects[distribution] ?? []
        leftovers = row.leftovers
        restartsNewHost = row.restartsNewHost
        watched = [distribution.keepalivedManifest, "/etc/yunion/host.conf"] + Self.watched(distribution)
    }

    /// The row of what stands in its directory, which must be the one of the inventory's release.
    private static func row(_ ocboot: Inventory.Ocboot, _ facts: OcbootFacts) throws(Obstacle) -> OcbootRelease {
        guard facts.hasProgram else {
            throw Obstacle(
                reason: "there is no \(ocboot.command?.first ?? "run.py") in \(ocboot.directory)",
                advice: "put the ocboot of release \(ocboot.onecloudVersion) there, or set ocboot.directory",
                remedy: .ocboot)
        }
        guard let version = facts.release else {
            throw Obstacle(
                reason: "\(ocboot.directory)/VERSION is not there or empty, so that its release is not known",
                advice: "put an unchanged ocboot of release \(ocboot.onecloudVersion) there", remedy: .ocboot)
        }
        guard let row = OcbootRelease.find(version, hasK3s: facts.hasK3s) else {
            throw Obstacle(
                reason: "its release \(version)\(facts.hasK3s ? " with k3s" : "") is none that this program knows",
                advice:
                    "known are \(Array(uniqued: OcbootRelease.all.map(\.name)).joined(separator: ", ")); put one of them into \(ocboot.directory)",
                remedy: .ocboot)
        }
        let running = ocboot.onecloudVersion
        // A branch's VERSION lags behind it: 3.12 says v3.11.8, 4.0.1 says v3.11.10.
        let rows = [false, true].compactMap { OcbootRelease.find(running, hasK3s: $0) }
        guard rows.isEmpty || rows.contains(row) || (row.hasK3s && rows.contains(where: \.hasK3s)) else {
            throw Obstacle(
                reason: "it is of release \(version), and the inventory says that the cloud runs \(running)",
                advice: "put the ocboot of release \(running) into \(ocboot.directory)", remedy: .ocboot)
        }
        return row
    }

    /// Those that can be put back after the join: what stood there is what the survivor runs with, and nothing reads them before its
    /// service, or the host, is started again. Static pods' manifests are none of them: the kubelet acts on them at once.
    package var restorable: [String] { watched.filter(Self.readAtStart.contains) }

    private static let readAtStart: Set<String> = [
        "/etc/docker/daemon.json", "/etc/sysconfig/kubelet", "/etc/default/grub", "/etc/selinux/config",
        "/etc/yunion/host.conf", "/etc/rancher/k3s/config.yaml", "/etc/systemd/system/k3s.service.env",
    ]

    private static func watched(_ distribution: Inventory.Distribution) -> [String] {
        switch distribution {
        case .kubeadm:
            [
                distribution.apiServerManifest, "/etc/docker/daemon.json", "/etc/sysconfig/kubelet",
                "/etc/default/grub",
                "/etc/selinux/config",
            ]
        case .k3s:
            [
                "/etc/rancher/k3s/config.yaml", "/etc/systemd/system/k3s.service",
                "/etc/systemd/system/k3s.service.env", "/etc/selinux/config",
            ]
                + ["calico.yaml", "traefik-config.yaml", "traefik-ds.yaml"].map {
                    "/var/lib/rancher/k3s/server/manifests/\($0)"
                }
        }
    }

    private static func checkKind(
        _ row: OcbootRelease, _ facts: OcbootFacts, _ distribution: Inventory.Distribution, _ ocboot: Inventory.Ocboot
    ) throws(Obstacle) {
        switch distribution {
        case .k3s where !row.hasK3s:
            throw Obstacle(
                reason: "it makes kubeadm clusters only, and this one is k3s",
                advice:
                    "put an ocboot with roles for k3s into \(ocboot.directory): a tag master-v3.11.8 or newer, or 4.0",
                remedy: .ocboot)
        case .kubeadm where row.hasK3s && !facts.takesK8sV115:
            throw Obstacle(
                reason: "it would set up k3s on the masters of a kubeadm cluster",
                advice: "put the ocboot that this cluster was made with into \(ocboot.directory)", remedy: .ocboot)
        case .k3s, .kubeadm: break
        }
        if let problem = facts.startProblem {
            throw Obstacle(
                reason: "run.py -h ends with an error: \(problem)",
                advice: "see there that this works: python3 run.py -h")
        }
        guard let ansible = facts.ansible else {
            throw Obstacle(
                reason: "there is no ansible-playbook",
                advice: "install Ansible \(row.ansibleText) there, with its collections", remedy: .software(row))
        }
        guard row.runs(withAnsible: ansible) else {
            throw Obstacle(
                reason: "its roles do not run with Ansible \(ansible)",
                advice: "install Ansible \(row.ansibleText) there", remedy: .software(row))
        }
        if OcbootRelease.needsCollections(ansible), !facts.hasCollections {
            throw Obstacle(
                reason: "Ansible \(ansible) has no collection ansible.posix, which its roles use",
                advice:
                    "install the collections there: ansible-galaxy collection install ansible.posix community.general",
                remedy: .software(row))
        }
        guard facts.hasYAML else {
            throw Obstacle(
                reason: "python3 has no module yaml", advice: "install PyYAML there: python3-pyyaml or python3-yaml",
                remedy: .software(row))
        }
    }

    // MARK: The command

    private static func derive(
        _ facts: OcbootFacts, _ distribution: Inventory.Distribution, _ product: String?
    ) throws(Obstacle) -> [String] {
        switch facts.commandLine {
        case nil:
            throw Obstacle(
                reason: "its command line cannot be read from run.py", advice: "set ocboot.command in the inventory")
        case .configuration?: return ["./run.py", "{config}"]
        case .optionalStack?:
            // Without it 3.9 writes FullStack over the product in the configuration.
            guard let product else { return ["./run.py", "{config}"] }
            guard let stack = Self.optionalStacks[product] else {
                throw Obstacle(
                    reason:
                        "the cloud's product is \(product), and run.py takes \(Self.optionalStacks.values.sorted().joined(separator: ", "))",
                    advice: "put the ocboot that this cloud was made with there")
            }
            return ["./run.py", "{config}", "--stack", stack]
        case .stack(let stacks)?:
            guard let product else {
                throw Obstacle(
                    reason:
                        "run.py wants a stack (\(stacks.joined(separator: ", "))), and the OnecloudCluster has no productVersion",
                    advice: "set ocboot.command in the inventory: [./run.py, STACK, \"{config}\"]")
            }
            guard let stack = Self.stacks[product], stacks.contains(stack) else {
                throw Obstacle(
                    reason: "the cloud's product is \(product), and run.py takes \(stacks.joined(separator: ", "))",
                    advice: "put the ocboot that this cloud was made with there")
            }
            let flag = facts.takesK8sV115 && distribution == .kubeadm ? ["--k8s-v115"] : []
            return ["./run.py", stack, "{config}"] + flag
        }
    }

    /// The inventory's own command.
    private static func check(_ command: [String], _ facts: OcbootFacts, _ row: OcbootRelease) throws(Obstacle)
        -> [String]
    {
        // Its environment stays outside of the container, SKIP_TAGS with it (ocboot.sh passes ANSIBLE_VERBOSITY and HOME).
        guard !command.contains(where: { $0.hasSuffix("ocboot.sh") }) else {
            throw Obstacle(
                reason:
                    "ocboot.sh runs in a container that SKIP_TAGS does not reach: it would set the web administrator's password to its public default",
                advice:
                    "install Ansible \(row.ansibleText) on the primary, and leave ocboot.command out of the inventory")
        }
        guard case .stack(let stacks)? = facts.commandLine else { return command }
        guard command.contains(where: stacks.contains) else {
            throw Obstacle(
                reason: "ocboot.command has no stack, and run.py wants one: \(stacks.joined(separator: ", "))",
                advice: "leave ocboot.command out of the inventory, or write the stack before \"{config}\"")
        }
        return command
    }
}
