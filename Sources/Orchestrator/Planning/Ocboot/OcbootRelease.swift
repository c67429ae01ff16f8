package import Inventories

/// How ocboot's releases differ where a join is concerned, in one table: read in the source of each, and tried with its own roles
/// (docs/ocboot.md has the revisions and what they did).
package struct OcbootRelease: Sendable, Hashable {
    /// As it is told to people.
    package var name: String
    /// The first release of the row, and the first of the next one.
    package var from: [Int]
    package var before: [Int]
    /// Has roles for k3s. The branches release/3.11.8 to 3.12 have none; the tags master-v3.11.8 and what came of them do.
    package var hasK3s: Bool
    /// Ansible: the first version that its roles run with, and the first that they do not.
    package var ansible: (from: [Int], before: [Int]?)
    /// A user that is not root gets `become`.
    var takesOtherUsers: Bool
    /// On kubeadm: logs in to the VIP on the primary's SSH port only. 3.8 goes to port 22 for the join token, those with k3s to see
    /// whether k3s runs there, whatever the configuration says.
    var takesPortOfVIP: Bool
    /// What it does to the cloud stands under the tag `cloud`, its reboots under `reboot` and `kernel`.
    var hasTags: Bool
    /// Restarts the new host for its own kernel, tags or not.
    package var restartsNewHost: Bool
    /// A requirement of every host that it names.
    var processors: Int
    var memoryGiB: Int
    /// Host names that it refuses, as the beginning of one.
    var refusesNamesWithADigitFirst: Bool
    /// Debian and Ubuntu have to be started with `systemd.unified_cgroup_hierarchy=0`.
    var needsOldCgroups: Bool
    /// The operating systems that it takes, by os-release's ID, and their versions, the first part of VERSION_ID; empty where it takes
    /// any. Within one version it may want a later one (CentOS 7.9).
    package var systems: [String: [String]]
    /// Files with the database's password that a run leaves, absolute or beneath its directory.
    package var leftovers: [String]
    /// What it does to the survivors that it names and to the cluster, in spite of all that is skipped. The drill
    /// `Tests/Drills/ocboot --roles` holds each to what the roles do.
    package var effects: [Inventory.Distribution: [String]]

    package static func == (left: Self, right: Self) -> Bool { left.name == right.name }
    package func hash(into hasher: inout Hasher) { hasher.combine(name) }

    private static let packages =
        "writes its package repository and installs packages there, some at their latest version"
    private static let firewall =
        "flushes iptables on the hosts that it names and sets their policies to ACCEPT; turns firewalld off"
    private static let selinux =
        "switches SELinux off there where it is on: permissive at once, and disabled in /etc/selinux/config"
    private static let system =
        "sets kernel parameters (sysctl) and loads kernel modules there; writes cron jobs, /etc/profile and root's .bashrc"
    private static let bootLoader =
        "sets up GPUs there: kernel arguments and the cloud's kernel in the boot loader, modules that are not to be loaded, an initramfs"
    private static let credentials = "writes the cloud's credentials into /root/.onecloud_rcadmin of the primary"

    /// On kubeadm only.
    private static let docker =
        "writes /etc/docker/daemon.json and /etc/sysconfig/kubelet on the primary and the new host, and restarts docker and the kubelet"
    private static let images = "pulls the cloud's images on the primary where no bootstrap token is alive"
    private static let cipherSuites =
        "adds --tls-cipher-suites to kube-apiserver.yaml of the primary where it is not there, which restarts that API server"
    private static let addons =
        "patches coredns and calico-kube-controllers, so that they run on controllers only"

    /// On k3s only.
    private static let keepalived =
        "writes keepalived.yaml of every master: the primary becomes MASTER with priority 100, the others BACKUP with 90"
    private static let k3sFiles =
        "writes /etc/rancher/k3s/config.yaml, k3s.service and k3s.service.env of the survivors, without restarting k3s; copies its k3s over /usr/local/bin/k3s"
    private static let k3sManifests =
        "writes calico.yaml, traefik-config.yaml and traefik-ds.yaml into /var/lib/rancher/k3s/server/manifests of the primary, which k3s applies to the cluster at once"
    private static let k3sAgent =
        "v3.11.8 also installs and enables k3s-agent.service on every master, which the next start of the host starts beside k3s"
    private static let users = "adds a user yunion and sets sudo's secure_path there"
    private static let hostConfiguration =
        "writes /etc/yunion/host.conf of the survivors that run the host service, with its defaults"

    /// From 4.0 on.
    private static let commands = "writes wrappers for ceph, rbd and Open vSwitch into /usr/local/bin there"
    private static let commandImages = "pulls the images of these commands there"

    private static let onEveryKubeadm = [firewall, selinux, docker, packages, system, images]
    private static let onKubeadm = onEveryKubeadm + [addons]
    /// By a release that makes k3s clusters otherwise.
    private static let onK3sReleases = onEveryKubeadm + [cipherSuites]
    private static let onK3s = [firewall, selinux, packages, system, users, keepalived, k3sFiles, k3sManifests]
    private static let systemsOf39 = [
        "centos": ["7"], "debian": ["10", "11"], "openeuler": ["22"], "kylin": ["v10"], "uos": ["20"],
    ]
    private static let systemsOf310 = [
        "almalinux": ["8"], "anolis": ["8"], "centos": ["7", "8"], "debian": ["10", "11"], "kylin": ["v10"],
        "opencloudos": ["8"], "openeuler": ["22"], "rocky": ["8"], "ubuntu": ["22"],
    ]
    private static let systemsOf311 = systemsOf310.merging(["openeuler": ["22", "24"], "ubuntu": ["20", "22"]]) { $1 }
    // Debian 12 for k3s only.
    private static let systemsOf311WithK3s = systemsOf311.merging(["ctyunos": [], "debian": ["10", "11", "12"]]) { $1 }
    private static let systemsOf40 = systemsOf311WithK3s.merging([
        "almalinux": ["8", "9", "10"], "anolis": [], "arch": [], "centos": ["7", "8", "9", "10"],
        "debian": ["10", "11", "12", "13"], "kylin": ["v10", "v11"], "opencloudos": ["8", "9"],
        "rocky": ["8", "9", "10"], "ubuntu": ["20", "22", "24", "25"],
    ]) { $1 }
    private static let inTemporaryFolder = ["/tmp/host_inventory.yml", "/tmp/oc_vars.yml"]
    private static let inItsFolder = ["host_inventory.yml", "oc_vars.yml", "/tmp/onecloud-manifests.yaml"]

    package static let all: [OcbootRelease] = [
        OcbootRelease(
            name: "3.8", from: [3, 0], before: [3, 9], hasK3s: false, ansible: ([2, 9], [2, 10]),
            takesOtherUsers: false, takesPortOfVIP: false,
            hasTags: false, restartsNewHost: true, processors: 0, memoryGiB: 0, refusesNamesWithADigitFirst: true,
            needsOldCgroups: false, systems: [:], leftovers: inTemporaryFolder,
            effects: [
                .kubeadm: [
                    firewall, selinux, docker, packages + ", a kernel and systemd among them", system, images,
                    bootLoader, credentials,
                ]
            ]),
        OcbootRelease(
            name: "3.9", from: [3, 9], before: [3, 10], hasK3s: false, ansible: ([2, 9, 27], [2, 12]),
            takesOtherUsers: false, takesPortOfVIP: true,
            hasTags: true, restartsNewHost: false, processors: 4, memoryGiB: 6, refusesNamesWithADigitFirst: true,
            needsOldCgroups: false, systems: systemsOf39, leftovers: inTemporaryFolder,
            effects: [.kubeadm: onKubeadm]),
        OcbootRelease(
            name: "3.10", from: [3, 10], before: [3, 11], hasK3s: false, ansible: ([2, 11, 12], [2, 12]),
            takesOtherUsers: false, takesPortOfVIP: true,
            hasTags: true, restartsNewHost: false, processors: 4, memoryGiB: 6, refusesNamesWithADigitFirst: false,
            needsOldCgroups: true, systems: systemsOf310, leftovers: inTemporaryFolder,
            effects: [.kubeadm: onKubeadm + [cipherSuites]]),
        // VERSION is v3.11.10 at most up to release/3.11.13 and in 3.12, whose roles newer Ansibles do not take: "Conditional is marked
        // as unsafe". It is v3.11.13 in release/3.11.14. A cloud that runs 3.12 finds the row of this name either way.
        OcbootRelease(
            name: "3.11 and 3.12", from: [3, 11], before: [3, 11, 11], hasK3s: false, ansible: ([2, 11, 12], [2, 12]),
            takesOtherUsers: true, takesPortOfVIP: true, hasTags: true, restartsNewHost: false, processors: 4,
            memoryGiB: 6,
            refusesNamesWithADigitFirst: false, needsOldCgroups: true, systems: systemsOf311,
            leftovers: inTemporaryFolder,
            effects: [.kubeadm: onKubeadm + [cipherSuites]]),
        OcbootRelease(
            name: "3.11 and 3.12", from: [3, 11, 11], before: [4, 0], hasK3s: false, ansible: ([2, 11, 12], nil),
            takesOtherUsers: true, takesPortOfVIP: true, hasTags: true, restartsNewHost: false, processors: 4,
            memoryGiB: 6,
            refusesNamesWithADigitFirst: false, needsOldCgroups: true, systems: systemsOf311,
            leftovers: inTemporaryFolder,
            effects: [.kubeadm: onKubeadm + [cipherSuites]]),
        OcbootRelease(
            name: "3.11 with k3s", from: [3, 11], before: [4, 0], hasK3s: true, ansible: ([2, 11, 12], nil),
            takesOtherUsers: true, takesPortOfVIP: false, hasTags: true, restartsNewHost: false, processors: 4,
            memoryGiB: 6,
            refusesNamesWithADigitFirst: false, needsOldCgroups: true, systems: systemsOf311WithK3s,
            leftovers: inTemporaryFolder + inItsFolder,
            effects: [.kubeadm: onK3sReleases, .k3s: onK3s + [k3sAgent]]),
        OcbootRelease(
            name: "4.0", from: [4, 0], before: [5, 0], hasK3s: true, ansible: ([2, 11, 12], nil), takesOtherUsers: true,
            takesPortOfVIP: false,
            hasTags: true, restartsNewHost: false, processors: 4, memoryGiB: 6, refusesNamesWithADigitFirst: false,
            needsOldCgroups: true, systems: systemsOf40, leftovers: inTemporaryFolder + inItsFolder,
            effects: [
                .kubeadm: onK3sReleases + [commands, commandImages],
                .k3s: onK3s + [commands, commandImages, hostConfiguration],
            ]),
    ]
}

extension OcbootRelease {
    /// The row of a release: of what VERSION says, or of what runs.
    /// - Parameter version: `v3.8.17`, `v3.11.9-20240911.0`.
    /// - Returns: `nil` for one that nobody has looked at.
    package static func find(_ version: String, hasK3s: Bool) -> OcbootRelease? {
        guard let numbers = numbers(version) else { return nil }
        return all.first { row in
            row.hasK3s == hasK3s && !numbers.lexicographicallyPrecedes(row.from)
                && numbers.lexicographicallyPrecedes(row.before)
        }
    }

    /// `v3.11.9` as 3, 11, 9; `nil` where it does not begin so.
    package static func numbers(_ version: String) -> [Int]? {
        let numbers = version.drop { $0 == "v" }.split(separator: ".").prefix(3).map {
            Int($0.prefix(while: \.isNumber))
        }
        return numbers.count >= 2 && !numbers.contains(nil) ? numbers.compactMap(\.self) : nil
    }

    /// What ocboot makes of new masters for a version of the cloud; `nil` where it depends on the branch or tag: from 3.11.8 to 3.12 the
    /// tags master-v3.11.8 and later make k3s, the branches release/3.11.8 to 3.12 kubeadm.
    package static func distribution(ofCloud version: String) -> Inventory.Distribution? {
        guard let numbers = numbers(version) else { return nil }
        if numbers.lexicographicallyPrecedes([3, 11, 8]) { return .kubeadm }
        return numbers.lexicographicallyPrecedes([4]) ? nil : .k3s
    }

    /// Whether its roles run with that Ansible.
    package func runs(withAnsible version: String) -> Bool {
        guard let numbers = Self.numbers(version) else { return false }
        return !numbers.lexicographicallyPrecedes(ansible.from)
            && ansible.before.map { numbers.lexicographicallyPrecedes($0) } ?? true
    }

    /// Up to 2.9 they come with Ansible.
    package static func needsCollections(_ ansible: String) -> Bool {
        numbers(ansible).map { !$0.lexicographicallyPrecedes([2, 10]) } ?? false
    }

    package var ansibleText: String {
        func text(_ numbers: [Int]) -> String { numbers.map(String.init).joined(separator: ".") }
        return text(ansible.from) + (ansible.before.map { " or newer, before \(text($0))" } ?? " or newer")
    }

    /// What pip installs for it: an Ansible with the collections that its roles use, in a version that its roles were run with
    /// (docs/ocboot.md). Releases without an upper bound take up to 9, as ocboot's own README says.
    package var ansiblePackage: String {
        switch ansible.before {
        case [2, 10]?: "ansible==2.9.27"
        case .some: "ansible==4.10.0"
        case nil: "ansible>=4.10.0,<10"
        }
    }

    /// The newest tag of ocboot's k3s for each 3.11, in its public repository as of August 2026; from 4.0 on there are branches.
    private static let k3sTags = [8: "-3", 9: "-3", 10: "-1", 11: "-3", 12: "-6", 13: "-0"]

    /// The branch or tag of ocboot's public repository for a cloud of that version.
    /// - Parameter version: what runs: `v3.8.8`.
    /// - Returns: `nil` where none is known.
    package static func revision(for version: String, _ distribution: Inventory.Distribution) -> String? {
        guard let numbers = numbers(version) else { return nil }
        let patch = numbers.count > 2 ? numbers[2] : 0
        switch (distribution, numbers[0], numbers[1]) {
        case (.kubeadm, 3, 6...10): return "release/3.\(numbers[1])"
        // Those below 3.11.7 have no branch of their own, and that of 3.11 goes on.
        case (.kubeadm, 3, 11): return patch > 14 ? "release/3.11" : "release/3.11.\(max(patch, 7))"
        case (.kubeadm, 3, 12): return "release/3.12"
        case (.k3s, 3, 11): return k3sTags[patch].map { "master-v3.11.\(patch)\($0)" }
        case (_, 4, 0): return patch > 4 ? "release/4.0" : "release/4.0.\(patch)"
        default: return nil
        }
    }
}
