import Cluster
import SSH

/// What VRRP does where the old master comes back and SSH does not see it: its keepalived, MASTER with the higher priority, takes
/// the VIP. Then none of ours holds the VIP, and still somebody answers there.
struct ForeignVIPHolder: Sendable {
    let vip: String
    let port: Int
    /// keepalived takes a dead master's VIP over after three advertisements, a second each, and a part of one.
    var pause: Duration = .seconds(4)

    /// Looks again after a pause where none holds the VIP: it may be on its way from one of ours to another.
    /// - Parameter remotes: all of ours who may hold it.
    /// - Throws: where one of them does not tell.
    func isSeen(by remotes: [any Remote]) async throws -> Bool {
        guard try await VIP.holders(of: vip, remotes).isEmpty else { return false }
        try await Task.sleep(for: pause)
        guard try await isAnswered(remotes) else { return false }
        // One of ours may have taken it and answered.
        return try await VIP.holders(of: vip, remotes).isEmpty
    }

    /// A refused connection is an answer, too.
    func isAnswered(_ remotes: [any Remote]) async throws -> Bool {
        let command = Command(
            ["sh", "-c", HostProbe.connect(to: vip, port, limit: 2)], timeout: .seconds(10),
            label: "look who answers at the VIP")
        return try await withThrowingTaskGroup(of: Bool.self) { group in
            for remote in remotes {
                group.addTask {
                    let result = try await remote.run(command)
                    return result.succeeded || result.text.contains("refused")
                }
            }
            return try await group.reduce(false) { $0 || $1 }
        }
    }
}
