import Foundation
import Inventories
package import SSH

/// What etcd's database on a disk holds, read by etcdutl or etcdctl while no etcd has it open. A kubeadm master has neither of them but
/// in etcd's container, from which they are taken before it is stopped; they need no libraries.
package struct EtcdDatabase: Sendable, Hashable, Codable {
    package var revision: Int
    /// `nil` where only the revision is known, as the member told it before it was stopped.
    package var totalKey: Int?
    package var hash: UInt32?

    package init(revision: Int, totalKey: Int? = nil, hash: UInt32? = nil) {
        self.revision = revision
        self.totalKey = totalKey
        self.hash = hash
    }

    package static let path = Inventory.Distribution.kubeadm.etcdDataDirectory + "/member/snap/db"
    package static let label = "etcdctl snapshot status \(path) -w json"

    private static let programs = "/run/masterswap-etcd"

    /// Keeps etcd's own tools for ``read(on:)``. What other containers have by these names is not run: it may be anybody's.
    package static func keepPrograms(on remote: any Remote) async throws {
        _ = try await remote.run(
            .script(
                """
                \(Etcdctl.findProcess)
                [ -n "$pid" ] || exit 1
                rm -rf -- "$1" && mkdir -m 0700 -- "$1" || exit 1
                for name in etcdutl etcdctl; do
                    for folder in usr/local/bin usr/bin bin; do
                        [ -e "$1/$name" ] || [ ! -f "/proc/$pid/root/$folder/$name" ] || cp -- "/proc/$pid/root/$folder/$name" "$1/"
                    done
                done
                """, [programs], timeout: .seconds(60), label: "keep etcd's own tools in \(programs)"))
    }

    package static func read(on remote: any Remote) async throws -> EtcdDatabase? {
        let result = try await remote.run(
            .script(
                """
                trap 'rm -rf -- "$2"' EXIT
                for name in etcdutl etcdctl; do
                    said=$(ETCDCTL_API=3 timeout 120 "$2/$name" snapshot status "$1" -w json 2>/dev/null)
                    case $said in '{'*) printf '%s' "$said"; exit 0 ;; esac
                done
                exit 1
                """, [path, programs], timeout: .seconds(300), label: label))
        return result.succeeded ? try? JSONDecoder().decode(EtcdDatabase.self, from: result.standardOutput) : nil
    }
}
