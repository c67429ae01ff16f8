import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What one host sees of another: the script by a real shell against ports of loopback, and what is made of its answer.
@Suite struct PeerViewTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    static let peer = PeerView.Peer(address: "10.99.0.2", ports: [22, 6443])

    // MARK: What a view says

    enum Verdict { case alive, silent, unclear }

    static let noAnswer: [Int: PeerView.Attempt] = [22: .unanswered, 6443: .unanswered]
    static let rejection: [Int: PeerView.Attempt] = [22: .rejected, 6443: .unanswered]

    @Test(arguments: [
        (PeerView(ping: .answered), Verdict.alive), (PeerView(ping: .rejected), .alive),
        (PeerView(attempts: [22: .unanswered, 6443: .accepted]), .alive),
        (PeerView(attempts: [22: .unanswered, 6443: .refused], neighbour: "FAILED"), .alive),
        // Without power: the cable, or the switch, gives no answer to ARP.
        (PeerView(attempts: rejection, neighbour: "FAILED"), .silent),
        (PeerView(attempts: noAnswer, neighbour: "INCOMPLETE"), .silent),
        (PeerView(attempts: noAnswer, neighbour: "FAILED"), .silent),
        // A firewall that rejects: ARP is answered, and so it is alive.
        (PeerView(attempts: rejection, neighbour: "REACHABLE"), .alive),
        (PeerView(attempts: rejection, neighbour: "STALE"), .alive),
        (PeerView(attempts: rejection, neighbour: "DELAY"), .alive),
        // A firewall that drops, or a machine that died a moment ago.
        (PeerView(attempts: noAnswer, neighbour: "REACHABLE"), .unclear),
        (PeerView(attempts: noAnswer, neighbour: "PROBE"), .unclear),
        // Behind a router there is no neighbour entry: its absence says nothing.
        (PeerView(attempts: noAnswer), .silent), (PeerView(attempts: rejection), .unclear),
        (PeerView(attempts: noAnswer, neighbour: "PERMANENT"), .silent),
        (PeerView(attempts: rejection, neighbour: "PERMANENT"), .unclear),
        // What could not be tried is no silence.
        (PeerView(attempts: [22: .unanswered, 6443: .failed("bash: not found")], neighbour: "FAILED"), .unclear),
        (PeerView(neighbour: "FAILED"), .unclear), (PeerView(), .unclear),
    ]) func aViewIsASignOfLifeOrOfDeathOrOfNeither(view: PeerView, expected: Verdict) {
        let verdict: Verdict =
            switch view.sign {
            case .alive: .alive
            case .silent: .silent
            case .unclear: .unclear
            }
        #expect(verdict == expected, "\(view.sign)")
    }

    // MARK: Reading

    /// As bash 5.2, iproute2 6.1 and iputils 20221126 said it in network namespaces: a machine without power, and one whose
    /// firewall rejects.
    @Test func theAnswerIsRead() {
        let other = PeerView.Peer(address: "10.99.0.3", ports: [22])
        let views = PeerView.read(
            [
                "0 tcp 22 1 No route to host", "0 tcp 6443 124 ",
                #"0 route 10.99.0.2 dev eth0 src 10.99.0.1 uid 0 \    cache "#,
                "0 neigh 10.99.0.2 dev br0 lladdr ae:05:e3:c5:a3:6d STALE ", "0 neigh 10.99.0.2 dev eth0 FAILED ",
                "1 tcp 22 1 Network is unreachable",
                #"1 route 10.99.0.3 via 10.99.1.1 dev eth0 src 10.99.1.2 uid 0 \  "#,
                "1 neigh 10.99.0.3 dev eth0 lladdr c6:c7:25:62:4a:44 REACHABLE ", "7 tcp 22 0 ", "words", "",
            ], [Self.peer, other])
        #expect(
            views == [
                "10.99.0.2": PeerView(attempts: [22: .rejected, 6443: .unanswered], neighbour: "FAILED"),
                "10.99.0.3": PeerView(attempts: [22: .rejected]),
            ])
        #expect(
            PeerView.read(["0 ping answered", "1 ping rejected"], [Self.peer, other]) == [
                "10.99.0.2": PeerView(ping: .answered), "10.99.0.3": PeerView(ping: .rejected),
            ])
        #expect(
            PeerView.read(["0 tcp 22 127 bash: not found"], [Self.peer])["10.99.0.2"]?.attempts == [
                22: .failed("bash: not found")
            ])
        #expect(PeerView.read([], [Self.peer]) == [:], "what was not told is not there")
    }

    // MARK: Asking

    /// Programs in front of the machine's own: a ping that says what the case wants, and an ip(8) with a route and an entry.
    func look(
        _ peer: PeerView.Peer, shell: String, ping: String = "exit 1", route: String = "", neighbour: String = ""
    ) async throws -> PeerView? {
        for (name, body) in [
            ("ping", ping),
            ("ip", #"case $* in *route*) echo "\#(route)" ;; *) echo "\#(neighbour)" ;; esac"#),
        ] {
            try folder.program(name, "#!/bin/sh\n\(body)\n")
        }
        let remote = PrefixedRemote(folder: folder.path, shell: shell)
        return await PeerView.look(at: [peer], of: "b", from: remote)?[peer.address]
    }

    private struct PrefixedRemote: Remote {
        let folder: String
        let shell: String
        let name = "local"

        func run(_ command: Command) async throws -> CommandResult {
            var command = command
            command.arguments[2] = "PATH=\(ShellQuoting.quote(folder)):$PATH\n" + command.arguments[2]
            return try await LocalRemote(shell: shell).run(command)
        }
        func upload(_ contents: Data, to path: String, mode: UInt16) async throws {}
        func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
    }

    @Test(arguments: ["sh", "bash"]) func everyPortIsTriedAndTheNeighbourTableRead(shell: String) async throws {
        let (open, full) = (try LoopbackPort(backlog: 16), try LoopbackPort(backlog: 0))
        try full.fill()
        let closed = try LoopbackPort(backlog: 1)
        closed.close()
        let peer = PeerView.Peer(address: "127.0.0.1", ports: [open.number, full.number, closed.number])
        let view = try #require(
            await look(
                peer, shell: shell, route: "127.0.0.1 dev eth0 src 10.99.0.1 uid 0",
                neighbour: "127.0.0.1 dev eth0 lladdr ae:05:e3:c5:a3:6d REACHABLE "))
        #expect(
            view
                == PeerView(
                    attempts: [open.number: .accepted, full.number: .unanswered, closed.number: .refused],
                    neighbour: "REACHABLE"))
        #expect(view.sign == .alive("its port \(open.number) accepts connections"))
    }

    /// On healthy masters nothing but ping is sent: no line in the logs of sshd, the API server and etcd.
    @Test(arguments: ["sh", "bash"]) func whoAnswersPingIsNotConnectedTo(shell: String) async throws {
        let reply = "64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=0.097 ms"
        let peer = PeerView.Peer(address: "127.0.0.1", ports: [1])
        #expect(try await look(peer, shell: shell, ping: "echo '\(reply)'") == PeerView(ping: .answered))
        let prohibited = "From 127.0.0.1 icmp_seq=1 Destination Host Prohibited"
        #expect(try await look(peer, shell: shell, ping: "echo '\(prohibited)'; exit 1") == PeerView(ping: .rejected))
        // That is the host's own kernel, for want of an answer to ARP.
        let own = "From 127.0.0.2 icmp_seq=1 Destination Host Unreachable"
        #expect(
            try await look(peer, shell: shell, ping: "echo '\(own)'; exit 1") == PeerView(attempts: [1: .refused]))
    }

    @Test func aHostThatDoesNotTellGivesNoView() async throws {
        struct Mute: Remote {
            let name = "a"
            func run(_ command: Command) async throws -> CommandResult {
                FakeCluster.output("This account is closed.\n")
            }
            func upload(_ contents: Data, to path: String, mode: UInt16) async throws {}
            func replaceFile(_ path: String, expected: Data, with contents: Data) async throws {}
        }
        #expect(await PeerView.look(at: [Self.peer], of: "b", from: Mute()) == nil)
    }

    /// Each host asks about all others, whatever their role: a spare may have become a master since the file was written.
    @Test func everyHostLooksAtEveryOther() throws {
        var inventory = try RunbookCluster.inventory()
        inventory.hosts[2].ssh.port = 2222
        inventory.cluster.apiPort = 7443
        for host in inventory.hosts {
            let peers = HostProbe(inventory, for: host).peers
            #expect(peers.map(\.address) == inventory.hosts.map(\.address).filter { $0 != host.address })
            for peer in peers {
                #expect(
                    peer.ports == [peer.address == RunbookCluster.addresses[2] ? 2222 : 22, 7443, 10250, 2379, 2380])
            }
        }
        #expect(HostProbe(inventory, for: inventory.hosts[3], looksAtPeers: false).peers.isEmpty)
    }

    @Test func theProbesSectionIsRead() throws {
        let inventory = try RunbookCluster.inventory()
        let probe = HostProbe(inventory, for: inventory.hosts[1])
        let section = SectionedScript.Section(
            output: Data("0 ping answered\n2 tcp 22 1 Connection refused\n".utf8), status: 0)
        let facts = probe.facts(["peers": section], startedAt: 0)
        #expect(
            facts.peers == [
                RunbookCluster.addresses[0]: PeerView(ping: .answered),
                RunbookCluster.spareAddress: PeerView(attempts: [22: .refused]),
            ])
    }
}

/// A TCP port of loopback that something listens on.
final class LoopbackPort: Sendable {
    let number: Int
    private let socket: Int32

    init(backlog: Int32) throws {
        let socket = Self.make()
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(socket, $0, size)
                _ = getsockname(socket, $0, &size)
            }
        }
        try #require(listen(socket, backlog) == 0)
        self.socket = socket
        number = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit { close() }

    private static func make() -> Int32 {
        #if canImport(Darwin)
            Darwin.socket(AF_INET, SOCK_STREAM, 0)
        #else
            Foundation.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #endif
    }

    func close() { shutdown(socket, Int32(SHUT_RDWR)) }

    /// Connects until the kernel takes no more: the next SYN is dropped, as by a host that does not answer.
    func fill() throws {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(number).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        for _ in 0..<8 {
            let client = Self.make()
            _ = fcntl(client, F_SETFL, O_NONBLOCK)
            withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    _ = connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
    }
}
