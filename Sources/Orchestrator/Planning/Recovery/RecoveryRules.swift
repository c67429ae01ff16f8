import Cluster
import Foundation
import Inventories
import SSH

/// What is asked before a survivor becomes a cluster of its own. The one harm to prevent is two clusters: the others may never be at work
/// again with the data that they have.
struct RecoveryRules {
    static let quorum = "quorum-is-lost"
    static let others = "others-are-dead"
    static let members = "members-are-known"
    static let survivor = "survivor-is-sound"
    static let data = "etcd-data-is-usable"
    static let room = "room-is-left"

    let state: ClusterState
    let survivor: Inventory.Host
    let facts: HostFacts
    let etcd: SurvivorEtcd
    let request: RecoveryRequest
    let room: Int?
    let now: Date

    /// The inventory's other masters, and a spare that a join has made a member.
    var others: [Inventory.Host] {
        state.inventory.hosts.filter { host in
            host.name != survivor.name && (host.role == .master || members(of: host).contains { !hasNothing($0, host) })
        }
    }

    /// A member that never started, of a machine that is bare again: nothing of it can come back.
    private func hasNothing(_ member: EtcdMember, _ host: Inventory.Host) -> Bool {
        !member.isStarted && state.facts(host)?.isBare == true
    }

    /// IDs of members of which nothing can come back.
    var unstarted: [String] {
        state.inventory.hosts.filter { $0.role == .spare }.flatMap { host in
            members(of: host).filter { hasNothing($0, host) }
        }.map(\.id)
    }

    private var distribution: Inventory.Distribution { state.inventory.cluster.distribution }

    var isUnfinished: Bool { etcd.manifest?.isForcing == true && request.snapshot == nil }

    func refusal(_ rule: String, _ reason: String, advice: String, isUnreachable: Bool = false) -> Refusal {
        Refusal(rule, reason, advice: advice, isUnreachable: isUnreachable)
    }

    var refusals: [Refusal] {
        // Where etcd works, nothing else is worth saying.
        if let works = quorumIsThere { return [works] }
        return othersAreDead + membersAreKnown + survivorIsSound + dataIsUsable + roomIsLeft
    }

    // MARK: The quorum

    /// The API server there answers.
    static func works(_ source: String) -> Refusal {
        Refusal(
            quorum, "the API server on \(source) answers: etcd has a majority",
            advice: "nothing is to be recovered; replace what is dead: masterswap check")
    }

    private var quorumIsThere: Refusal? {
        guard !isUnfinished else { return nil }
        if let source = state.cluster.source { return Self.works(source) }
        if let leader = etcd.status?.leader {
            return refusal(
                Self.quorum, "etcd on \(survivor.name) knows a leader, \(leader): it has a majority",
                advice: "see why no API server answers: masterswap check")
        }
        return nil
    }

    // MARK: The others

    private var othersAreDead: [Refusal] {
        guard !others.isEmpty else {
            return [
                refusal(
                    Self.others, "the inventory names no other master than \(survivor.name)",
                    advice: "name every master that there was, so that it is looked whether they are dead")
            ]
        }
        return others.flatMap(objections)
    }

    private func objections(_ host: Inventory.Host) -> [Refusal] {
        let leave =
            if host.role == .master {
                livingMaster
            } else if members(of: host).allSatisfy({ !$0.isStarted }) {
                "its member has never started, and has no data: see that no join runs there, and take off what it left: \(distribution.resetName); then recover again"
            } else {
                "it is a member by a join that was begun: shut it down, and install it again before it is used"
            }
        switch state.hosts[host.name] {
        case .reached:
            return [refusal(Self.others, "\(host.name) answers over SSH", advice: leave)]
        case .failed(let failure):
            switch failure.sign {
            case .inconclusive:
                return [
                    refusal(
                        Self.others, "whether \(host.name) is alive cannot be seen: \(failure.message)",
                        advice: "repair the way to it, or ask from a machine that is on its network",
                        isUnreachable: true)
                ]
            case .alive:
                return [
                    refusal(Self.others, "\(host.name) is alive on the network: \(failure.message)", advice: leave)
                ]
            case .unresponsive, .noRoute: return objections(bySurvivor: host, leave)
            }
        case nil:
            return [
                refusal(
                    Self.others, "nobody looked whether \(host.name) lives", advice: "look again: masterswap check")
            ]
        }
    }

    /// What to do with a master beside the survivor that lives: two of five are no majority.
    private var livingMaster: String {
        let masters = state.inventory.masters
        let living = masters.filter { state.facts($0) != nil || !state.lifeSigns(of: $0.name).isEmpty }.count
        let voters = etcd.members.filter { !$0.isLearner }.count
        let quorum = Quorum(voting: voters == 0 ? masters.count : voters, healthy: living)
        let revision = etcd.status.map { ", which is at \($0.revision) on \(survivor.name)" } ?? ""
        return quorum.isThere
            ? "a master that lives has the cluster's data, too: bring its etcd back, and there is a majority again; only where it is to go for good, shut it down first"
            : "a master that lives has the cluster's data, too, and no majority with this one (\(quorum.needed) of \(quorum.voting)): bring back more of them; where that is in vain, see which of those that live has the higher revision of etcd\(revision), recover from that one, and shut the others down for good before"
    }

    /// Silence here says little: a firewall or a cable between us and it gives the same. The survivor must be sure, too.
    private func objections(bySurvivor host: Inventory.Host, _ leave: String) -> [Refusal] {
        let alive = state.lifeSigns(of: host.name)
        guard alive.isEmpty else {
            return alive.map { refusal(Self.others, "\(host.name) is alive, seen from \($0.text)", advice: leave) }
        }
        let sight = sight(of: host)
        guard sight.isUnresponsive else {
            return [
                refusal(
                    Self.others, "that \(host.name) is dead is seen from here only: \(sight.text)",
                    advice:
                        "try again in a minute; if it stays so, find out whether it is on: it has to be shut down for good"
                )
            ]
        }
        return []
    }

    private func addresses(of host: Inventory.Host) -> [String] {
        Array(uniqued: state.watchedAddresses(of: host.name) + members(of: host).flatMap(\.addresses))
    }

    private func sight(of host: Inventory.Host) -> PeerSight {
        PeerSight(by: survivor.name, facts.peers, of: addresses(of: host))
    }

    func dead(_ host: Inventory.Host) -> RecoveryPlan.Dead {
        let member = members(of: host).first
        let addresses = addresses(of: host)
        return RecoveryPlan.Dead(
            host: host.name,
            node: member.map { distribution.nodeName(ofMember: $0.name) } ?? host.node ?? host.name.lowercased(),
            address: host.address,
            addresses: RequestedNode.further(Set(addresses), than: [host.address]), memberID: member?.id,
            signs: ["it does not answer here", sight(of: host).text]
                + members(of: host).map { "etcd member \($0.id) does not answer \(survivor.name)" })
    }

    // MARK: etcd's members

    /// By its addresses, or by the name that the inventory has for its node.
    private func members(of host: Inventory.Host) -> [EtcdMember] {
        let names = Set([host.node, host.name].compactMap { $0?.lowercased() })
        return etcd.others.filter { member in
            member.addresses.contains(host.address)
                || names.contains(distribution.nodeName(ofMember: member.name).lowercased())
        }
    }

    private var membersAreKnown: [Refusal] {
        var refusals: [Refusal] = etcd.answering.map { id in
            refusal(
                Self.others, "etcd member \(id) answers \(survivor.name)",
                advice: "its machine is at work: find out which one it is by its address: masterswap check")
        }
        if isUnfinished, !etcd.others.isEmpty {
            refusals.append(
                refusal(
                    Self.members,
                    "etcd on \(survivor.name) has \(etcd.others.count) more members, and \(EtcdManifest.flag) in its manifest: with it, each start of it forgets them",
                    advice: "take that line out of \(EtcdManifest.path) by hand, before anything else"))
        }
        for member in etcd.others
        where !unstarted.contains(member.id)
            && !others.contains(where: { members(of: $0).contains(member) })
        {
            refusals.append(
                refusal(
                    Self.members,
                    "etcd member \(member.id) '\(member.name)' at \(member.addresses.joined(separator: ", ")) is no master of the inventory: nobody looked whether it lives",
                    advice:
                        "find out whose it is by its address, and add that host to the inventory"
                ))
        }
        return refusals
    }

    // MARK: The survivor

    private var survivorIsSound: [Refusal] {
        var facts = facts
        // Where etcd is a part of the process with kubelet and containerd in it, that one ends and begins again without a majority, and
        // on data that are not usable: what of it runs at one moment says nothing.
        if !distribution.hasEtcdctl { (facts.kubeletRuns, facts.runtimes) = (true, ["k3s"]) }
        var refusals = SurvivorsAreSound.objections(facts, of: survivor.name, at: nil, distribution).map {
            refusal(Self.survivor, $0.reason, advice: $0.advice)
        }
        switch facts.keepalived {
        case .manifest(let manifest) where !manifest.virtualIPs.contains(state.inventory.cluster.vip):
            refusals.append(
                refusal(
                    Self.survivor,
                    "keepalived on \(survivor.name) is for \(manifest.virtualIPs.listed), the inventory's VIP is \(state.inventory.cluster.vip)",
                    advice: "correct the one that is wrong"))
        case .manifest: break
        case .absent:
            refusals.append(
                refusal(
                    Self.survivor, "\(survivor.name) has no keepalived manifest",
                    advice: "it has to hold the VIP: write one as on the other masters"))
        case .unreadable(let why):
            refusals.append(
                refusal(
                    Self.survivor, "keepalived's manifest on \(survivor.name): \(why)", advice: "look at the file there"
                ))
        }
        let strangers = state.vipHolders.filter { $0.name != survivor.name }
        refusals += strangers.map {
            refusal(
                Self.survivor, "\($0.name) holds the VIP", advice: "take it off that host first: ip addr del")
        }
        return refusals
    }

    private var dataIsUsable: [Refusal] {
        var refusals = etcd.obstacles.map { obstacle in
            refusal(
                Self.data,
                "k3s on \(survivor.name) is given \(obstacle), which 'k3s server --cluster-reset' lacks or refuses",
                advice:
                    "write there what it needs into /etc/rancher/k3s/config.yaml, without 'server'; then recover again")
        }
        guard request.snapshot == nil else { return refusals + snapshotIsNeeded }
        if etcd.isPutAside {
            let left: HostFacts.Recovery =
                etcd.mark == .restoring || etcd.manifest?.isRestoring == true
                ? .restoring : etcd.mark == .stopped ? .serverStopped : .stopped
            return [refusal(Self.data, left.reason, advice: left.advice(on: survivor.name))]
        }
        if distribution.hasEtcdctl {
            guard let manifest = etcd.manifest else { return [noManifest] }
            if manifest.restoring(token: "x") == nil { refusals.append(strangeManifest) }
        }
        guard let own = etcd.own else { return refusals + [untold] }
        if own.isLearner {
            refusals.append(
                refusal(
                    Self.data, "etcd on \(survivor.name) is a learner: it may not have all of the data",
                    advice: "recover from another master; \(offer)"))
        }
        return refusals
    }

    /// What a master has itself is newer than any snapshot.
    private var snapshotIsNeeded: [Refusal] {
        if let own = etcd.own, !own.isLearner, !etcd.isLeftover {
            return [
                refusal(
                    Self.data,
                    "etcd on \(survivor.name) tells its members: its data are usable, and newer than any snapshot\(etcd.status.map { ", at revision \($0.revision)" } ?? "")",
                    advice: "recover from them: masterswap recover \(survivor.name), without --snapshot")
            ]
        }
        guard distribution.hasEtcdctl else { return [] }
        guard let manifest = etcd.kept ?? etcd.manifest else { return [noManifest] }
        return manifest.restoring(token: "x") == nil ? [strangeManifest] : []
    }

    private var noManifest: Refusal {
        refusal(
            Self.data, "\(survivor.name) has no \(EtcdManifest.path)",
            advice: "find out what became of it; the copy of another day is in a snapshot's folder: masterswap snapshot"
        )
    }

    private var strangeManifest: Refusal {
        refusal(
            Self.data, "\(EtcdManifest.path) on \(survivor.name) is not written as kubeadm writes it",
            advice:
                "see that its command begins with a line '- etcd', has --name, --initial-advertise-peer-urls and \(distribution.etcdDataDirectory), and that its image's tag is etcd's release"
        )
    }

    /// The snapshots that are here.
    private var offer: String {
        let known = request.known.prefix(3).map { "\(ShellQuoting.quote($0.path)) (\($0.text(at: now)))" }
        return "where its data are damaged, restore a snapshot: masterswap recover \(survivor.name) --snapshot "
            + (known.isEmpty ? "FILE, which has to be brought here" : known.joined(separator: ", or "))
    }

    var untold: Refusal {
        refusal(
            Self.data,
            "etcd on \(survivor.name) does not tell its members: \(etcd.problems.isEmpty ? "it is not in its own list" : etcd.problems.joined(separator: "; "))",
            advice: "\(distribution.whyEtcdDoesNotRun); \(offer)")
    }

    // MARK: Room

    /// The data directory comes here.
    private var roomIsLeft: [Refusal] {
        var refusals: [Refusal] = []
        let database = etcd.databaseBytes ?? 0
        // A snapshot lies there, and data are made of it beside the old ones; k3s copies its data at each start.
        let there = max(2 * (database >> 10), etcd.dataKiB ?? 0) + 2 * ((request.snapshot?.bytes ?? database) >> 10)
        if let available = etcd.availableKiB, available < there {
            refusals.append(
                refusal(
                    Self.room,
                    "\(distribution.etcdDataDirectory) on \(survivor.name) has \(available >> 10) MiB left, \(there >> 10) MiB are needed",
                    advice: "make room there"))
        }
        let needed = ((etcd.dataKiB ?? 0) << 10) + database + (64 << 20)
        if let room, room < needed {
            refusals.append(
                refusal(
                    Self.room,
                    "\(room >> 20) MiB are free on this machine, the copies need \(needed >> 20) MiB",
                    advice: "make room, or name another place in MASTERSWAP_STATE"))
        }
        return refusals
    }
}
