import Cluster
import Drafting
import Execution
import Inventories
import Planning
import Reporting
import Synchronization

/// "57 of 100 hosts; waiting for …" while many hosts are talked to, on a person's standard error; nothing where it is none.
final class HostCount: Sendable {
    private let terminal: Terminal
    private let total: Int
    private let waiting: Mutex<[String]>

    init(_ hosts: [Inventory.Host], _ terminal: Terminal) {
        self.terminal = terminal
        total = hosts.count
        waiting = Mutex(hosts.map(\.name))
        draw(hosts.map(\.name))
    }

    func done(_ host: Inventory.Host) {
        // Under the lock, so that an older count is never drawn over a newer one.
        waiting.withLock { waiting in
            waiting.removeAll { $0 == host.name }
            draw(waiting)
        }
    }

    func end() {
        if total > 1 { terminal.clearStatus() }
    }

    private func draw(_ waiting: [String]) {
        if total > 1 { terminal.showStatus { Self.line(total: total, waiting: waiting, width: $0) } }
    }

    static func line(total: Int, waiting: [String], width: Int) -> String {
        let count = "\(total - waiting.count) of \(total) hosts done"
        guard !waiting.isEmpty, waiting.count < total else { return Columns.fit(count, to: width) }
        return Columns.fit("\(count); waiting for \(waiting.joined(separator: ", "))", to: width)
    }
}
