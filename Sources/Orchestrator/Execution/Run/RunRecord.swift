package import Cluster
package import Foundation
package import Inventories
package import Planning

/// What has to be known to go on with a run from another machine: its plan with what was agreed to, which steps it began and ended, what
/// it destroyed, and how it came out. It is kept where others than this machine's user read it, so that no secret is in it.
///
/// It is a part of the journal, always the same one: of several journals and copies the events together are the run's.
package struct RunRecord: Sendable, Hashable {
    package let run: String
    package private(set) var events: [Event] = []
    /// The head of a record of which a line could not be read, in every copy: its events are not all.
    private var damagedHead: RunHead?
    package var isDamaged: Bool { damagedHead != nil }

    package init(run: String, _ events: [Event] = []) {
        self.run = run
        for event in events { add(event) }
    }

    /// - Returns: whether it belongs here and is not here yet.
    @discardableResult
    package mutating func add(_ event: Event) -> Bool {
        guard let event = kept(event) else { return false }
        // Each resume may plan the rest again: so that the record stays small however often that is, the plans in between go, but for
        // the first one with each new host.
        if event.hasPlan, let newest = events.lastIndex(where: \.hasPlan) {
            let host = events[newest].plan?.replacement.host
            let first = events.firstIndex { $0.hasPlan && $0.plan?.replacement.host == host }
            if first != newest { (events[newest].plan, events[newest].recovery) = (nil, nil) }
        }
        events.append(event)
        return true
    }

    /// All that another copy has, too.
    package mutating func add(_ other: RunRecord) {
        for event in other.events { add(event) }
    }

    /// What is not kept: what only shows progress, and what a resume says of a step once more.
    private func kept(_ event: Event) -> Event? {
        var event = event
        // As it is when it is read again.
        event.at = Date(timeIntervalSince1970: (event.at.timeIntervalSince1970 * 1000).rounded() / 1000)
        event.text = event.text.map { Redactor([]).redact(String($0.prefix(2000))) }
        switch event.event {
        case .runStarted:
            if events.contains(where: { Self.isSame($0, event) }) { return nil }
            event.plan = event.plan?.withoutSecrets
            if let hash = try? event.plan?.hash ?? event.recovery?.hash { event.planHash = hash }
            return event
        case .stateBefore, .stateAfter: return events.contains { $0.event == event.event } ? nil : event
        case .stepStarted, .stepBegan, .stepSkipped, .stepPassedOver, .destroying:
            let isKnown = events.contains {
                $0.step == event.step
                    && ($0.event == event.event && $0.text == event.text
                        || event.event == .stepSkipped && $0.event == .stepFinished)
            }
            return isKnown ? nil : event
        case .destroyed, .stepFinished, .stepFailed, .result, .runAbandoned:
            return events.contains(event) ? nil : event
        case .waiting, .output, .command, .note, .warning: return nil
        }
    }

    // MARK: What it says

    /// The one that was agreed to last.
    package var plan: Plan? { events.last { $0.plan != nil }?.plan }
    package var recovery: RecoveryPlan? { events.last { $0.recovery != nil }?.recovery }

    /// Nobody goes on with a run that is over, so that no later event of it counts.
    package var state: RunHead.State {
        if events.contains(where: { $0.event == .result && $0.status == 0 }) { return .done }
        return events.contains { $0.event == .runAbandoned } ? .abandoned : damagedHead?.state ?? .unfinished
    }

    /// Who gave it up, and why.
    package var abandonment: String? { events.first { $0.event == .runAbandoned }?.text }

    package var head: RunHead {
        let first = events.first { $0.event == .runStarted }
        return RunHead(
            run: run, title: first?.title ?? damagedHead?.title ?? "",
            startedAt: first?.at ?? damagedHead?.startedAt ?? Date(timeIntervalSince1970: 0), state: state)
    }

    /// The steps that came to their end, or had nothing to do.
    package var stepsDone: Set<String> {
        Set(events.filter { [.stepFinished, .stepSkipped, .stepPassedOver].contains($0.event) }.compactMap(\.step))
    }

    /// Whether an inventory means the cluster that it is of, as far as names tell.
    package func isOf(_ cluster: Inventory.Cluster) -> Bool {
        (plan?.cluster ?? recovery?.cluster) == cluster.name && (plan?.vip ?? recovery?.vip) == cluster.vip
    }

    /// What this one has and another has not.
    package func events(beside other: RunRecord) -> [Event] {
        events.filter { event in !other.events.contains { Self.isSame($0, event) } }
    }

    /// A plan may be in one copy and gone from another.
    private static func isSame(_ a: Event, _ b: Event) -> Bool {
        a.event == .runStarted ? b.event == .runStarted && a.at == b.at && a.title == b.title : a == b
    }

    // MARK: As text

    /// The head, then an event in each line.
    package var data: Data {
        get throws {
            try ([EventCoding.encode(head)] + events.map { try EventCoding.encode($0) }).reduce(into: Data()) {
                $0 += $1 + Data("\n".utf8)
            }
        }
    }

    /// Records one after another.
    /// - Parameter unread: told of each that cannot be read, or not to its end, and why.
    package static func read(_ data: Data, unread: (_ run: String, _ cause: String) -> Void) -> [RunRecord] {
        var records: [RunRecord] = []
        var (head, isRead): (RunHead?, Bool) = (nil, false)
        for line in data.split(separator: UInt8(ascii: "\n")) {
            if let next = try? EventCoding.decode(RunHead.self, from: line) {
                head = next
                isRead = next.record == RunHead.currentFormat && RunHead.isName(next.run)
                if isRead {
                    records.append(RunRecord(run: next.run))
                } else if RunHead.isName(next.run) {
                    unread(next.run, "it is of another masterswap, format \(next.record)")
                } else {
                    unread("of some name", "no run has such a name")
                }
            } else if isRead, let head {
                if let event = try? EventCoding.decode(Event.self, from: line) {
                    records[records.count - 1].add(event)
                } else {
                    unread(head.run, "a line of it is damaged, or of a newer masterswap")
                    records[records.count - 1] = RunRecord(run: head.run)
                    records[records.count - 1].damagedHead = head
                    isRead = false
                }
            }
        }
        return merged(records)
    }

    /// The copies of each run together, the oldest run first.
    package static func merged(_ records: [RunRecord]) -> [RunRecord] {
        var found: [String: RunRecord] = [:]
        // The longest is the newest, unless two machines went on with it. One that is damaged has no events.
        for record in records.sorted(by: { $0.events.count > $1.events.count }) {
            found[record.run, default: record].add(record)
        }
        return found.values.sorted { $0.run < $1.run }
    }
}

extension Event {
    fileprivate var hasPlan: Bool { plan != nil || recovery != nil }
}
