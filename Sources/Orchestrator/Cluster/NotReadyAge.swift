public import Foundation
import Inventories

/// For how long a node has been NotReady.
public enum NotReadyAge: Sendable, Hashable {
    /// Seconds, at least.
    case known(TimeInterval)
    /// Why it cannot be told.
    case unknown(String)

    public var text: String {
        switch self {
        case .known(let age): "NotReady for \(Self.words(age))"
        case .unknown(let why): "NotReady, for how long is not known: \(why)"
        }
    }

    /// `90 s`, `12 min`, `30 h`, `4 days`: rounded down.
    public static func words(_ seconds: TimeInterval) -> String {
        let seconds = Int(seconds)
        return switch seconds {
        case ..<120: "\(seconds) s"
        case ..<7200: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3600) h"
        default: "\(seconds / 86400) days"
        }
    }
}

extension ClusterState {
    /// By the clocks of the masters that answer, one of which wrote down when the condition changed: the slowest of them counts,
    /// so that the age is too short rather than too long. This machine's own clock plays no part.
    /// - Parameter node: one that is not Ready.
    public func notReadyAge(of node: Node) -> NotReadyAge {
        guard let text = node.readyCondition?.lastTransitionTime else {
            return .unknown("the API server does not say since when")
        }
        guard let since = try? Date(text, strategy: .iso8601) else {
            return .unknown("'\(text)' is no time")
        }
        guard let source = cluster.source, let clock = cluster.clock else {
            return .unknown("the clock of \(cluster.source ?? "the master that was asked") could not be read")
        }
        var behind: TimeInterval = 0
        let own = host(of: node)?.name
        let writers = liveMasters.map(\.name).filter { $0 != own && $0 != source }
        if !writers.isEmpty {
            guard let own = offset(source) else { return .unknown("the clock of \(source) could not be read") }
            for writer in writers {
                guard let other = offset(writer) else { return .unknown("the clock of \(writer) could not be read") }
                behind = min(behind, other - own)
            }
        }
        let age = clock.addingTimeInterval(behind).timeIntervalSince(since)
        guard age >= 0 else {
            return .unknown("by a master's clock that is \(Int(-age)) s in the future; compare the masters' clocks")
        }
        return .known(age)
    }

    /// Of a host's clock from this machine's, in seconds.
    private func offset(_ host: String) -> TimeInterval? { hosts[host]?.facts?.clockOffset }
}

extension Node {
    var readyCondition: Condition? { status?.conditions?.first { $0.type == "Ready" } }

    /// It is NotReady by the word of its own kubelet, which is at work: of one that is silent for 40 s, kube-controller-manager makes
    /// that `Unknown` (--node-monitor-grace-period).
    package var isReportedByItsKubelet: Bool { readyCondition?.status == "False" }
}
