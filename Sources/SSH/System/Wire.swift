/// Reads the data types of RFC 4251 §5, and never beyond the end.
struct WireReader<Bytes: Collection<UInt8>> {
    private var rest: Bytes.SubSequence

    init(_ bytes: Bytes) {
        rest = bytes[...]
    }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func byte() -> UInt8? {
        rest.popFirst()
    }

    mutating func uint32() -> UInt32? {
        guard rest.prefix(4).count == 4 else { return nil }
        defer { rest = rest.dropFirst(4) }
        return rest.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    mutating func skip(_ count: Int) -> Bool {
        guard rest.prefix(count).count == count else { return false }
        rest = rest.dropFirst(count)
        return true
    }

    mutating func string(limit: Int = 1 << 20) -> Bytes.SubSequence? {
        let before = rest
        guard let length = uint32(), length <= limit, rest.prefix(Int(length)).count == Int(length) else {
            rest = before
            return nil
        }
        defer { rest = rest.dropFirst(Int(length)) }
        return rest.prefix(Int(length))
    }
}

extension [UInt8] {
    /// Appends a uint32 of RFC 4251 §5.
    mutating func append(uint32 value: UInt32) {
        for shift in stride(from: 24, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: value >> UInt32(shift)))
        }
    }

    /// Appends a string of RFC 4251 §5: its length and its bytes.
    mutating func append(string value: some Collection<UInt8>) {
        append(uint32: UInt32(value.count))
        append(contentsOf: value)
    }
}
