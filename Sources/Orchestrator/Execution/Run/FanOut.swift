public import Cluster
public import Inventories
public import SSH

/// One command on many hosts, so many at a time; one dead host never hides the others.
public struct FanOut: Sendable {
    public struct Answer: Sendable {
        public var host: Inventory.Host
        public var result: Result<CommandResult, any Error>

        public init(host: Inventory.Host, result: Result<CommandResult, any Error>) {
            self.host = host
            self.result = result
        }
    }

    let remotes: Remotes
    let concurrency: Int

    public init(remotes: Remotes, concurrency: Int) {
        self.remotes = remotes
        self.concurrency = max(1, concurrency)
    }

    /// - Parameter each: called as each host ends, in the order in which they do.
    /// - Returns: in the hosts' order.
    public func run(_ command: Command, on hosts: [Inventory.Host], each: (Answer) -> Void) async -> [Answer] {
        var answers: [Int: Answer] = [:]
        await withTaskGroup(of: (Int, Answer).self) { group in
            var next = 0
            func add() {
                guard next < hosts.count else { return }
                let (index, host) = (next, hosts[next])
                next += 1
                group.addTask {
                    do {
                        return (index, Answer(host: host, result: .success(try await remotes[host].run(command))))
                    } catch {
                        return (index, Answer(host: host, result: .failure(error)))
                    }
                }
            }
            for _ in 0..<min(concurrency, hosts.count) { add() }
            for await (index, answer) in group {
                answers[index] = answer
                each(answer)
                add()
            }
        }
        return hosts.indices.compactMap { answers[$0] }
    }
}
