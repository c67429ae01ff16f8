import Foundation
import Inventories
package import SSH

/// What etcd's database on a disk holds, read by etcdutl or etcdctl while no etcd has it open. A kubeadm master has neither of them but
/// in etcd's image, whose files are on its disk; they need no libraries.
package struct EtcdDatabase: Sendable, Hashable, Codable {
    package var revision: Int
    package var totalKey: Int
    package var hash: UInt32

    package static let path = Inventory.Distribution.kubeadm.etcdDataDirectory + "/member/snap/db"
    package static let label = "etcdctl snapshot status \(path) -w json"

    /// Shell text that defines `programs`: paths of etcd's own tools on this host, etcdutl first, which has taken this over in 3.6.
    private static let find = """
        programs() {
            for name in etcdutl etcdctl; do
                find /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots /var/lib/docker/overlay2 /var/lib/containers/storage/overlay -maxdepth 6 -path "*/usr/local/bin/$name" -type f 2>/dev/null
                command -v "$name"
            done
        }
        """

    package static func read(on remote: any Remote) async throws -> EtcdDatabase? {
        let result = try await remote.run(
            .script(
                """
                \(find)
                for program in $(programs); do
                    said=$(ETCDCTL_API=3 timeout 120 "$program" snapshot status "$1" -w json 2>/dev/null)
                    case $said in '{'*) printf '%s' "$said"; exit 0 ;; esac
                done
                exit 1
                """, [path], timeout: .seconds(300), label: label))
        return result.succeeded ? try? JSONDecoder().decode(EtcdDatabase.self, from: result.standardOutput) : nil
    }
}
