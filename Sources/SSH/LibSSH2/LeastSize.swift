/// The least number of bytes that messages take on the wire: with blocks of 8 bytes, the smallest, and 4 of padding (RFC 4253 §6).
/// Who waits for one of them need not wake for less.
struct LeastSize {
    /// Of a packet's MAC.
    private let mac: Int

    /// - Parameter mac: the algorithm's name; one that is not known counts for nothing.
    init(mac: String) {
        self.mac =
            switch mac {
            case "hmac-sha2-512": 64
            case "hmac-sha2-256": 32
            case "hmac-sha1": 20
            default: 0
            }
    }

    /// A version line of 10 bytes and a proposal with one name of usual length in each list (RFC 4253 §4.2, §7.1).
    static let greeting = 128

    func packet(_ payload: Int) -> Int {
        (4 + 1 + payload + 4 + 7) / 8 * 8 + mac
    }

    /// Success or failure of a channel's request (RFC 4254 §5.4).
    var answer: Int { packet(1 + 4) }
    /// A status; a signal takes more (RFC 4254 §6.10).
    var exit: Int { packet(1 + 4 + (4 + "exit-status".utf8.count) + 1 + 4) }
    /// RFC 4254 §5.3.
    var close: Int { packet(1 + 4) }
}
