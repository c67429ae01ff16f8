import Foundation

extension Sequence where Element == UInt8 {
    /// Two lower-case digits a byte, as sha256sum(1) prints them.
    package var hexadecimal: String { map { String(format: "%02x", $0) }.joined() }
}
