package import Cluster
package import Inventories
import SSH

/// What a join needs of the new host, looked at before anything is deleted.
public enum ReplacementFits: SafetyRule {
    public static let id = "replacement-fits"
    public static let prevents = "finding out in the middle of the join that the new host cannot do it"

    /// A certificate made now must be valid on the new host, and etcd warns from a second on.
    package static let clockLimit = 30.0
    /// kubelet's image garbage collection and etcd want room; less fails within the hour.
    static let freeKiB = 5 << 20

    public static func refusals(_ input: PlanningInput) -> [Refusal] {
        let state = input.state
        let host = input.replacement
        guard let facts = state.facts(host) else { return [] }
        var refusals: [Refusal] = []
        // The kubelet registers itself by that name, and with it as the value of a label, which has 63 characters at most. That it is
        // unknown, another rule says.
        let name = facts.hostname.lowercased()
        if !name.isEmpty, !isNodeName(name) || name.count > 63 || name.hasPrefix("localhost") {
            refusals.append(
                refusal(
                    "\(host.name) calls itself '\(facts.hostname)', which is no name for a node",
                    advice: "give it a host name of letters, digits, '-' and '.': hostnamectl set-hostname NAME"))
        }
        refusals += clock(facts, host, input)
        if facts.disks == nil {
            refusals.append(
                refusal("the free space on \(host.name) could not be read", advice: "run there: df -Pk / /var/lib"))
        }
        for disk in facts.disks ?? [] where disk.mount != "/tmp" && disk.availableKiB < freeKiB {
            refusals.append(
                refusal(
                    "\(host.name) has \(disk.availableKiB >> 10) MiB free on \(disk.mount)",
                    advice: "make room: 5 GiB at least"))
        }
        for (target, cause) in facts.unreachable.sorted(by: { $0.key < $1.key }) {
            refusals.append(
                refusal(
                    "\(host.name) cannot open a connection to \(target): \(cause)",
                    advice: "look at routes and firewalls between them"))
        }
        refusals += state.sourcesOutOfReach(of: host).map {
            refusal(
                "\(host.name) cannot open a connection to \($0.text), where the masters get images and packages from",
                advice: "look at its name servers, routes and firewalls, or give it the proxy that it needs for that")
        }
        if let problem = state.cluster.clusterStatusProblem {
            refusals.append(
                refusal(
                    "kubeadm's ConfigMap kube-system/kubeadm-config could not be read, and the join would ask every master that it lists: \(problem)",
                    advice:
                        "see that this works on a master: kubectl get configmap kubeadm-config -n kube-system -o yaml"))
        }
        return refusals + network(facts, host, input) + endpoint(input) + staleEndpoints(input)
            + loginRefusals(input)
    }

    /// The new host is told its own address, and the interface that has it.
    private static func network(_ facts: HostFacts, _ host: Inventory.Host, _ input: PlanningInput) -> [Refusal] {
        guard let addresses = facts.addresses, !addresses.isEmpty else { return [] }
        let own = addresses.filter { IPAddress.canonical($0.address) == IPAddress.canonical(host.address) }.map(
            \.interface)
        guard !own.isEmpty else {
            return [
                refusal(
                    "\(host.name) has no interface with the address \(host.address), by which it would join",
                    advice: "write the address in the inventory that the other masters reach it by: ip -o addr, there")
            ]
        }
        guard let networks = input.state.inventory.ocboot?.hostNetworks, networks.contains("{address}") else {
            return []
        }
        let named = networks.split(separator: "/").prefix(2).map(String.init)
        guard !own.contains(where: named.contains) else { return [] }
        return [
            refusal(
                "\(host.name) has its address \(host.address) on \(own.listed), and ocboot.host_networks names \(named.listed)",
                advice: "set ocboot.host_networks: \(own[0])/br0/{address}")
        ]
    }

    /// Up to 1.18 kubeadm asks the etcd of every master that its ClusterStatus lists, and ends where one does not answer
    /// (kubernetes/kubeadm#1300).
    private static func staleEndpoints(_ input: PlanningInput) -> [Refusal] {
        let state = input.state
        guard let status = state.cluster.clusterStatus,
            let version = input.survivors.lazy.compactMap({ state.objects.node($0.node)?.kubernetes }).first,
            version < KubernetesVersion(1, 19)
        else { return [] }
        let known = Set(state.objects.nodes.map(\.name) + [input.dead.node])
        return status.endpoints.filter { !known.contains($0) }.map { name in
            refusal(
                "kubeadm's ClusterStatus (kube-system/kubeadm-config) lists \(name), which is no node: the join would ask its etcd, and fail",
                advice:
                    "where that master is gone for good, take it out of apiEndpoints: kubectl -n kube-system edit configmap kubeadm-config"
            )
        }
    }

    /// A new master joins by way of kubeadm's controlPlaneEndpoint, whatever address ocboot is given, and kubeadm takes in none
    /// where there is no such endpoint.
    private static func endpoint(_ input: PlanningInput) -> [Refusal] {
        guard let endpoint = input.state.cluster.cloud.controlPlaneEndpoint else { return [] }
        let configuration = "kubeadm's configuration (kube-system/kubeadm-config)"
        let advice =
            "set controlPlaneEndpoint there to the VIP, \(input.state.inventory.cluster.vip):\(input.state.inventory.cluster.apiPort): kubectl -n kube-system edit configmap kubeadm-config"
        guard !endpoint.isEmpty else {
            return [
                refusal("\(configuration) names no controlPlaneEndpoint, so that no master can join", advice: advice)
            ]
        }
        let gone = [input.dead.address] + (input.deadNode?.internalAddresses ?? [])
        guard gone.map(IPAddress.canonical).contains(IPAddress.canonical(endpointHost(endpoint))) else { return [] }
        return [
            refusal(
                "\(configuration) names the dead master's address as controlPlaneEndpoint: \(endpoint)", advice: advice)
        ]
    }

    /// Another address than the VIP may be a load balancer's, or a name of the VIP.
    package static func warnings(_ input: PlanningInput) -> [String] {
        let beyond = input.state.sourcesBeyondAll(input.replacement).map(\.text)
        let sources =
            beyond.isEmpty
            ? []
            : [
                "neither \(input.replacement.name) nor a master can open a connection to \(beyond.listed): see that images and packages are on \(input.replacement.name) already, or come by a mirror"
            ]
        return sources + otherEndpoint(input)
    }

    private static func otherEndpoint(_ input: PlanningInput) -> [String] {
        let vip = input.state.inventory.cluster.vip
        guard let endpoint = input.state.cluster.cloud.controlPlaneEndpoint, !endpoint.isEmpty,
            IPAddress.canonical(endpointHost(endpoint)) != IPAddress.canonical(vip)
        else { return [] }
        return [
            "the new master joins by way of kubeadm's controlPlaneEndpoint, which is \(endpoint) and not the VIP \(vip): see that it leads to a surviving master"
        ]
    }

    /// Without the port and an IPv6 address's brackets.
    private static func endpointHost(_ endpoint: String) -> String {
        if endpoint.hasPrefix("["), let end = endpoint.firstIndex(of: "]") {
            return String(endpoint[endpoint.index(after: endpoint.startIndex)..<end])
        }
        let parts = endpoint.split(separator: ":", omittingEmptySubsequences: false)
        return parts.count == 2 ? String(parts[0]) : endpoint
    }

    /// A login that ocboot will make from the primary, and that does not work there.
    package struct FailedLogin: Sendable, Hashable {
        package var login: OcbootLogin
        /// As it is told to people: `itself (10.0.0.1)`.
        package var name: String
        package var cause: String
        /// The host whose authorized_keys count: for the VIP, its holder.
        package var machine: Inventory.Host?

        /// The server answered, and took no key.
        package var isDenied: Bool { OcbootLogin.isDenied(cause) }
    }

    package static func failedLogins(_ input: PlanningInput) -> [FailedLogin] {
        let state = input.state
        guard let primary = input.primary, let host = state.inventory.host(named: primary.host),
            let denied = state.facts(host)?.deniedLogins
        else { return [] }
        var logins: [(login: OcbootLogin, name: String, machine: Inventory.Host?)] = [
            (
                OcbootLogin(input.replacement), "\(input.replacement.name) (\(input.replacement.address))",
                input.replacement
            ), (OcbootLogin(host), "itself (\(host.address))", host),
        ]
        let distribution = state.inventory.cluster.distribution
        // An old master that is to be fenced still holds the VIP: who will hold it is not known yet.
        if distribution.ocbootAsksVIP, !input.fences {
            logins.append((OcbootLogin(host, at: state.inventory.cluster.vip), "the VIP", state.vipHolders.first))
        }
        if distribution.ocbootNamesEveryMaster {
            logins += input.survivors.filter { $0.host != primary.host }.compactMap { survivor in
                state.inventory.host(named: survivor.host).map { (OcbootLogin($0), "\($0.name) (\($0.address))", $0) }
            }
        }
        return logins.compactMap { login, name, machine in
            denied[login.address].map { FailedLogin(login: login, name: name, cause: $0, machine: machine) }
        }
    }

    private static func loginRefusals(_ input: PlanningInput) -> [Refusal] {
        failedLogins(input).map { failed in
            let primary = input.primary?.host ?? ""
            return refusal(
                "\(primary) cannot log in to \(failed.name) by SSH without a password, as ocboot will: \(failed.cause)",
                advice: advice(failed, on: primary))
        }
    }

    private static func advice(_ failed: FailedLogin, on primary: String) -> String {
        let login = failed.login
        let options = login.port == 22 ? "" : "-p \(login.port) "
        // A directory user's name may have a backslash.
        func place(_ address: String) -> String { ShellQuoting.quote("\(login.user)@\(address)") }
        guard failed.isDenied else {
            return
                "see on \(primary) that this works: ssh \(options)\(place(login.address)) true; a port that is not 22 is named in the inventory: ssh.port"
        }
        // A key is kept on a machine, not on an address that moves.
        return
            "run on \(primary): ssh-copy-id \(options)\(place(failed.machine?.address ?? login.address)); where it has no key of its own yet: ssh-keygen first"
    }

    /// Compared with the primary's, whose certificates it will be shown.
    private static func clock(_ facts: HostFacts, _ host: Inventory.Host, _ input: PlanningInput) -> [Refusal] {
        guard let primary = input.primary, let reference = input.state.hosts[primary.host]?.facts else {
            return []
        }
        let clocks = [(host.name, facts.clockOffset), (primary.host, reference.clockOffset)]
        if let (name, _) = clocks.first(where: { $0.1 == nil }) {
            return [refusal("the clock of \(name) could not be read", advice: "run there: date +%s.%N")]
        }
        let offset = (facts.clockOffset ?? 0) - (reference.clockOffset ?? 0)
        guard abs(offset) > clockLimit else { return [] }
        return [
            refusal(
                "the clocks of \(host.name) and of the primary \(primary.host) are \(Int(abs(offset))) s apart",
                advice: "see which of them is right: masterswap check; set the other: chronyc makestep"
            )
        ]
    }
}
