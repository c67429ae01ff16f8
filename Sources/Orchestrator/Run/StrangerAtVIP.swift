import SSH
import Synchronization

/// What VRRP does where the old master comes back and SSH does not see it: its keepalived, MASTER with the higher priority, takes
/// the VIP. Then none of ours holds the VIP, and still somebody answers there.
final class StrangerAtVIP: Sendable {
    enum Sight: String, Sendable {
        case holds = "held here"
        case answered = "answered elsewhere"
        case silent
    }

    private let vip: String
    private let port: Int
    private let hosts: [String]
    private let wasSeen = Mutex(false)

    /// - Parameter hosts: all who may hold the VIP.
    init(vip: String, port: Int, hosts: [String]) {
        self.vip = vip
        self.port = port
        self.hosts = hosts
    }

    /// A refused connection is an answer, too.
    static func look(vip: String, port: Int) -> Command {
        let script = """
            addresses=$(ip -o -4 addr) || exit 1
            case $addresses in *" $1/"*) echo 'held here'; exit 0 ;; esac
            said=$(LC_ALL=C timeout 2 bash -c 'exec 3<>"$0"' "/dev/tcp/$1/$2" 2>&1) && said=refused
            case $said in *refused*) echo 'answered elsewhere' ;; *) echo silent ;; esac
            """
        return .script(script, [vip, String(port)], timeout: .seconds(10), label: "look who holds the VIP")
    }

    /// One look can fall into the seconds in which the VIP goes from one of ours to the other; two in a row do not.
    /// - Returns: what was seen of a stranger; `nil` where there is none.
    func judge(_ sights: [Sight]) -> String? {
        let isSeen = !sights.contains(.holds) && sights.contains(.answered)
        let isSeenAgain = wasSeen.withLock { wasSeen in
            defer { wasSeen = isSeen }
            return wasSeen && isSeen
        }
        return isSeenAgain ? "\(vip) answers, and none of \(hosts.joined(separator: ", ")) holds it" : nil
    }

    /// - Throws: where one of the hosts does not tell: it may hold the VIP.
    func seen(on remotes: [any Remote]) async throws -> String? {
        let command = Self.look(vip: vip, port: port)
        let sights = try await withThrowingTaskGroup { group in
            for remote in remotes {
                group.addTask { Sight(rawValue: try await remote.run(command).text.lastLines(1)) }
            }
            return try await group.reduce(into: [Sight?]()) { $0.append($1) }
        }
        return sights.contains(nil) ? nil : judge(sights.compactMap(\.self))
    }
}
