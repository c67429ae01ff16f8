package import Inventories
package import SSH

/// What one host sees of another right after it tried to reach it, as the tools there told it.
public struct PeerView: Sendable, Hashable {
    /// How one TCP connection ended.
    public enum Attempt: Sendable, Hashable {
        case accepted
        case refused
        /// EHOSTUNREACH or ENETUNREACH: nobody answered ARP, or a firewall or a router rejected it with ICMP.
        case rejected
        case unanswered
        /// It could not be tried: no bash, no timeout(1), a firewall of the host's own.
        case failed(String)
    }

    public enum Ping: Sendable, Hashable {
        case answered
        /// An ICMP error came back from the peer's own address.
        case rejected
    }

    /// An address to look at.
    public struct Peer: Sendable, Hashable {
        public var address: String
        public var ports: [Int]

        public init(address: String, ports: [Int]) {
            self.address = address
            self.ports = ports
        }
    }

    /// By port; empty where the peer answered ping, so that nothing more was asked.
    public var attempts: [Int: Attempt]
    /// `nil` where no answer came, or the host has no ping.
    public var ping: Ping?
    /// The state of the peer's entry in the neighbour table, such as `FAILED`; `nil` where it has none, as behind a router.
    public var neighbour: String?

    public init(attempts: [Int: Attempt] = [:], ping: Ping? = nil, neighbour: String? = nil) {
        self.attempts = attempts
        self.ping = ping
        self.neighbour = neighbour
    }
}

extension PeerView {
    /// What a view says about whether the peer is alive, and by what.
    public enum Sign: Sendable, Hashable {
        case alive(String)
        case silent(String)
        /// It may be the one or the other.
        case unclear(String)

        public var text: String {
            switch self {
            case .alive(let text), .silent(let text), .unclear(let text): text
            }
        }
    }

    public var sign: Sign {
        switch ping {
        case .answered: return .alive("it answers ping")
        case .rejected: return .alive("it rejects ping with ICMP")
        case nil: break
        }
        if let port = ports({ $0 == .accepted }).first { return .alive("its port \(port) accepts connections") }
        if let port = ports({ $0 == .refused }).first { return .alive("its port \(port) refuses connections") }
        for port in attempts.keys.sorted() {
            if case .failed(let cause) = attempts[port] { return .unclear("port \(port) could not be tried: \(cause)") }
        }
        guard !attempts.isEmpty else { return .unclear("nothing was tried") }
        let rejected = ports { $0 == .rejected }.first
        switch neighbour {
        case "FAILED"?, "INCOMPLETE"?: return .silent("it does not answer ARP")
        // Each of these has the peer's MAC address: it answered ARP not long ago.
        case "REACHABLE"?, "STALE"?, "DELAY"?, "PROBE"?:
            if let rejected {
                return .alive("it answers ARP, and its firewall rejects connections to port \(rejected)")
            }
            return .unclear(
                "no port answers, and its neighbour entry is \(neighbour ?? ""): it died a moment ago, or its firewall drops all connections"
            )
        default:
            if let rejected {
                return .unclear(
                    "'No route to host' for port \(rejected), and whether it or a firewall or router in between says so is not known"
                )
            }
            return .silent("no port answers (\(attempts.keys.sorted().map(String.init).joined(separator: ", ")))")
        }
    }

    private func ports(_ isWanted: (Attempt) -> Bool) -> [Int] {
        attempts.filter { isWanted($0.value) }.keys.sorted()
    }
}

extension PeerView.Sign {
    /// What several addresses of one machine say together: one sign of life is enough, and it is silent only where all of them are.
    /// - Parameter signs: by address.
    package static func together(_ signs: [(address: String, sign: Self)]) -> Self? {
        guard signs.count > 1 else { return signs.first?.sign }
        func first(_ isWanted: (Self) -> Bool) -> Self? {
            signs.first { isWanted($0.sign) }.map { $0.sign.with(text: "\($0.address): \($0.sign.text)") }
        }
        if let alive = first({ if case .alive = $0 { true } else { false } }) { return alive }
        if let unclear = first({ if case .unclear = $0 { true } else { false } }) { return unclear }
        return .silent(signs.map { "\($0.address): \($0.sign.text)" }.joined(separator: ", "))
    }

    private func with(text: String) -> Self {
        switch self {
        case .alive: .alive(text)
        case .silent: .silent(text)
        case .unclear: .unclear(text)
        }
    }
}

extension PeerView.Peer {
    /// Every other host of the inventory: which of them the cluster counts as masters is not known yet.
    static func all(of host: Inventory.Host, _ inventory: Inventory) -> [Self] {
        inventory.hosts.filter { $0.address != host.address }.map {
            Self($0, at: $0.address, inventory.cluster)
        }
    }

    /// SSH, the API server, the kubelet, and etcd for its clients and for its peers.
    /// - Parameter address: the inventory's, or another one of that host.
    package init(_ host: Inventory.Host, at address: String, _ cluster: Inventory.Cluster) {
        self.init(address: address, ports: Array(uniqued: [host.ssh.port ?? 22, cluster.apiPort, 10250, 2379, 2380]))
    }
}

// MARK: The question and its answer

extension PeerView {
    /// Seconds that all of it takes at most, whatever the number of peers: they are looked at side by side.
    package static let limit = pingLimit + connectionLimit
    private static let (pingLimit, connectionLimit) = (1, 2)

    /// Shell text that looks at each peer: ping first, which leaves no trace in anybody's log; where no answer comes, every port;
    /// then the neighbour table, which the attempts have brought up to date. Prints `INDEX KIND …`.
    package static func script(_ peers: [Peer]) -> String {
        let looks = peers.enumerated().map { index, peer in
            "look \(index) \(ShellQuoting.join([peer.address] + peer.ports.map(String.init))) &"
        }
        // A pipe ends with the last of those that write into it, and lines of several processes stay whole in it. wait would do
        // in place of it, but that of dash never returns where SIGCHLD is blocked.
        return """
            try() {
                said=$(timeout \(connectionLimit) bash -c 'exec 3<>"$0"' "/dev/tcp/$2/$3" 2>&1)
                printf '%s tcp %s %d %s\\n' "$1" "$3" $? "${said##*: }"
            }
            look() {
                index=$1 address=$2 family=-4 ping=ping
                shift 2
                # Only since 2015 does the ping of iputils take both kinds of addresses.
                case $address in *:*)
                    family=-6
                    ! command -v ping6 >/dev/null || ping=ping6 ;;
                esac
                said=$($ping -n -c 1 -W \(pingLimit) "$address" 2>&1)
                case $said in
                    *' bytes from '*) echo "$index ping answered"; return ;;
                    *"From $address "*) echo "$index ping rejected"; return ;;
                esac
                for port in "$@"; do try "$index" "$address" "$port" & done | cat
                ip $family -o route get "$address" 2>/dev/null | sed "s/^/$index route /"
                ip $family neigh show "$address" 2>/dev/null | sed "s/^/$index neigh /"
            }
            { \(looks.joined(separator: "\n")) } | cat
            """
    }

    /// - Returns: by address; without those that nothing was told about.
    package static func read(_ lines: [String], _ peers: [Peer]) -> [String: PeerView] {
        var views: [Int: PeerView] = [:]
        /// The interface by which a peer is reached without a router.
        var links: [Int: String] = [:]
        for line in lines {
            let words = line.split(separator: " ").map(String.init)
            guard words.count >= 3, let index = Int(words[0]), peers.indices.contains(index) else { continue }
            switch words[1] {
            case "ping": views[index, default: PeerView()].ping = words[2] == "answered" ? .answered : .rejected
            case "tcp":
                guard words.count >= 4, let port = Int(words[2]), let status = Int(words[3]) else { continue }
                views[index, default: PeerView()].attempts[port] = attempt(
                    status, words.dropFirst(4).joined(separator: " "))
            // `10.0.0.13 dev eth0 src 10.0.0.11 …`; a router would be named as `via 10.0.0.1`.
            case "route":
                if !words.contains("via"), IPAddress.canonical(words[2]) == IPAddress.canonical(peers[index].address) {
                    links[index] = word(after: "dev", words)
                }
            // `10.0.0.13 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE`, `10.0.0.13 dev eth0 FAILED`; another interface may hold
            // an old entry of the same address.
            case "neigh":
                if let link = links[index], word(after: "dev", words) == link {
                    views[index, default: PeerView()].neighbour = words.last
                }
            default: break
            }
        }
        return Dictionary(uniqueKeysWithValues: views.map { (peers[$0.key].address, $0.value) })
    }

    private static func word(after key: String, _ words: [String]) -> String? {
        words.firstIndex(of: key).flatMap { words.indices.contains($0 + 1) ? words[$0 + 1] : nil }
    }

    /// - Parameter words: the last part of what bash said: `No route to host`.
    private static func attempt(_ status: Int, _ words: String) -> Attempt {
        // timeout(1) ends with 124.
        switch (status, words) {
        case (0, _): .accepted
        case (124, _), (_, "Connection timed out"): .unanswered
        case (_, "Connection refused"), (_, "Connection reset by peer"): .refused
        case (_, "No route to host"), (_, "Network is unreachable"): .rejected
        default: .failed(words.isEmpty ? "exit status \(status)" : words)
        }
    }

    /// Asks one host about addresses of another.
    /// - Parameter name: the other one's, in the inventory.
    /// - Returns: by address; `nil` where it does not tell.
    package static func look(at peers: [Peer], of name: String, from remote: any Remote) async -> [String: PeerView]? {
        let operation = "look whether \(name) answers"
        var script = SectionedScript()
        script.section("peers", Self.script(peers))
        guard
            let result = try? await remote.run(script.command(label: operation, timeout: .seconds(limit + 10))),
            let sections = try? script.parse(result, host: remote.name, operation: operation)
        else { return nil }
        return sections["peers"].map { read($0.lines, peers) }
    }
}
