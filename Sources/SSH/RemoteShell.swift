import Foundation

/// The line that a login shell is given for a command. sh, bash, dash, ksh, zsh, busybox, fish and tcsh all read it in the same way.
///
/// It is `exec sh -c 'WRAPPER' sh MARKER SECONDS 'ARGUMENTS'`, in printable ASCII and without a quote, a backslash or an
/// exclamation mark that would mean something to one of those shells (``ShellQuoting``). The wrapper is for POSIX's sh alone: it decodes the
/// arguments, sets a variable of the environment to the marker and its process id and then becomes `timeout`, which becomes
/// the leader of its process group and ends with the status or by the signal of the command. So the command can be found and
/// ended (SSH has no usable channel signals in libssh2), and ends by itself where the connection was lost.
///
/// Before the command the wrapper prints the marker on standard output: what comes earlier is the login shell's own
/// (``MarkerFilter``), and where the marker never comes no shell ran the command at all (``LoginAnswer``).
struct RemoteShell: Sendable {
    /// A random word, new for each command, so that no other process and no output can be taken for the command's.
    let marker: String
    let line: String
    /// The prompt by which sudo asks for its password. The password is sent only after the prompt, because a password that sudo does not
    /// read would become the command's input.
    let prompt: String?
    let isElevated: Bool
    /// Sent before the command's own input: the arguments of a command that is too long for a request.
    let prologue: [UInt8]

    /// The marker always has the same length, so that a command's packets have known sizes.
    private static func newMarker() -> String {
        "ssh-" + String((0..<16).map { _ in "0123456789abcdef".randomElement()! })
    }

    /// The seconds by which the remote deadline is later than ours, so that ours is the one that reports.
    static let grace = 5

    /// libssh2 1.10 sends no packet longer than 35,000 bytes, and a request is one packet.
    static let longest = 30_000

    /// The variable's value is `MARKER:PID:`.
    private static let variable = "MASTERSWAP_COMMAND"

    /// `sh` with the script that runs `MARKER SECONDS ENCODED-ARGUMENTS`.
    private static let wrapper = "sh -c \(ShellQuoting.quoteForAnyShell(mark + decode + become)) sh"
    /// The same for `MARKER SECONDS`: the first line of its standard input has the arguments.
    private static let readingWrapper = "sh -c \(ShellQuoting.quoteForAnyShell(mark + read + become)) sh"
    /// `sh` with the script that runs `MARKER COMMAND…`. sudo starts it, and it says on standard error that sudo has done so.
    private static let announcing = "sh -c \(ShellQuoting.quoteForAnyShell("echo \"$0\" >&2; exec \"$@\""))"

    private static let mark = "export \(variable)=\"$1:$$:\"; echo \"$1\"; "
    private static let decode = "eval \"set -- $1 $2 $(printf %b \"$3\")\"; "
    /// A shell's `read` takes no byte beyond the line, which `head -c` of busybox does. It fails where the end of the line is missing:
    /// text that was cut short by a lost connection would be another command.
    private static let read = "IFS= read -r a || exit 125; eval \"set -- $1 $2 $(printf %b \"$a\")\"; "
    private static let become =
        "shift; if command -v timeout >/dev/null 2>&1; then set -- timeout -k 5 \"$@\"; else shift; fi; exec \"$@\""

    init(_ arguments: [String], timeout: Duration, become: Endpoint.Become) {
        self.init(Command(arguments), timeout: timeout, become: become)
    }

    init(_ command: Command, timeout: Duration, become: Endpoint.Become) {
        marker = Self.newMarker()
        // This is as much as every timeout(1) accepts.
        let seconds = min(max(timeout.milliseconds / 1000, 0), 1_000_000_000) + 1 + Self.grace
        let wrapped: String
        if command.encodedLine.utf8.count > Self.longest {
            prologue = Array("\(command.encodedLine)\n".utf8)
            wrapped = "\(Self.readingWrapper) \(marker) \(seconds)"
        } else {
            prologue = []
            wrapped = "\(Self.wrapper) \(marker) \(seconds) '\(command.encodedLine)'"
        }
        isElevated = become != .none
        switch become {
        case .none:
            (line, prompt) = ("exec \(wrapped)", nil)
        case .sudo(password: nil):
            (line, prompt) = ("exec sudo -n -- \(Self.announcing) \(marker) \(wrapped)", nil)
        case .sudo(password: _?):
            let prompt = "\(marker)-password:"
            (line, self.prompt) = (
                "exec sudo -S -p \(prompt) -- \(Self.announcing) \(marker) \(wrapped)", prompt
            )
        }
    }

    /// A command that ends the process group of this one: TERM, then KILL for what is left after a second.
    ///
    /// Its status is 0 where nothing is left but zombies, which `kill -0` would take for living processes. It is 1 where no process is
    /// found within a second: the command has not begun yet, has ended by itself, has emptied its environment, or there is no Linux
    /// `/proc`. A process belongs to the command if it has the variable with its own process id, or with that of its group, whose leader
    /// may have ended. What was started under `setsid` has neither, and is meant to outlive the command.
    ///
    /// The signal is given by `-s`, because dash takes `--` for a pid after `-TERM`.
    func killing(become: Endpoint.Become) -> RemoteShell {
        let script = """
            m=\(Self.variable)=$1
            found() {
            for f in $(grep -lsF "$m:" /proc/[0-9]*/environ); do
            p=${f#/proc/}
            p=${p%/environ}
            { read -r l <"/proc/$p/stat"; } 2>/dev/null || continue
            set -- ${l##*) }
            for p in $p $3; do grep -qsF "$m:$p:" "$f" && return; done
            done
            return 1
            }
            there() {
            for f in /proc/[0-9]*/stat; do
            { read -r l <"$f"; } 2>/dev/null || continue
            set -- ${l##*) }
            if [ "$3" = $p ] || [ "$f" = /proc/$p/stat ]; then [ "$1" = Z ] || return 0; fi
            done
            return 1
            }
            within_a_second() {
            for i in 1 2 3 4 5 6 7 8 9 10; do "$@" && return; sleep 0.1; done
            return 1
            }
            gone() { ! there; }
            within_a_second found || exit 1
            kill -s TERM -- -$p 2>/dev/null || kill -s TERM $p 2>/dev/null
            within_a_second gone && exit 0
            kill -s KILL -- -$p 2>/dev/null; kill -s KILL $p 2>/dev/null
            within_a_second gone
            """
        return RemoteShell(["sh", "-c", script, "sh", marker], timeout: .seconds(5), become: become)
    }
}
