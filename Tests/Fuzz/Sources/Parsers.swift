import Foundation

@testable import SSH

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What libFuzzer calls with each input: the first byte chooses the parser, the rest is what it reads. A crash or an endless loop is a
/// finding; an error that is thrown is an answer.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    guard let choice = bytes.first, let parser = Parser(rawValue: choice % UInt8(Parser.allCases.count)) else {
        return 0
    }
    parser.read(Array(bytes.dropFirst()))
    return 0
}

enum Parser: UInt8, CaseIterable {
    case privateKey, knownHosts, configuration, revokedKeys, agentKeys, agentSignature, packets, banner, marker

    func read(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        switch self {
        case .privateKey: _ = try? PrivateKeyFile(path: "key", contents: Data(bytes))
        case .knownHosts:
            let hosts = KnownHosts(parsing: text, file: "known_hosts")
            for (host, port) in [("host.example", 22), ("10.0.0.1", 2222)] {
                for entry in hosts.entries(host: host, port: port) {
                    _ = hosts.judge(host: host, port: port, key: entry.key)
                }
            }
        case .configuration: _ = try? UserConfiguration(parsing: text, host: "host", environment: [:])
        case .revokedKeys: _ = try? RevokedKeys(Data(bytes))
        case .agentKeys: _ = try? AgentClient.keys(in: bytes, of: "agent")
        case .agentSignature: _ = try? AgentClient.signature(in: bytes)
        case .packets:
            // Each packet with its length in one byte.
            let observer = PacketObserver()
            var rest = bytes[...]
            while let length = rest.popFirst() {
                let packet = Array(rest.prefix(Int(length)))
                rest = rest.dropFirst(Int(length))
                packet.withUnsafeBytes(observer.observe)
            }
            _ = observer.inputs
        case .banner: Self.readBanner(bytes)
        case .marker:
            var filter = MarkerFilter(marker: "marker", prompt: "password: ")
            for start in stride(from: 0, to: bytes.count, by: 7) {
                bytes[start..<min(start + 7, bytes.count)].withUnsafeBytes { _ = filter.pass($0) }
            }
            _ = filter.finish()
            _ = TerminalText.line(text)
        }
    }

    /// As a server sends it that says no more after that.
    private static func readBanner(_ bytes: [UInt8]) {
        var ends: [Int32] = [0, 0]
        guard bytes.count < 64 << 10, socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else { return }
        defer { for end in ends { close(end) } }
        _ = bytes.withUnsafeBytes { send(ends[0], $0.baseAddress, $0.count, Int32(MSG_DONTWAIT)) }
        shutdown(ends[0], Int32(SHUT_WR))
        var exchange = VersionExchange()
        var buffer = [UInt8](repeating: 0, count: 16)
        while !exchange.isOver, exchange.receive(ends[1], &buffer, buffer.count, 0) > 0 {}
    }
}
