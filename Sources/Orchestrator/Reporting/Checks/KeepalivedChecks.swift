import Cluster
import Execution
import Inventories
import Planning

/// What only the comparison of all masters shows.
enum KeepalivedChecks {
    static func findings(_ state: ClusterState) -> [CheckReport.Finding] {
        let vip = state.inventory.cluster.vip
        var findings: [CheckReport.Finding] = []
        let manifests = KeepalivedManifests(of: state.liveMasters.map(\.name), state)
        for host in state.liveMasters {
            switch state.facts(host)?.keepalived {
            case .absent?:
                findings.append(
                    .init(
                        code: .keepalivedMissing, severity: .failure, subject: host.name,
                        text: "has no keepalived manifest",
                        advice: "it can never hold the VIP"))
            case .unreadable(let why)?:
                findings.append(
                    .init(
                        code: .keepalivedUnreadable, severity: .failure, subject: host.name,
                        text: "its keepalived manifest: \(why)",
                        advice: "look at \(state.inventory.cluster.distribution.keepalivedManifest)"))
            case .manifest?, nil: break
            }
            if let node = state.node(of: host), state.keepalivedIsDown(on: node.name) {
                findings.append(
                    .init(
                        code: .keepalivedDown, severity: .failure, subject: host.name,
                        text: "its keepalived does not run, so that it cannot take the VIP over",
                        advice: "see why: kubectl -n kube-system describe pod keepalived-\(node.name)"))
            }
        }
        for name in manifests.hosts(without: vip) {
            findings.append(
                .init(
                    code: .keepalivedVIP, severity: .failure, subject: name,
                    text: "its keepalived does not carry \(vip)",
                    advice: "compare KEEPALIVED_VIRTUAL_IPS with the other masters"))
        }
        if !manifests.haveOneRouterID {
            findings.append(
                .init(
                    code: .keepalivedRouterID, severity: .failure, subject: "keepalived", text: "the router ids differ",
                    advice: "masters of one cluster share KEEPALIVED_ROUTER_ID"))
        }
        if !manifests.haveOnePassword {
            findings.append(
                .init(
                    code: .keepalivedPassword, severity: .failure, subject: "keepalived", text: "the passwords differ",
                    advice: "masters of one cluster share KEEPALIVED_PASSWORD"))
        }
        let primaries = manifests.all.filter { $0.manifest.state == .master }.map(\.host)
        if primaries.count > 1 {
            findings.append(
                .init(
                    code: .keepalivedTwoMasters, severity: .warning, subject: "keepalived",
                    text: "\(primaries.joined(separator: " and ")) are both MASTER",
                    advice: "only the primary should be"))
        } else if primaries.isEmpty, !manifests.all.isEmpty {
            findings.append(
                .init(
                    code: .keepalivedNoMaster, severity: .warning, subject: "keepalived",
                    text: "no live master is in state MASTER",
                    advice: "the dead one was the primary; a replacement makes another one primary"))
        }
        let services = state.hostsWithVIPOfService
        if !services.isEmpty {
            findings.append(
                .init(
                    code: .vipOnService, severity: .failure, subject: "vip",
                    text:
                        "kube-proxy has bound \(vip) to \(HostFacts.serviceInterface) on \(services.listed): a Service has it among its externalIPs or as its load balancer's address",
                    advice: "take it out of that Service: kubectl get services -A -o wide | grep -F \(vip)"))
        }
        switch state.vipHolders.count {
        case 1: break
        // Nobody was there to look at.
        case 0 where state.liveMasters.isEmpty: break
        case 0:
            findings.append(
                .init(
                    code: .vipNotHeld, severity: .failure, subject: "vip", text: "no host holds \(vip)",
                    advice: "look at the keepalived pods"))
        default:
            findings.append(
                .init(
                    code: .vipHeldTwice, severity: .failure, subject: "vip",
                    text: "\(state.vipHolders.map(\.name).joined(separator: " and ")) hold \(vip)",
                    advice:
                        "they do not hear each other: compare router ids and passwords, look at the network between them"
                ))
        }
        return findings
    }
}
