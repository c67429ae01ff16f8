/// Finds the programs that provision a storage class by the words of the provisioner's name: nothing in the API connects the two.
enum Provisioners {
    /// Words that many provisioners have in their names.
    private static let common: Set<String> = [
        "csi", "io", "com", "org", "net", "dev", "driver", "k8s", "x-k8s", "sigs", "k8s-sigs", "kubernetes", "storage",
        "local", "nfs", "disk", "block", "file", "provisioner", "cluster", "hostpath",
    ]

    static func services(of provisioner: String, among services: [Service]) -> [Service] {
        let parts = provisioner.lowercased().split(separator: "/", maxSplits: 1)
        let domain = parts.first.map { $0.split(separator: ".").map(String.init) } ?? []
        let words: [String]
        if parts.count == 2 {
            // `rancher.io/local-path`, `openebs.io/local`, `cluster.local/nfs-subdir-external-provisioner`.
            let last = String(parts[1])
            words = common.contains(last) ? [last] + domain.filter { !common.contains($0) }.prefix(1) : [last]
        } else {
            // A CSI driver: `topolvm.io`, `local.csi.openebs.io`, `driver.longhorn.io`.
            words = Array(domain.filter { !common.contains($0) }.prefix(1))
        }
        guard !words.isEmpty else { return [] }
        let named = services.filter { service in
            if let own = service.provisionerName, own != provisioner { return false }
            let text = service.words.joined(separator: " ").lowercased()
            return words.allSatisfy(text.contains)
        }
        // What says of itself that it provisions comes before what only has the word in its name, and a workload before a pod alone:
        // provisioners start helper pods.
        func preferred(_ services: [Service], _ isBetter: (Service) -> Bool) -> [Service] {
            let better = services.filter(isBetter)
            return better.isEmpty ? services : better
        }
        let provisioning = preferred(named) { service in
            service.words.contains { $0.lowercased().contains("provisioner") }
        }
        return preferred(provisioning) { !$0.isSinglePod }
    }
}
