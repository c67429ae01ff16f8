/// Separates what a stream has before the line with a command's marker, which ``RemoteShell`` prints, from the command's own output.
///
/// On standard output the login shell may print first (`.bashrc`, `/etc/profile.d`), and a forced command or a menu prints without ever
/// running the command. On standard error sudo asks for the password first, by a prompt that is removed and counted.
struct MarkerFilter {
    private let line: [UInt8]
    private let prompt: [UInt8]?
    /// The last bytes that may be the beginning of the line or of a prompt.
    private var held: [UInt8] = []
    /// Whether the line has come. All that follows is the command's, also text that looks like a prompt, as in the output of `ps`.
    private(set) var hasMarker = false
    /// How often sudo asked for the password.
    private(set) var prompts = 0

    init(marker: String, prompt: String? = nil) {
        line = Array("\(marker)\n".utf8)
        self.prompt = prompt.map { Array($0.utf8) }
    }

    /// - Returns: what comes before the line, without prompts, and what follows the line.
    mutating func pass(_ bytes: UnsafeRawBufferPointer) -> (before: [UInt8], after: [UInt8]) {
        if hasMarker { return ([], Array(bytes)) }
        held.append(contentsOf: bytes)
        if let prompt {
            while let range = held.firstRange(of: prompt),
                range.lowerBound < held.firstRange(of: line)?.lowerBound ?? held.endIndex
            {
                prompts += 1
                held.removeSubrange(range)
            }
        }
        if let range = held.firstRange(of: line) {
            hasMarker = true
            defer { held = [] }
            return (Array(held[..<range.lowerBound]), Array(held[range.upperBound...]))
        }
        let surplus = held.count - max(line.count, prompt?.count ?? 0) + 1
        guard surplus > 0 else { return ([], []) }
        defer { held.removeFirst(surplus) }
        return (Array(held[..<surplus]), [])
    }

    /// - Returns: the rest, where the stream ended before the line.
    mutating func finish() -> [UInt8] {
        defer { held = [] }
        return held
    }
}
