public import Foundation
public import SSH

/// A long program on a host that goes on whatever becomes of the connection: detached under setsid(1), with its process, log and
/// exit status in a folder, to be joined again from anywhere.
///
/// A process id alone proves nothing, for it is given out again: `boot` holds the kernel's boot id and the uptime in seconds at
/// the start, `pid` the process id and its start time (field 22 of `/proc/PID/stat`), and both must be what they were.
public struct RemoteJob: Sendable {
    public enum State: Sendable, Hashable {
        case absent
        case running
        case ended(Int)
        /// Neither running nor ended: the host was restarted, or the program was killed, or never came to run.
        case lost
    }

    public struct Progress: Sendable {
        public var state: State
        /// What the log holds beyond the offset, at most 256 KiB.
        public var log: Data
    }

    /// Seconds in which a started shell writes its process id down; after them it never will.
    static let startLimit = 60

    package let remote: any Remote
    /// Of this job alone; its parent is made where it is not there.
    public let directory: String

    public init(_ remote: any Remote, directory: String) {
        self.remote = remote
        self.directory = directory
    }

    /// Starts the program, unless the job's folder is there: then somebody started it, and it is never started twice.
    /// - Throws: `SSHError`; ``ClusterError`` with `commandFailed`.
    public func start(_ command: [String], in workingDirectory: String, environment: [String] = []) async throws {
        let script = """
            umask 077
            directory=$1; work=$2; shift 2
            mkdir -p "$(dirname "$directory")" || exit 1
            cd "$work" || exit 1
            # With its boot in it from the first moment on: a folder that is there takes no other in its place.
            new=$(mktemp -d "$directory.XXXXXX") || exit 1
            read -r uptime _ </proc/uptime
            echo "$(cat /proc/sys/kernel/random/boot_id) ${uptime%.*}" >"$new/boot" || exit 1
            mv -T "$new" "$directory" 2>/dev/null || { rm -rf "$new"; [ -d "$directory" ] && exit 0; exit 1; }
            setsid sh -c '
                directory=$1; shift
                echo "$$ $(sed "s/.*) //" /proc/$$/stat | cut -d" " -f20)" >"$directory/pid.new" || exit 1
                mv "$directory/pid.new" "$directory/pid"
                "$@" >"$directory/log" 2>&1
                echo $? >"$directory/status.new" && mv "$directory/status.new" "$directory/status"
            ' sh "$directory" "$@" </dev/null >/dev/null 2>&1 &
            """
        let words = ["env"] + environment + command
        let result = try await remote.run(
            .script(
                script, [directory, workingDirectory] + words, timeout: .seconds(30),
                label: Self.label(command)))
        guard result.succeeded else {
            throw ClusterError(
                .commandFailed, host: remote.name,
                operation: "start \(ShellQuoting.join(command)) in \(workingDirectory)",
                cause: "\(result.outcome): \(result.errorText.lastLines(2))",
                advice: "see whether there is room and the folder is there")
        }
    }

    /// What a person is shown in place of the script.
    package static func label(_ command: [String]) -> String { "start " + ShellQuoting.join(command) }

    /// Where it stands, and what it printed since `offset` bytes.
    public func progress(after offset: Int) async throws -> Progress {
        let script = """
            directory=$1
            ended() { [ -f "$directory/status" ] && echo "ended $(cat "$directory/status")"; }
            alive() {
                read -r boot begun <"$directory/boot" && [ "$boot" = "$(cat /proc/sys/kernel/random/boot_id)" ] || return 1
                if read -r pid start 2>/dev/null <"$directory/pid"; then
                    case $(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f1,20) in
                        # Its shell was killed: what it started may still be at work.
                        "" | Z*) ps -o stat= -s "$pid" | grep -q '^[^Z]' ;;
                        *" $start") ;;
                        *) return 1 ;;
                    esac
                else
                    read -r uptime _ </proc/uptime
                    [ $((${uptime%.*} - begun)) -lt "$3" ]
                fi
            } 2>/dev/null
            if ended; then :
            elif [ ! -d "$directory" ]; then echo absent
            elif alive "$@"; then echo running
            else ended || echo lost; fi
            [ -f "$directory/log" ] && tail -c "+$2" "$directory/log" | head -c 262144
            true
            """
        let result = try await remote.run(
            .script(
                script, [directory, String(offset + 1), String(Self.startLimit)], timeout: .seconds(30),
                label: "follow \(directory)/log"))
        guard result.succeeded, let end = result.standardOutput.firstIndex(of: UInt8(ascii: "\n")) else {
            throw ClusterError(
                .badOutput, host: remote.name, operation: "follow \(directory)/log",
                cause: "\(result.outcome): \(result.errorText.lastLines(2))",
                advice: "look there: cat \(directory)/log")
        }
        let words = String(decoding: result.standardOutput[..<end], as: UTF8.self).split(separator: " ")
        let state: State =
            switch words.first {
            case "ended": .ended(words.count > 1 ? Int(words[1]) ?? 255 : 255)
            case "absent": .absent
            case "lost": .lost
            default: .running
            }
        return Progress(state: state, log: Data(result.standardOutput[(end + 1)...]))
    }
}
