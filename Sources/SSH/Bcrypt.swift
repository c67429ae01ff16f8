import Crypto
import Foundation

/// bcrypt_pbkdf, by which OpenSSH makes a cipher's key from the passphrase of a private key (OpenSSH's PROTOCOL.key; OpenBSD's
/// bcrypt_pbkdf.c): PBKDF2 with SHA-512 whose inner function is bcrypt with 64 iterations.
///
/// libssh2 has it too, but decrypts the key for each connection, which takes 233 ms of processor time for each host.
struct Bcrypt: ~Copyable {
    static func deriveKey(passphrase: some DataProtocol, salt: some DataProtocol, rounds: Int, count: Int) -> [UInt8] {
        let blockSize = 32
        let blocks = (count + blockSize - 1) / blockSize
        let hashedPassphrase = Array(SHA512.hash(data: passphrase))
        var key = [UInt8](repeating: 0, count: count)
        for block in 0..<blocks {
            var numberedSalt = Array(salt)
            numberedSalt.append(uint32: UInt32(block + 1))
            var output = hash(hashedPassphrase, Array(SHA512.hash(data: numberedSalt)))
            var mixed = output
            for _ in 1..<max(rounds, 1) {
                output = hash(hashedPassphrase, Array(SHA512.hash(data: output)))
                for index in mixed.indices { mixed[index] ^= output[index] }
            }
            // Unlike those of PBKDF2, the blocks are interleaved: each one gives every `blocks`th byte of the key.
            for index in mixed.indices where index * blocks + block < count {
                key[index * blocks + block] = mixed[index]
            }
        }
        return key
    }

    /// - Parameters: both of 64 bytes.
    private static func hash(_ passphrase: [UInt8], _ salt: [UInt8]) -> [UInt8] {
        let (key, data) = (words(passphrase), words(salt))
        let cipher = Bcrypt()
        cipher.expand(key: key, data: data)
        for _ in 0..<64 {
            cipher.expand(key: data)
            cipher.expand(key: key)
        }
        var text = words(Array("OxychromaticBlowfishSwatDynamite".utf8))
        for _ in 0..<64 {
            for index in stride(from: 0, to: text.count, by: 2) {
                (text[index], text[index + 1]) = cipher.encrypt(text[index], text[index + 1])
            }
        }
        return text.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) } }
    }

    private static func words(_ bytes: [UInt8]) -> [UInt32] {
        stride(from: 0, to: bytes.count, by: 4).map { index in
            bytes[index..<index + 4].reduce(0) { $0 << 8 | UInt32($1) }
        }
    }

    // MARK: Blowfish, as far as bcrypt needs it

    /// 18 words of P, then four S-boxes of 256.
    private let state: UnsafeMutableBufferPointer<UInt32>

    private init() {
        state = .allocate(capacity: Self.initial.count)
        _ = state.initialize(from: Self.initial)
    }

    deinit {
        state.deallocate()
    }

    private func encrypt(_ left: UInt32, _ right: UInt32) -> (UInt32, UInt32) {
        var (left, right) = (left ^ state[0], right)
        for round in stride(from: 1, through: 15, by: 2) {
            right ^= mix(left) ^ state[round]
            left ^= mix(right) ^ state[round + 1]
        }
        return (right ^ state[17], left)
    }

    @inline(__always)
    private func mix(_ word: UInt32) -> UInt32 {
        let (a, b) = (state[18 + Int(word >> 24)], state[274 + Int(word >> 16 & 255)])
        let (c, d) = (state[530 + Int(word >> 8 & 255)], state[786 + Int(word & 255)])
        return ((a &+ b) ^ c) &+ d
    }

    /// - Parameter data: 16 words that are mixed in, none by default.
    private func expand(key: [UInt32], data: [UInt32] = [0]) {
        for index in 0..<18 { state[index] ^= key[index % key.count] }
        var (left, right): (UInt32, UInt32) = (0, 0)
        var next = 0
        for index in stride(from: 0, to: state.count, by: 2) {
            (left, right) = encrypt(left ^ data[next % data.count], right ^ data[(next + 1) % data.count])
            (state[index], state[index + 1]) = (left, right)
            next += 2
        }
    }

    /// The cipher begins with the fractional part of pi: 1,042 words. They are calculated, so that nobody has to check a table.
    private static let initial: [UInt32] = {
        let count = 18 + 4 * 256
        // Machin's formula, in fixed point with one word before the point and two more than are wanted behind it.
        let pi = difference(arctangent(of: 5, times: 16, count + 3), arctangent(of: 239, times: 4, count + 3))
        return Array(pi[1...count])
    }()

    /// `factor` × arctan(1/`x`) by its series.
    private static func arctangent(of x: UInt64, times factor: UInt32, _ count: Int) -> [UInt32] {
        var power = [UInt32](repeating: 0, count: count)
        power[0] = factor
        var start = 0
        divide(&power, by: x, from: &start)
        var positive = power
        var negative = [UInt32](repeating: 0, count: count)
        var divisor: UInt64 = 1
        while start < count {
            divide(&power, by: x * x, from: &start)
            divisor += 2
            var term = power
            var termStart = start
            divide(&term, by: divisor, from: &termStart)
            if divisor % 4 == 3 { add(term, to: &negative) } else { add(term, to: &positive) }
        }
        return difference(positive, negative)
    }

    /// - Parameter start: of the first word that is not zero.
    private static func divide(_ number: inout [UInt32], by divisor: UInt64, from start: inout Int) {
        var remainder: UInt64 = 0
        for index in start..<number.count {
            let part = remainder << 32 | UInt64(number[index])
            number[index] = UInt32(part / divisor)
            remainder = part % divisor
        }
        while start < number.count, number[start] == 0 { start += 1 }
    }

    private static func add(_ term: [UInt32], to sum: inout [UInt32]) {
        var carry: UInt64 = 0
        for index in sum.indices.reversed() {
            carry += UInt64(sum[index]) + UInt64(term[index])
            sum[index] = UInt32(truncatingIfNeeded: carry)
            carry >>= 32
        }
    }

    private static func difference(_ minuend: [UInt32], _ subtrahend: [UInt32]) -> [UInt32] {
        var result = minuend
        var borrow: Int64 = 0
        for index in result.indices.reversed() {
            borrow += Int64(minuend[index]) - Int64(subtrahend[index])
            result[index] = UInt32(truncatingIfNeeded: borrow)
            borrow >>= 32
        }
        return result
    }
}
