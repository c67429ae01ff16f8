import Foundation
import Testing

@testable import SSH

/// On standard output, where the login shell prints before the command does.
@Suite struct MarkerFilterTests {
    private func pass(_ text: String, by size: Int) -> (words: String, own: String, hasMarker: Bool) {
        var filter = MarkerFilter(marker: "ssh-1")
        var (words, own) = ([UInt8](), [UInt8]())
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: size) {
            Array(bytes[start..<min(start + size, bytes.count)]).withUnsafeBytes {
                let (before, after) = filter.pass($0)
                words += before
                own += after
            }
        }
        words += filter.finish()
        return (String(decoding: words, as: UTF8.self), String(decoding: own, as: UTF8.self), filter.hasMarker)
    }

    @Test(arguments: [1, 2, 3, 7, 4096]) func whatFollowsTheMarkerIsTheCommands(size: Int) {
        for words in ["", "Welcome", "Welcome\n", "ssh-ssh-", "ssh-12\n"] {
            let passed = pass(words + "ssh-1\nssh-1\nout\n", by: size)
            #expect(passed.own == "ssh-1\nout\n")
            #expect(passed.hasMarker)
            #expect(passed.words == words)
        }
    }

    @Test(arguments: [1, 5, 4096]) func withoutAMarkerThereAreOnlyWords(size: Int) {
        let passed = pass("1) node-a\n2) node-b\nssh-", by: size)
        #expect(passed.own.isEmpty)
        #expect(!passed.hasMarker)
        #expect(passed.words == "1) node-a\n2) node-b\nssh-")
    }

    @Test func ofALongGreetingOnlyTheBeginningIsKept() throws {
        let shell = RemoteShell(["true"], timeout: .seconds(1), become: .none)
        var exchange = Execution.Exchange(shell: shell, password: nil, outputLimit: 1000)
        let text = Array((String(repeating: "x", count: 100_000) + "\(shell.marker)\nout").utf8)
        for start in stride(from: 0, to: text.count, by: 1000) {
            try Array(text[start..<min(start + 1000, text.count)]).withUnsafeBytes {
                try exchange.receive($0, isError: false)
            }
        }
        exchange.finish()
        #expect(exchange.output.bytes == Data("out".utf8))
        #expect(exchange.greeting.bytes.count == 4096)
    }
}
