package import Foundation
public import Inventories
public import SSH

/// The one script that is run on every host, and how its output is read.
public struct HostProbe: Sendable {
    package let distribution: Inventory.Distribution
    /// `(host, port)` pairs that the host shall try to reach.
    package let targets: [(host: String, port: Int)]
    /// Where it shall try to log in by SSH.
    package let logins: [OcbootLogin]
    /// Hosts that it shall look at.
    package let peers: [PeerView.Peer]
    package let ocboot: Inventory.Ocboot?
    /// It is one of the cluster's: there is what runs and what people left.
    let isInCluster: Bool

    /// The questions for one host: what a spare must reach, what a master needs for running ocboot, what it sees of the others.
    /// - Parameter looksAtPeers: a peer that does not answer takes three seconds.
    public init(_ inventory: Inventory, for host: Inventory.Host, looksAtPeers: Bool = true) {
        distribution = inventory.cluster.distribution
        let isSpare = host.role == .spare
        var targets: [(host: String, port: Int)] = []
        if isSpare {
            targets.append((inventory.cluster.vip, inventory.cluster.apiPort))
            if let database = inventory.ocboot?.database { targets.append((database.host, database.port)) }
        }
        self.targets = targets
        logins = isSpare ? [] : OcbootLogin.all(of: host, inventory)
        peers = looksAtPeers ? PeerView.Peer.all(of: host, inventory) : []
        ocboot = isSpare ? nil : inventory.ocboot
        isInCluster = !isSpare
    }

    /// - Throws: `SSHError` where the host cannot be reached; ``ClusterError`` where its answer cannot be read.
    public func run(on remote: any Remote) async throws -> HostFacts {
        let script = self.script
        let timeout = Duration.seconds(
            30 + Self.connectionLimit * targets.count + Self.loginLimit * logins.count + PeerView.limit)
        let operation = "look at the host"
        let result = try await remote.run(script.command(label: operation, timeout: timeout))
        let sections = try script.parse(result, host: remote.name, operation: operation)
        return facts(sections, startedAt: result.startedAt.timeIntervalSince1970)
    }

    /// Shell text that prints the node that the host's kubelet is: the common name of its certificate is `system:node:NAME`.
    static func kubeletNode(_ distribution: Inventory.Distribution) -> String {
        "openssl x509 -noout -subject -in \(distribution.kubeletCertificate) 2>/dev/null | sed -n 's/.*system:node:\\([^,/ ]*\\).*/\\1/p'"
    }

    /// Sections are named after what they ask, not numbered: a recording is matched by their names.
    private static func reach(_ target: (host: String, port: Int)) -> String { "reach-\(target.host):\(target.port)" }
    private static func login(_ login: OcbootLogin) -> String { "login-\(login.address)" }

    /// Shell text that opens a TCP connection from a host: it succeeds, or prints why it cannot.
    /// - Parameter limit: seconds.
    package static func connect(to host: String, _ port: Int, limit: Int) -> String {
        let place = ShellQuoting.quote("/dev/tcp/\(host)/\(port)")
        return "LC_ALL=C timeout \(limit) bash -c 'exec 3<>\"$0\"' \(place) 2>&1"
    }

    /// The daemons of container runtimes.
    private static let runtimes = ["dockerd", "containerd", "crio"]

    /// Of a connection to elsewhere and of a login there, in seconds; a server may look up names before it lets in.
    private static let (connectionLimit, loginLimit) = (5, 15)

    /// POSIX sh, coreutils 8.22, util-linux 2.23, no python: what CentOS 7 has.
    package var script: SectionedScript {
        var script = SectionedScript()
        script.section("clock", "date +%s.%N")
        script.section("hostname", "uname -n")
        script.section("machine", "cat /etc/machine-id")
        script.section("kubelet-node", Self.kubeletNode(distribution))
        script.section("api-address", distribution.advertisedAddress)
        script.section("system", "sed -n 's/^PRETTY_NAME=//p' /etc/os-release | tr -d '\"'")
        script.section("kernel", "uname -r")
        script.optionalSection(
            "machine-size",
            """
            echo "processors $(grep -c '^processor' /proc/cpuinfo)"
            sed -n 's/^MemTotal: *\\([0-9]*\\) kB/memory \\1/p' /proc/meminfo
            sed -n 's/^ID=/id /p; s/^VERSION_ID=/version /p' /etc/os-release | tr -d '"'
            echo "arguments $(grep -o 'systemd\\.unified_cgroup_hierarchy=[^ ]*' /proc/cmdline || echo none)"
            """)
        for question in distribution.hostQuestions { script.optionalSection(question.name, question.script) }
        script.section("disks", "df -Pk / /var/lib /opt /tmp 2>/dev/null | tail -n +2")
        script.section("addresses", "ip -o addr")
        let kubelets = Inventory.Distribution.kubeletProcesses
        script.section(
            "processes",
            "command -v pidof >/dev/null || exit 1; for name in \((kubelets + Self.runtimes).joined(separator: " ")); do pidof \"$name\" >/dev/null && echo \"$name\"; done; true"
        )
        script.section("listening", "ss -ltn 2>/dev/null || netstat -ltn")
        // The globs are left unquoted on purpose; the paths are constants without blanks.
        script.section(
            "traces",
            "for file in \(distribution.traces.joined(separator: " ")); do [ -e \"$file\" ] && echo \"$file\"; done; true"
        )
        let certificates = distribution.certificateFolders.map { $0 + "/*.crt" }.joined(separator: " ")
        script.section("authority", "sha256sum \(distribution.caCertificate) | cut -d' ' -f1")
        script.section(
            "certificates",
            """
            command -v openssl >/dev/null || exit 1
            for file in \(certificates); do
                [ -f "$file" ] && echo "$file $(openssl x509 -noout -enddate -in "$file" 2>/dev/null)"
            done; true
            """)
        script.section("keepalived", Self.readKeepalived(distribution))
        for target in targets {
            script.section(
                Self.reach(target), Self.connect(to: target.host, target.port, limit: Self.connectionLimit))
        }
        for login in logins {
            // ocboot's Ansible does not check host keys either; nothing but `true` is run there.
            let options =
                "-o BatchMode=yes -o ConnectTimeout=3 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
            let place = ShellQuoting.join(["-p", String(login.port), "-l", login.user, "--", login.address])
            script.section(
                Self.login(login), "timeout \(Self.loginLimit) ssh \(options) \(place) true </dev/null 2>&1")
        }
        if !peers.isEmpty { script.section("peers", PeerView.script(peers)) }
        if let ocboot { script.optionalSection("ocboot-release", OcbootFacts.script(ocboot)) }
        if isInCluster {
            script.optionalSection("snapshots", Self.snapshots(distribution))
            script.optionalSection("runs", RunHead.fileHeads)
            script.optionalSection("ocboot-at-work", OcbootAtWork.script(ocboot?.directory))
        }
        return script
    }

    func facts(_ sections: [String: SectionedScript.Section], startedAt: TimeInterval) -> HostFacts {
        func text(_ name: String) -> String { sections[name]?.text ?? "" }
        /// `nil` where the question failed.
        func lines(_ name: String) -> [String]? {
            guard let section = sections[name], section.succeeded else { return nil }
            return section.lines
        }
        /// `nil` where the question failed, or its answer has another form than was expected.
        func read<T>(_ name: String, skipping header: Int = 0, _ parse: (String) -> T?) -> [T]? {
            guard let lines = lines(name)?.dropFirst(header) else { return nil }
            let values = lines.compactMap(parse)
            return values.isEmpty && !lines.isEmpty ? nil : values
        }
        let processes = lines("processes")
        // A host's own words must not move the cursor.
        var facts = HostFacts(
            hostname: TerminalText.line(text("hostname")), system: TerminalText.line(text("system")),
            kernel: TerminalText.line(text("kernel")))
        facts.machineID = sections["machine"].flatMap { $0.succeeded && !$0.text.isEmpty ? $0.text : nil }
        facts.apiAddress = text("api-address").isEmpty ? nil : text("api-address")
        facts.kubeletNodeName = text("kubelet-node").isEmpty ? nil : text("kubelet-node")
        facts.caCertificateSHA256 = text("authority").isEmpty ? nil : text("authority")
        facts.clockOffset = Self.time(text("clock")).map { $0 - startedAt }
        facts.disks = read("disks", Self.disk).flatMap { $0.isEmpty ? nil : Array(uniqued: $0) }
        // Every host has at least its loopback address.
        facts.addresses = read("addresses", Self.address).flatMap { $0.isEmpty ? nil : $0 }
        facts.kubeletRuns = processes.map { $0.contains(where: Inventory.Distribution.kubeletProcesses.contains) }
        facts.runtimes = processes.map { $0.filter(Self.runtimes.contains) }
        // sshd's own port is among them: none at all was not read.
        facts.listening = read("listening", skipping: 1, Self.port).flatMap { $0.isEmpty ? nil : Set($0) }
        facts.clusterTraces = lines("traces")
        facts.certificates = lines("certificates")?.compactMap(Self.certificate)
        facts.keepalived = Self.keepalived(sections["keepalived"])
        for target in targets {
            facts.unreachable["\(target.host):\(target.port)"] = Self.whyNot(
                sections[Self.reach(target)], Self.connectionLimit)
        }
        for login in logins {
            facts.deniedLogins[login.address] = Self.whyNot(sections[Self.login(login)], Self.loginLimit)
        }
        if let section = sections["peers"] { facts.peers = PeerView.read(section.lines, peers) }
        facts.ocboot = OcbootFacts(sections["ocboot-release"])
        facts.machine = Self.machine(lines("machine-size") ?? [])
        facts.docker = sections["docker"].flatMap { section in
            section.succeeded ? try? JSONDecoder().decode(DockerDaemon.self, from: section.output) : nil
        }
        facts.k3sNetworks = lines("k3s-networks") ?? []
        facts.recovery = lines("recovery")?.first.flatMap(HostFacts.Recovery.init)
        facts.snapshots = lines("snapshots")?.compactMap { Self.snapshot($0, clockOffset: facts.clockOffset ?? 0) }
        facts.runs = RunHead.read(lines("runs") ?? [])
        facts.ocbootAtWork = OcbootAtWork.read(lines("ocboot-at-work") ?? [])
        facts.etcd = lines("etcd").flatMap(EtcdBeside.init)
        return facts
    }

    /// Shell text that prints the time and the path of the newest snapshot of etcd in the usual places: k3s' own folder,
    /// `/var/backups` (kubespray, KubeKey), and folders that are called after etcd and backup. A file counts that begins as bbolt's do
    /// (the magic number 0xED0CDAED in its first page), and k3s's compressed ones by their names; whether it is whole is not known.
    static func snapshots(_ distribution: Inventory.Distribution) -> String {
        let folders = ["/var/backups", "/backup/etcd*"] + distribution.snapshotFolders
        // find complains of folders that are not there.
        return """
            find \(folders.joined(separator: " ")) -maxdepth 3 -type f -size +0 -printf '%T@ %p\\n' 2>/dev/null | sort -rn | head -n 50 |
            while read -r time file; do
                case $file in
                    */db/snapshots/*.zip) ;;
                    *) [ "$(od -A n -t x1 -j 16 -N 4 "$file" | tr -d ' ')" = edda0ced ] || continue ;;
                esac
                echo "$time $file"
                break
            done
            """
    }

    /// `1650000000.1234567890 /var/backups/etcd.db`.
    private static func snapshot(_ line: String, clockOffset: TimeInterval) -> HostFacts.Snapshot? {
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        guard words.count == 2, let time = time(words[0]) else { return nil }
        return .init(
            path: TerminalText.line(words[1]), at: Date(timeIntervalSince1970: time - clockOffset))
    }

    /// Seconds since 1970; `nil` for what no clock shows.
    static func time(_ text: String) -> TimeInterval? {
        TimeInterval(text).flatMap { (0..<1e11).contains($0) ? $0 : nil }
    }

    /// The cause, as bash or ssh told it: `ssh: connect to host 10.0.0.1 port 22: Connection refused`.
    private static func whyNot(_ section: SectionedScript.Section?, _ limit: Int) -> String? {
        guard let section else { return "not looked at" }
        if section.succeeded { return nil }
        // timeout(1) ends with 124.
        if section.status == 124 { return "no answer within \(limit) s" }
        let said = section.lines.first?.components(separatedBy: ": ").last ?? ""
        return said.isEmpty ? "exit status \(section.status)" : said
    }

    /// A word and its value in each line.
    private static func machine(_ lines: [String]) -> HostFacts.Machine {
        var machine = HostFacts.Machine()
        for line in lines {
            let words = line.split(separator: " ", maxSplits: 1).map(String.init)
            guard words.count == 2 else { continue }
            switch words[0] {
            case "processors": machine.processors = Int(words[1]).flatMap { $0 > 0 ? $0 : nil }
            case "memory": machine.memoryKiB = Int(words[1])
            case "id": machine.systemID = words[1]
            case "version": machine.systemVersion = words[1]
            case "arguments": machine.kernelArguments = words[1]
            default: break
            }
        }
        return machine
    }

    /// `df -P`: source, size, used, available, percent, mount.
    private static func disk(_ line: String) -> HostFacts.Disk? {
        let words = line.split(separator: " ")
        guard words.count >= 6, let available = Int(words[3]), let used = Int(words[4].dropLast()) else { return nil }
        return HostFacts.Disk(mount: String(words[5]), availableKiB: available, usedPercent: used)
    }

    /// `ip -o addr`: `2: eth0    inet 10.0.0.1/24 brd …`, `2: eth0    inet6 fd00::1/64 scope global`.
    package static func address(_ line: some StringProtocol) -> HostFacts.Address? {
        let words = line.split(separator: " ")
        guard words.count >= 4, words[2] == "inet" || words[2] == "inet6",
            let address = words[3].split(separator: "/").first
        else {
            return nil
        }
        return HostFacts.Address(interface: String(words[1]), address: String(address))
    }

    /// Both ss and netstat have the local address, ending in `:PORT`, in the fourth column.
    private static func port(_ line: String) -> Int? {
        let words = line.split(separator: " ")
        guard words.count >= 4, let colon = words[3].lastIndex(of: ":") else { return nil }
        return Int(words[3][words[3].index(after: colon)...])
    }

    /// `PATH notAfter=Nov 22 19:20:00 2027 GMT`, as `openssl x509 -enddate` prints it.
    private static func certificate(_ line: String) -> HostFacts.Certificate? {
        guard let range = line.range(of: " notAfter=") else { return nil }
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(identifier: "UTC")
        format.dateFormat = "MMM d HH:mm:ss yyyy zzz"
        let words = line[range.upperBound...].split(separator: " ").joined(separator: " ")
        return format.date(from: words).map {
            HostFacts.Certificate(path: String(line[..<range.lowerBound]), notAfter: $0)
        }
    }

    /// Shell text, whose answer ``keepalived(_:)`` reads.
    static func readKeepalived(_ distribution: Inventory.Distribution) -> String {
        "[ -e \(distribution.keepalivedManifest) ] || exit 44\ncat \(distribution.keepalivedManifest)"
    }

    static func keepalived(_ section: SectionedScript.Section?) -> HostFacts.Keepalived {
        guard let section else { return .unreadable("not looked at") }
        if section.status == 44 { return .absent }
        guard section.succeeded else { return .unreadable("the file cannot be read") }
        do {
            return .manifest(try KeepalivedManifest(String(decoding: section.output, as: UTF8.self)))
        } catch {
            return .unreadable("\(error)")
        }
    }
}

extension Duration {
    package var seconds: TimeInterval {
        let (seconds, attoseconds) = components
        return TimeInterval(seconds) + TimeInterval(attoseconds) / 1e18
    }
}

extension Array where Element: Hashable {
    /// The elements in order, each once.
    public init(uniqued elements: [Element]) {
        var seen: Set<Element> = []
        self = elements.filter { seen.insert($0).inserted }
    }
}
