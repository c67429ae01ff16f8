/// Separates what a login shell prints by itself from the output of a command.
///
/// Startup files of the login shell may print (`.bashrc`, `/etc/profile.d`), and a forced command or a menu prints without ever
/// running the command. The output of a command begins after the line with the command's marker, which ``RemoteShell`` prints.
struct LoginOutput {
    private let line: [UInt8]
    /// The last bytes that may be the beginning of the marker's line.
    private var held: [UInt8] = []
    /// The first bytes that came before the marker, at most `kept`.
    private(set) var words: [UInt8] = []
    /// The marker was seen: everything after it is the command's.
    private(set) var hasBegun = false

    /// Enough for an error message.
    private static let kept = 4096

    init(marker: String) {
        line = Array("\(marker)\n".utf8)
    }

    /// - Returns: what belongs to the command.
    mutating func pass(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        if hasBegun { return Array(bytes) }
        held.append(contentsOf: bytes)
        if let range = held.firstRange(of: line) {
            hasBegun = true
            keep(held[..<range.lowerBound])
            let own = Array(held[range.upperBound...])
            held = []
            return own
        }
        let surplus = held.count - (line.count - 1)
        if surplus > 0 {
            keep(held[..<surplus])
            held.removeFirst(surplus)
        }
        return []
    }

    /// No more will come.
    mutating func finish() {
        keep(held[...])
        held = []
    }

    private mutating func keep(_ bytes: ArraySlice<UInt8>) {
        words.append(contentsOf: bytes.prefix(Self.kept - words.count))
    }
}
