public import Foundation

/// A command for a remote host: an argument vector, never a string that a shell could take for something else.
public struct Command: Sendable {
    /// The program and its arguments. ``ShellQuoting`` alone quotes them for the remote shell.
    public var arguments: [String] {
        didSet { (line, encodedLine) = Self.lines(arguments) }
    }
    /// The arguments, quoted for a POSIX shell; made once for all hosts.
    private(set) var line: String
    /// The same as one word for any login shell.
    private(set) var encodedLine: String
    /// Bytes for standard input, which is closed after them; `nil` closes it at once. Secrets must be passed here, because standard input
    /// is not visible in the remote process list.
    public var input: Data?
    /// The time from when the command has a connection until its exit status arrives; `nil` takes the pool's default. After that up to
    /// five seconds are spent on ending the remote process.
    public var timeout: Duration?
    /// The number of bytes that are kept of each of the two streams. The rest is read, dropped and counted.
    public var outputLimit: Int
    /// A text that is shown in place of the arguments, where those are long (a script) or not for a log.
    public var label: String?
    /// Set for a script that answers several questions in sections; a recording matches them by name.
    public var sections: Sections?

    /// The questions of one script.
    public struct Sections: Sendable, Hashable {
        public var names: [String]
        /// Those of the names that an older recording may lack: they read as not answered there.
        public var optional: Set<String> = []
        /// The random word with which this command's script marks the end of each section in its output.
        public var nonce: String

        public init(names: [String], nonce: String) {
            self.names = names
            self.nonce = nonce
        }
    }

    public init(
        _ arguments: [String], input: Data? = nil, timeout: Duration? = nil, outputLimit: Int = 16 << 20,
        label: String? = nil
    ) {
        self.arguments = arguments
        (line, encodedLine) = Self.lines(arguments)
        self.input = input
        self.timeout = timeout
        self.outputLimit = outputLimit
        self.label = label
    }

    private static func lines(_ arguments: [String]) -> (String, String) {
        let line = ShellQuoting.join(arguments)
        return (line, ShellQuoting.encodeForAnyShell(line))
    }

    /// A POSIX shell script, run as `sh -c SCRIPT sh ARGUMENTS…`; the arguments are `$1`, `$2`, … in it.
    public static func script(
        _ text: String, _ arguments: [String] = [], input: Data? = nil, timeout: Duration? = nil,
        outputLimit: Int = 16 << 20, label: String
    ) -> Command {
        Command(
            ["sh", "-c", text, "sh"] + arguments, input: input, timeout: timeout, outputLimit: outputLimit,
            label: label)
    }

    /// What a person is shown: the label, or the arguments as a shell would take them.
    public var display: String {
        label ?? line
    }
}
