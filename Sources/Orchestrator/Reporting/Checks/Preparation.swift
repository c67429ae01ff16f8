import Cluster
import Drafting
import Inventories
import Planning
import SSH

/// What an operator can do about some refusals before a master dies: commands to paste on hosts, and lines for the inventory. Nothing
/// is run, and no command overwrites a file, removes one, or restarts anything.
public struct Preparation: Sendable, Hashable {
    public struct Command: Sendable, Codable, Hashable {
        /// Where to paste it, by its inventory name.
        public var host: String
        /// One line for sh.
        public var command: String
        /// What is missing without it.
        public var reason: String

        /// The reason as it may stand in a comment above the command: zsh at a prompt takes a comment for a command, and runs what a host
        /// has put into its words.
        public var comment: String { TerminalText.line(reason).filter { !"`$\\!;&|<>\"'".contains($0) } }
    }

    /// Each once, in the order in which they are run: those that ask or read something come last, as what is pasted after them would be
    /// taken for the answer.
    public var commands: [Command] { quiet + asking }
    private var quiet: [Command] = []
    private var asking: [Command] = []
    /// Items of the inventory's `workloads`.
    public private(set) var inventoryLines: [String] = []

    init() {}

    /// Adds what would answer the refusals of one input.
    mutating func add(_ input: PlanningInput) {
        if let primary = input.primary, let host = input.state.inventory.host(named: primary.host) {
            for failed in ReplacementFits.failedLogins(input) where failed.isDenied {
                addKey(failed, on: host)
            }
            addOcboot(input, primary, on: host)
        }
        addRules(input)
    }

    /// - Parameter asks: it reads from the terminal.
    private mutating func add(
        _ command: String, on host: Inventory.Host, asRoot: Bool = true, asks: Bool = false, _ reason: String
    ) {
        // `~` must be root's home, not the home of the user who becomes root.
        let isElevated = asRoot && host.ssh.become == .sudo
        let line = isElevated ? ShellQuoting.join(["sudo", "-H", "sh", "-c", command]) : command
        let added = Command(host: host.name, command: line, reason: reason)
        guard asks else {
            if !quiet.contains(where: { $0.host == host.name && $0.command == line }) { quiet.append(added) }
            return
        }
        if !asking.contains(added) { asking.append(added) }
    }

    // MARK: Logins

    /// The key that ssh and ocboot use by default. It is named, because ssh-copy-id would copy the keys of a forwarded agent otherwise,
    /// and no agent is there when ocboot runs.
    private static let key = "~/.ssh/id_rsa"

    /// Nothing here accepts a host key: ssh-copy-id asks the operator.
    private mutating func addKey(_ failed: ReplacementFits.FailedLogin, on primary: Inventory.Host) {
        let reason = "no login from \(primary.name) to \(failed.name)"
        let (login, key) = (failed.login, Self.key)
        add("[ -e \(key) ] || ssh-keygen -q -t rsa -b 4096 -N '' -f \(key)", on: primary, reason)
        // ssh-copy-id logs in by a password, where the server takes one. ssh lists the methods in brackets.
        let takesPassword = ["password", "keyboard-interactive"].contains(where: failed.cause.contains)
        guard let machine = failed.machine, !takesPassword, failed.cause.contains("(") else {
            let place = ShellQuoting.quote("\(login.user)@\(failed.machine?.address ?? login.address)")
            return add("ssh-copy-id -i \(key).pub -p \(login.port) \(place)", on: primary, asks: true, reason)
        }
        let show = "cat \(key).pub"
        // The file's last line may lack its newline: an empty line comes first.
        guard machine.name != primary.name else {
            let own = primary.ssh.become == .sudo ? ShellQuoting.join(["sudo", "-H", "sh", "-c", show]) : show
            return add(
                "mkdir -p -m 700 ~/.ssh && (umask 077; { echo; \(own); } >>~/.ssh/authorized_keys)", on: machine,
                asRoot: false, reason)
        }
        add(show, on: primary, reason)
        add(
            "mkdir -p -m 700 ~/.ssh && read -r key && (umask 077; printf '\\n%s\\n' \"$key\" >>~/.ssh/authorized_keys)",
            on: machine, asRoot: false, asks: true,
            "as \(login.user): paste the line that \(primary.name) prints, then Enter; no password is taken there")
    }

    // MARK: ocboot

    private static let repository = "https://github.com/yunionio/ocboot.git"
    /// A virtual environment, so that no Python package of the system is changed.
    private static let environment = "/opt/ocboot-ansible"

    private mutating func addOcboot(_ input: PlanningInput, _ primary: Plan.Master, on host: Inventory.Host) {
        let state = input.state
        guard let ocboot = state.inventory.ocboot else { return }
        do throws(OcbootInvocation.Obstacle) {
            _ = try OcbootMatches.invocation(input, ocboot, on: primary)
        } catch {
            let facts = state.facts(host)?.ocboot
            switch error.remedy {
            case .ocboot?:
                let release = state.cluster.onecloudVersion ?? ocboot.onecloudVersion
                guard let revision = OcbootRelease.revision(for: release, state.inventory.cluster.distribution) else {
                    return
                }
                let directory = ShellQuoting.quote(ocboot.directory)
                // Without a repository of its own there git would take that of a folder above. It overwrites no edited file.
                add(
                    facts == nil
                        ? "git clone --branch \(revision) \(Self.repository) \(directory)"
                        : "cd \(directory) && [ -e .git ] && git fetch \(Self.repository) \(revision) && git checkout --detach FETCH_HEAD",
                    on: host, "ocboot on \(host.name): \(error.reason)")
            case .software(let row)?:
                if let facts { addSoftware(facts, row, on: host, state.facts(host)?.machine.systemID) }
            case nil: break
            }
        }
    }

    private mutating func addSoftware(
        _ facts: OcbootFacts, _ row: OcbootRelease, on host: Inventory.Host, _ system: String?
    ) {
        if facts.ansible.map({ !row.runs(withAnsible: $0) }) ?? true {
            let other = facts.ansible.map { ", but \($0): where ln finds its programs, see first who needs them" } ?? ""
            let reason = "no Ansible \(row.ansibleText) on \(host.name)\(other)"
            let python = "\(Self.environment)/bin/python"
            add("python3 -m venv \(Self.environment)", on: host, reason)
            add("\(python) -m pip install --upgrade pip", on: host, reason)
            add("\(python) -m pip install \(ShellQuoting.quote(row.ansiblePackage))", on: host, reason)
            add("ln -s \(Self.environment)/bin/ansible* /usr/local/bin/", on: host, reason)
        } else if !facts.hasCollections, facts.ansible.map(OcbootRelease.needsCollections) == true {
            add(
                "ansible-galaxy collection install ansible.posix community.general", on: host,
                "no collection ansible.posix on \(host.name)")
        }
        if !facts.hasYAML {
            let isDebian = ["debian", "ubuntu", "uos"].contains(system?.lowercased())
            add(
                isDebian ? "apt-get install -y python3-yaml" : "yum install -y python3-pyyaml", on: host,
                "no PyYAML on \(host.name)")
        }
    }

    // MARK: The inventory

    private mutating func addRules(_ input: PlanningInput) {
        for lost in input.lost where lost.action == .noRule {
            guard let claim = lost.claim else { continue }
            var line: String
            if let known = WorkloadRules.rule(claim, owner: lost.owner) {
                line = "- \(YAMLText.rule(known.workload))"
            } else {
                // Only people know what its data is worth: the claim is left alone.
                let ignored = Inventory.Workload(namespace: claim.namespace, target: .claim(claim.name), rule: .ignore)
                line = "- \(YAMLText.rule(ignored))"
                if let owner = lost.owner {
                    line += "  # \(TerminalText.line(owner)) waits for it until somebody decides"
                }
            }
            if !inventoryLines.contains(line) { inventoryLines.append(line) }
        }
    }
}
