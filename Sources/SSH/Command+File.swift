import Crypto
import Foundation

// The scripts that write files on a host. POSIX sh with the coreutils of CentOS 7 (8.22).
//
// SFTP is not used: with OpenSSH its rename fails where the file exists, and with libssh2 1.10 it is slow over any distance.
extension Command {
    /// The exit status where the file has other contents than expected. The other statuses of the scripts are 91, bytes are missing; 92,
    /// not a file; 93, the file cannot be written.
    static let fileHasChanged: Int32 = 90

    /// Longer contents are checked by their length alone, because SSH has authenticated every byte.
    private static let longestHashed = 8 << 20

    /// `$1` path, `$2` length, `$3` SHA-256 or nothing. Standard input is complete only if as many bytes came as were sent: a
    /// connection that is lost in the middle looks like its end.
    private static let receiveScript = """
        set -u; umask 077
        fail() { s=$1; shift; printf '%s\\n' "$*" >&2; exit "$s"; }
        digest() { sha256sum | cut -d ' ' -f 1; }
        t=$1 size=$2 sum=$3
        case $t in /*/*) d=${t%/*} ;; *) d= ;; esac
        tmp=$(mktemp "$d/.${t##*/}.XXXXXXXX") || exit 93
        trap 'rm -f -- "$tmp"' EXIT; trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
        cat >"$tmp" || exit 93
        [ "$(wc -c <"$tmp")" -eq "$size" ] || fail 91 "$(wc -c <"$tmp") of $size bytes arrived"
        if [ -n "$sum" ] && command -v sha256sum >/dev/null 2>&1; then
        [ "$(digest <"$tmp")" = "$sum" ] || fail 91 'the bytes that arrived are not those that were sent'
        fi
        """

    static func writing(_ contents: Data, to path: String, mode: UInt16) -> Command {
        let script = """
            \(receiveScript)
            chmod "$4" "$tmp" && sync "$tmp" 2>/dev/null || sync
            [ "$(stat -c %a "$tmp")" = "$4" ] || fail 93 "the mode $4 could not be set"
            mv -fT -- "$tmp" "$t" || exit 93
            trap - EXIT
            """
        let sum = contents.count > longestHashed ? "" : digest(contents)
        return .script(
            script, [path, String(contents.count), sum, String(mode & 0o7777, radix: 8)], input: contents,
            label: "write \(path)")
    }

    /// The comparison is the last act before the rename. A change by others in between is lost; POSIX has no way to prevent that.
    static func replacing(_ path: String, expected: Data, with contents: Data) -> Command {
        let script = """
            t=$(readlink -f -- "$1") && [ -f "$t" ] || { printf 'not a file: %s\\n' "$1" >&2; exit 92; }
            shift; set -- "$t" "$@"
            \(receiveScript)
            chown --reference="$t" -- "$tmp" && chmod --reference="$t" -- "$tmp" || exit 93
            if command -v chcon >/dev/null 2>&1; then chcon --reference="$t" -- "$tmp" 2>/dev/null || :; fi
            sync "$tmp" 2>/dev/null || sync
            [ "$(wc -c <"$t")" -eq "$4" ] && [ "$(digest <"$t")" = "$5" ] || fail 90 'it holds other contents by now'
            mv -fT -- "$tmp" "$t" || exit 93
            trap - EXIT
            """
        return .script(
            script,
            [path, String(contents.count), digest(contents), String(expected.count), digest(expected)], input: contents,
            label: "replace \(path)")
    }

    private static func digest(_ contents: Data) -> String {
        SHA256.hash(data: contents).map { String(format: "%02x", $0) }.joined()
    }
}
