package import Inventories
package import SSH

/// How the last master of each kind is stopped, looked at and started again by a recovery, side by side.
extension Inventory.Distribution {
    /// What runs etcd there, as it is told to people.
    package var etcdRunner: String {
        switch self {
        case .kubeadm: "etcd"
        case .k3s: "k3s"
        }
    }

    /// What of etcd's folder its data are. k3s keeps the member's name beside them.
    package var etcdDataNames: [String] {
        switch self {
        case .kubeadm: ["member"]
        case .k3s: ["member", "name"]
        }
    }

    /// Where a snapshot lies on the host while it is restored. etcd's container sees its own folder alone.
    package var restoredSnapshot: String {
        switch self {
        case .kubeadm: etcdDataDirectory + "/masterswap-restore.db"
        case .k3s: "/var/lib/rancher/k3s/server/db/masterswap-restore.db"
        }
    }

    private var database: String { etcdDataDirectory + "/member/snap/db" }

    /// Makes a snapshot of the database that lies there, as `etcdctl snapshot save` writes one: its checksum at its end. etcd must be stopped.
    /// One that was cut off, and whose script is still at work, does not take this one's place.
    package var snapshotDatabase: Command {
        .script(
            """
            umask 077
            [ -f "$1" ] || { echo "$1 is not there" >&2; exit 1; }
            rm -f -- "$2" "$2".part*
            { cat -- "$1" && openssl dgst -sha256 -binary <"$1"; } >"$2.part.$$" && sync && mv -- "$2.part.$$" "$2" ||
                { rm -f -- "$2.part.$$"; exit 1; }
            """, [database, restoredSnapshot], timeout: .seconds(600),
            label:
                "cat \(database) >\(restoredSnapshot); openssl dgst -sha256 -binary \(database) >>\(restoredSnapshot)")
    }

    /// It holds every secret of the cluster.
    package var removeRestoredSnapshot: Command {
        .script(
            #"rm -f -- "$1" "$1".part*"#, [restoredSnapshot], timeout: .seconds(20),
            label: "rm -f -- \(restoredSnapshot)")
    }

    /// Where a reset has changed nothing yet, which the snapshot of the database that lies there shows: k3s may be started again.
    package static let unmarkUnchanged = Command.script(
        """
        head -c -32 -- "$2" | cmp -s - "$1" || exit 1
        echo \(ServerMark.stopped.rawValue) >"$3.new" && mv -f -- "$3.new" "$3"
        """, [Self.k3s.database, Self.k3s.restoredSnapshot, ServerMark.path], timeout: .seconds(300),
        label: "cmp \(Self.k3s.database) \(Self.k3s.restoredSnapshot)")

    /// Whether etcd's data have been replaced by a run, or may have been in part: ends with 0 then.
    package func areDataReplaced(by run: String, job: String) -> Command {
        switch self {
        case .kubeadm:
            .script(
                #"[ -e "$1/masterswap-restored-$2" ] || [ -e "$1/member-before-$2" ]"#, [etcdDataDirectory, run],
                timeout: .seconds(20), label: "look at \(etcdDataDirectory)")
        case .k3s:
            .script(
                #"[ -e "$1" ] || [ "$(cat "$2" 2>/dev/null)" = \#(ServerMark.restoring.rawValue) ]"#,
                [job, ServerMark.path],
                timeout: .seconds(20), label: "look at \(ServerMark.path)")
        }
    }

    /// What to do where etcd tells nothing.
    package var whyEtcdDoesNotRun: String {
        switch self {
        case .kubeadm:
            "the kubelet starts an etcd without a majority again and again, with pauses of up to five minutes: try again; if it never runs, see why: crictl ps -a, docker ps -a"
        case .k3s: "try again in a minute; if k3s never stays up, see why: journalctl -u k3s"
        }
    }

    /// Why the API server is waited for.
    package var apiServerComesBack: String {
        switch self {
        case .kubeadm: "It had no etcd: the kubelet starts it again, after five minutes at the latest."
        case .k3s: "It is a part of k3s, which has just been started."
        }
    }

    // MARK: Looking

    /// Questions about etcd on a master that nothing but itself may answer for.
    var survivorQuestions: [(name: String, script: String)] {
        switch self {
        case .kubeadm:
            [
                ("manifest", "[ -e \(EtcdManifest.path) ] || exit 44\ncat \(EtcdManifest.path)"),
                ("kept", "[ -e \(EtcdManifest.keptPath) ] || exit 44\ncat \(EtcdManifest.keptPath)"),
                (
                    "process",
                    """
                    \(Etcdctl.findProcess)
                    [ -n "$pid" ] || exit 0
                    if tr '\\0' '\\n' <"/proc/$pid/cmdline" | grep -q '^\(EtcdManifest.flag)'; then echo forced; else echo runs; fi
                    """
                ),
                (
                    "status",
                    "set -- \(ShellQuoting.join(Etcdctl.program + ["endpoint", "status", "-w", "json", "--command-timeout=3s"]))\n\(Etcdctl.inContainer)"
                ),
            ]
        case .k3s:
            [
                ("mark", "[ -e \(ServerMark.path) ] || exit 44\ncat \(ServerMark.path)"),
                (
                    "process",
                    """
                    case $(systemctl is-active k3s) in active | activating | reloading | deactivating) echo runs; exit 0 ;; esac
                    # No service, and yet it runs: a reset.
                    ! pidof k3s-server >/dev/null || echo forced
                    """
                ), ("obstacles", Self.resetObstacles),
                ("status", EtcdBeside.script),
            ]
        }
    }

    /// Shell text that prints what a reset would lack or not bear. It is given what `config.yaml` has, and nothing of what the unit gives.
    /// Names alone: the values may be secrets. A server URL is refused by k3s itself from 1.28.3 on.
    private static let resetObstacles = """
        for file in /etc/rancher/k3s/config.yaml /etc/rancher/k3s/config.yaml.d/*.yaml; do
            grep -qE "^[\\"']?server[\\"']?[[:space:]]*:" "$file" 2>/dev/null && echo "server in $file"
        done
        unit=/etc/systemd/system/k3s.service
        sed -n '/^ExecStart=/,/[^\\\\]$/p' "$unit" 2>/dev/null | tr -d "\\"'\\\\\\\\" | tr -s ' \\n\\t' ' ' |
            sed -E 's#--data-dir[= ]/var/lib/rancher/k3s( |$)# #' |
            grep -oE -- ' --(data-dir|config|node-ip|node-name|with-node-id|advertise-address|etcd-arg)[= ]' | tr -d '= ' | sort -u |
            while read -r name; do echo "$name in $unit"; done
        true
        """

    /// Shell text that prints what a recovery that was cut off has left, as ``HostFacts/Recovery``; nothing where it has left nothing.
    var recoveryLeftovers: String {
        switch self {
        case .kubeadm: EtcdManifest.leftovers
        case .k3s:
            """
            case $(cat \(ServerMark.path) 2>/dev/null) in
                \(ServerMark.stopped.rawValue)) echo \(HostFacts.Recovery.serverStopped.rawValue) ;;
                \(ServerMark.restoring.rawValue)) echo \(HostFacts.Recovery.restoring.rawValue) ;;
            esac
            true
            """
        }
    }

    // MARK: Stopping and starting etcd

    /// Stops etcd so that it stays so, also where the host restarts; where that is done already, nothing.
    package var stopEtcd: Command {
        switch self {
        case .kubeadm:
            // Where a restore was cut off, its manifest stands there, and the first one is kept already.
            .script(
                #"if [ -e "$2" ] && grep -q "data-dir=$3$" "$1" 2>/dev/null; then rm -f -- "$1"; fi; [ ! -e "$1" ] || mv -f -- "$1" "$2""#,
                [EtcdManifest.path, EtcdManifest.keptPath, EtcdManifest.restoredPath],
                timeout: .seconds(20), label: "mv \(EtcdManifest.path) \(EtcdManifest.keptPath)")
        case .k3s:
            .script(
                """
                [ -e "$1" ] || { umask 077; echo \(ServerMark.stopped.rawValue) >"$1"; } || exit 1
                systemctl disable k3s && systemctl stop k3s
                """, [ServerMark.path], timeout: .seconds(150), label: "systemctl disable k3s; systemctl stop k3s")
        }
    }

    /// Has the kubelet know nothing but what its folder holds; `nil` where etcd is no static pod.
    ///
    /// One that has not reached the API server since its own start takes no static pod away (`deletePod` of kubelet.go: "sources aren't
    /// ready yet"), and from 1.22 on none of that name is started in its place (kubernetes/kubernetes#44450, #109596).
    package var restartKubelet: Command? {
        switch self {
        case .kubeadm: Command(["systemctl", "restart", "kubelet"], timeout: .seconds(60))
        case .k3s: nil
        }
    }

    /// Ends an etcd that the kubelet has left running; a kubelet that was restarted starts only what its folder holds. `nil` where etcd is
    /// no static pod.
    package var endEtcd: Command? {
        switch self {
        case .kubeadm:
            .script(
                """
                \(Etcdctl.findProcess)
                [ -z "$pid" ] || kill "$pid"
                """, timeout: .seconds(20), label: "kill etcd")
        case .k3s: nil
        }
    }

    /// Starts etcd as it was before ``stopEtcd``; where that is done already, nothing. Without data it would begin an empty cluster, of
    /// which every kubelet would delete its pods.
    package var startEtcd: Command {
        let hasData = """
            [ -d "\(etcdDataDirectory)/member/wal" ] || { echo "\(etcdDataDirectory) has no data: an empty cluster would begin" >&2; exit 1; }
            """
        switch self {
        case .kubeadm:
            return .script(
                """
                [ -e "$1" ] || exit 0
                \(hasData)
                mv -f -- "$1" "$2"
                """, [EtcdManifest.keptPath, EtcdManifest.path], timeout: .seconds(20),
                label: "mv \(EtcdManifest.keptPath) \(EtcdManifest.path)")
        case .k3s:
            return .script(
                """
                [ -e "$1" ] || exit 0
                if [ "$(cat "$1")" = \(ServerMark.restoring.rawValue) ]; then echo "a restore has not come to its end" >&2; exit 1; fi
                \(hasData)
                if [ "$(systemctl is-active k3s)" = inactive ] && pidof k3s-server >/dev/null; then echo "k3s server --cluster-reset is at work" >&2; exit 1; fi
                systemctl enable k3s && systemctl start --no-block k3s && rm -f -- "$1"
                """, [ServerMark.path], timeout: .seconds(60), label: "systemctl enable k3s; systemctl start k3s")
        }
    }

    /// Writes down how far a recovery is with k3s' data.
    package static func mark(_ mark: ServerMark) -> Command {
        .script(
            #"umask 077; echo "$2" >"$1.new" && mv -f -- "$1.new" "$1""#, [ServerMark.path, mark.rawValue],
            timeout: .seconds(20), label: "write \(ServerMark.path)")
    }

    /// What ``stopEtcd`` changes, in the words of a plan.
    package func stopping(on host: String) -> String {
        switch self {
        case .kubeadm:
            "etcd on \(host): stopped, its manifest kept in \(EtcdManifest.keptPath); a kubelet that leaves it running is restarted"
        case .k3s: "k3s on \(host), with etcd and the API server in it: stopped and disabled; its containers run on"
        }
    }

    // MARK: The members at the peer port

    /// Shell text that prints etcd's members as JSON, of the member on this host: its own word, which needs no majority. Where it cannot be
    /// asked it ends with 1, and standard error says why.
    package func peerMembers() -> String {
        let (file, place, authority, certificate, key) =
            switch self {
            case .kubeadm:
                (
                    EtcdManifest.path,
                    "sed -n 's|^ *- --listen-peer-urls=https://\\([^, ]*\\).*|\\1|p' \(EtcdManifest.path) | head -n 1",
                    "ca.crt", "peer.crt", "peer.key"
                )
            // During a reset it listens on 127.0.0.1 alone.
            case .k3s:
                (
                    "\(etcdDataDirectory)/config",
                    "sed -n 's/^listen-peer-urls: *//p' \(etcdDataDirectory)/config | tr ',' '\\n' | sed -n 's|.*https://\\([^\"]*\\).*|\\1|p' | tail -n 1",
                    "peer-ca.crt", "peer-server-client.crt", "peer-server-client.key"
                )
            }
        return """
            place=$(\(place))
            [ -n "$place" ] || { echo "\(file) does not say where etcd listens for its peers" >&2; exit 1; }
            cd \(certificateDirectory)/etcd || exit 1
            said=$(printf 'GET /members HTTP/1.0\\r\\n\\r\\n' | timeout 10 openssl s_client -quiet -verify_return_error -connect "$place" -CAfile \(authority) -cert \(certificate) -key \(key) 2>&1)
            list=$(printf '%s\\n' "$said" | grep '^\\[{.*}\\]')
            [ -n "$list" ] || { printf 'https://%s/members: %s\\n' "$place" "$(printf '%s' "$said" | tail -n 1)" >&2; exit 1; }
            printf '%s\\n' "$list"
            """
    }
}

/// What a recovery writes down on a master whose k3s it has stopped, until it is started again.
package enum ServerMark: String, Sendable, Hashable {
    /// Its data are whole.
    case stopped
    /// They are being replaced by a snapshot's.
    case restoring

    package static let path = "/var/lib/rancher/k3s/server/db/masterswap-recovery"
}
