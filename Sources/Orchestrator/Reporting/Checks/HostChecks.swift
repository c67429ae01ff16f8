import Cluster
import Foundation
import Inventories
import Planning

/// Each host for itself.
enum HostChecks {
    static func findings(_ state: ClusterState, at now: Date) -> [CheckReport.Finding] {
        let ours = ownClockError(state)
        return state.inventory.hosts.flatMap { host -> [CheckReport.Finding] in
            switch state.hosts[host.name] {
            case .reached(let facts):
                host.role == .spare && state.node(of: host) == nil
                    ? spare(host, facts, ours, state)
                    : master(host, facts, ours, now, state.inventory.cluster.distribution)
            case .failed(let failure):
                [
                    .init(
                        code: .hostUnreachable, severity: .failure, subject: host.name, text: failure.message,
                        advice: DeathAdvice.unreachable(host, failure, state))
                ]
            case nil: []
            }
        } + clock(ours)
    }

    /// By how much all hosts together are off this machine's clock, in seconds: the median where there are three and more, and it is
    /// out of bounds. It is this machine's clock that is wrong then, not each of theirs.
    private static func ownClockError(_ state: ClusterState) -> Double {
        let offsets = state.inventory.hosts.compactMap { state.facts($0)?.clockOffset }.sorted()
        guard offsets.count >= 3, abs(offsets[offsets.count / 2]) > SurvivorsAreSound.clockLimit else { return 0 }
        return offsets[offsets.count / 2]
    }

    private static func clock(_ ours: Double) -> [CheckReport.Finding] {
        guard ours != 0 else { return [] }
        return [
            .init(
                code: .clock, severity: .warning, subject: "this machine",
                text: String(format: "its clock is %+.1f s off the hosts'", -ours),
                advice: "set it: chronyc tracking")
        ]
    }

    private static func master(
        _ host: Inventory.Host, _ facts: HostFacts, _ ours: Double, _ now: Date, _ distribution: Inventory.Distribution
    ) -> [CheckReport.Finding] {
        var findings = both(host, facts, ours)
        if let left = facts.recovery {
            findings.append(
                .init(
                    code: .recoveryUnfinished, severity: .failure, subject: host.name, text: left.reason,
                    advice: left.advice(on: host.name)))
        }
        if facts.kubeletRuns == false {
            findings.append(
                .init(
                    code: .kubeletDown, severity: .failure, subject: host.name, text: "the kubelet does not run",
                    advice: "look at it: journalctl -u \(distribution.kubeletUnit)"))
        }
        if facts.runtimes?.isEmpty == true {
            findings.append(
                .init(
                    code: .runtimeDown, severity: .failure, subject: host.name, text: "no container runtime runs",
                    advice: "look at docker or containerd there"))
        }
        if let first = facts.certificates?.min(by: { $0.notAfter < $1.notAfter }) {
            let left = first.notAfter.timeIntervalSince(now)
            if left < CheckReport.certificateWarning {
                findings.append(
                    .init(
                        code: .certificates, severity: left < 0 ? .failure : .warning, subject: host.name,
                        text: left < 0
                            ? "\(first.path) has expired" : "\(first.path) ends in \(Int(left / 86400)) days",
                        advice: "renew them there: \(distribution.certificateRenewal)"))
            }
        }
        return findings
    }

    private static func spare(
        _ host: Inventory.Host, _ facts: HostFacts, _ ours: Double, _ state: ClusterState
    ) -> [CheckReport.Finding] {
        var findings = both(host, facts, ours)
        if let traces = facts.clusterTraces, !traces.isEmpty {
            findings.append(
                .init(
                    code: .spareNotBare, severity: .warning, subject: host.name,
                    text: "is a spare, but has been in a cluster: \(traces.joined(separator: ", "))",
                    advice:
                        "it cannot replace a master as it is; what a failed join left there, 'masterswap replace' cleans up itself; for the rest find out what runs there, and reinstall the machine when nothing needs it"
                ))
        }
        for (target, cause) in facts.unreachable.sorted(by: { $0.key < $1.key }) {
            findings.append(
                .init(
                    code: .spareCannotReach, severity: .warning, subject: host.name,
                    text: "cannot open a connection to \(target): \(cause)",
                    advice: "it cannot replace a master like that: look at routes and firewalls"))
        }
        findings += state.sourcesOutOfReach(of: host).map {
            .init(
                code: .spareCannotReach, severity: .warning, subject: host.name,
                text: "cannot open a connection to \($0.text), where the masters get images and packages from",
                advice:
                    "it cannot replace a master like that: look at its name servers, routes and firewalls, or give it the proxy that it needs for that"
            )
        }
        return findings
    }

    /// - Parameter ours: what of a host's clock is this machine's error.
    private static func both(_ host: Inventory.Host, _ facts: HostFacts, _ ours: Double) -> [CheckReport.Finding] {
        var findings: [CheckReport.Finding] = []
        if !facts.unread.isEmpty {
            findings.append(
                .init(
                    code: .unread, severity: .warning, subject: host.name,
                    text: "could not be read: \(facts.unread.joined(separator: ", "))",
                    advice: "see there which of these is missing or fails: uname, pidof, ss, ip, date, df"))
        }
        if let offset = facts.clockOffset, abs(offset - ours) > SurvivorsAreSound.clockLimit {
            findings.append(
                .init(
                    code: .clock, severity: .warning, subject: host.name,
                    text: ours == 0
                        ? String(format: "its clock is %+.1f s off this machine's", offset)
                        : String(format: "its clock is %+.1f s off the other hosts'", offset - ours),
                    advice: "see which of the two is right: chronyc tracking"))
        }
        for disk in facts.disks ?? [] where disk.usedPercent >= CheckReport.diskWarning {
            findings.append(
                .init(
                    code: .disk, severity: .warning, subject: host.name,
                    text: "\(disk.mount) is \(disk.usedPercent) % full",
                    advice: "the kubelet evicts pods from 90 % on: make room"))
        }
        return findings
    }
}
