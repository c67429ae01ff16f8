import Foundation

/// Addresses as text, so that two ways of writing one address compare as equal.
package enum IPAddress {
    /// The one way of writing an address: `[FD00:0:0::1%eth0]` is `fd00::1`. What is no address comes back in lower case.
    package static func canonical(_ text: some StringProtocol) -> String {
        // Almost every address is IPv4, which has one way of writing only.
        if text.utf8.allSatisfy({ $0 == UInt8(ascii: ".") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) {
            return String(text)
        }
        let bare = text.drop { $0 == "[" }.prefix { $0 != "]" && $0 != "%" }
        var bytes = in6_addr()
        guard inet_pton(AF_INET6, String(bare), &bytes) == 1 else { return text.lowercased() }
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(AF_INET6, &bytes, &buffer, socklen_t(buffer.count)) != nil else { return text.lowercased() }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// An address of one machine only: neither the loopback's nor a link's own.
    static func isOfOneMachine(_ address: String) -> Bool {
        !address.hasPrefix("127.") && !address.hasPrefix("169.254.") && address != "::1"
            && !address.lowercased().hasPrefix("fe80:")
    }

    /// The host in a URL: `https://[fd00::1]:2380` is `fd00::1`.
    package static func host(ofURL url: String) -> String? {
        guard let scheme = url.range(of: "://") else { return nil }
        let authority = url[scheme.upperBound...].prefix { $0 != "/" }
        let host =
            authority.hasPrefix("[")
            ? authority.dropFirst().prefix { $0 != "]" } : authority.prefix { $0 != ":" }
        return host.isEmpty ? nil : canonical(host)
    }

    /// As it stands before a port: IPv6 in brackets.
    package static func inURL(_ address: String) -> String { address.contains(":") ? "[\(address)]" : address }
}
