public import SSH

/// Takes a master out of the cluster from its own side: its kubelet stopped, its keepalived and etcd manifests moved away.
public enum Fence {
    /// Where the manifests go; outside of the manifest folder, every file of which the kubelet would run.
    static let directory = "/var/lib/masterswap/fenced"

    /// - Returns: what was done, in words.
    /// - Throws: `SSHError` where the host does not answer; ``ClusterError`` where it could not be fenced.
    public static func run(_ remote: any Remote, _ distribution: Inventory.Distribution) async throws -> String {
        // etcd and keepalived outlive their kubelet: their containers are ended too, by their own processes.
        let script = """
            set -e
            umask 077
            mkdir -p "$2"
            for name in keepalived.yaml etcd.yaml; do
                [ -e "$1/$name" ] && mv -f "$1/$name" "$2/$name" && echo "moved $1/$name to $2"
            done
            if command -v systemctl >/dev/null && systemctl list-unit-files 2>/dev/null | grep -q '^kubelet'; then
                systemctl disable --now kubelet >/dev/null 2>&1 || true
            fi
            for name in kubelet keepalived etcd; do
                pids=$(pidof "$name" || true)
                [ -z "$pids" ] || { kill $pids && echo "ended $name"; }
            done
            true
            """
        let result = try await remote.run(
            .script(
                script, [distribution.manifestDirectory, directory], timeout: .seconds(60),
                label: "fence the old master"))
        guard result.succeeded else {
            throw ClusterError(
                .commandFailed, host: remote.name, operation: "fence the old master",
                cause: "\(result.outcome): \(result.errorText.lastLines(2))", advice: "shut it down for good instead")
        }
        return result.text.split(separator: "\n").joined(separator: "; ")
    }
}
