import SSH

/// What VRRP does where the old master comes back and SSH does not see it: its keepalived, MASTER with the higher priority, takes
/// the VIP. Then none of ours holds the VIP, and still somebody answers there.
struct StrangerAtVIP: Sendable {
    enum Sight: String, Sendable {
        case held = "held here"
        case answered = "answered elsewhere"
        case silent
    }

    let vip: String
    let port: Int
    /// keepalived takes a dead master's VIP over after three advertisements, a second each, and a part of one.
    var pause: Duration = .seconds(4)

    /// A refused connection is an answer, too.
    /// - Parameter asks: whether it is tried if somebody answers; else a VIP that is not held is `silent`.
    func look(asks: Bool) -> Command {
        let script = """
            addresses=$(ip -o -4 addr) || exit 1
            case $addresses in *" $1/"*) echo 'held here'; exit 0 ;; esac
            [ "$3" = true ] || { echo silent; exit 0; }
            said=$(LC_ALL=C timeout 2 bash -c 'exec 3<>"$0"' "/dev/tcp/$1/$2" 2>&1) && said=refused
            case $said in *refused*) echo 'answered elsewhere' ;; *) echo silent ;; esac
            """
        return .script(
            script, [vip, String(port), String(asks)], timeout: .seconds(10), label: "look who holds the VIP")
    }

    /// Looks again after a pause where none holds the VIP: it may be on its way from one of ours to another.
    /// - Parameter remotes: all of ours who may hold it.
    /// - Throws: where one of them does not tell.
    func isSeen(by remotes: [any Remote]) async throws -> Bool {
        guard try await !sights(of: remotes, asks: false).contains(.held) else { return false }
        try await Task.sleep(for: pause)
        let sights = try await sights(of: remotes, asks: true)
        return !sights.contains(.held) && sights.contains(.answered)
    }

    private func sights(of remotes: [any Remote], asks: Bool) async throws -> [Sight] {
        let command = look(asks: asks)
        return try await withThrowingTaskGroup { group in
            for remote in remotes {
                group.addTask {
                    let result = try await remote.run(command)
                    guard let sight = Sight(rawValue: result.text.lastLines(1)) else {
                        throw ClusterError(
                            .badOutput, host: remote.name, operation: command.display,
                            cause: "\(result.outcome): \(result.errorText.lastLines(1))",
                            advice: "see that ip(8) works there")
                    }
                    return sight
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }
}
