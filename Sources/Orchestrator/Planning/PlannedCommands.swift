package import Cluster
package import Inventories
package import SSH

/// Commands as they are told when they are given, before they are: by the same labels.
package enum PlannedCommands {
    package static func told(_ host: String, _ command: Command) -> String { "\(host): \(command.display)" }
}

extension Plan {
    /// Stands for the run's name, which a plan does not have yet.
    package static let runName = "RUN"

    /// What kubectl's flags follow.
    package var kubectlVersion: KubernetesVersion? { kubectlClient ?? kubernetes }

    package func told(_ host: String, _ command: Command) -> String { PlannedCommands.told(host, command) }

    /// kubectl is given on the primary, as long as that one answers.
    package func kubectl(_ arguments: [String]) -> String { "\(primary.host): \(Kubectl.label(arguments))" }
    package func etcdctl(_ arguments: [String]) -> String { "\(primary.host): \(Etcdctl.label(arguments))" }

    /// What is asked for the members of etcd and their health.
    package func memberQuestions(_ distribution: Inventory.Distribution) -> [String] {
        if distribution.hasEtcdctl { return [etcdctl(Etcdctl.listArguments), etcdctl(Etcdctl.healthArguments)] }
        return ["\(primary.host): \(EtcdBeside.membersLabel)"]
            + (survivors.map(\.host) + [replacement.host]).map { "\($0): \(EtcdBeside.label)" }
    }

    package func deletion(_ object: ObjectReference, force: Bool = false) -> String {
        kubectl(Kubectl.deletion(object, version: kubectlVersion, force: force).arguments)
    }
}
