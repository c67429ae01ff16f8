import Testing

@testable import SSH

@Suite struct LoginOutputTests {
    private func pass(_ text: String, by size: Int) -> (own: String, output: LoginOutput) {
        var output = LoginOutput(marker: "ssh-1")
        var own: [UInt8] = []
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: size) {
            Array(bytes[start..<min(start + size, bytes.count)]).withUnsafeBytes { own += output.pass($0) }
        }
        output.finish()
        return (String(decoding: own, as: UTF8.self), output)
    }

    @Test(arguments: [1, 2, 3, 7, 4096]) func whatFollowsTheMarkerIsTheCommands(size: Int) {
        for words in ["", "Welcome", "Welcome\n", "ssh-ssh-", "ssh-12\n"] {
            let (own, output) = pass(words + "ssh-1\nssh-1\nout\n", by: size)
            #expect(own == "ssh-1\nout\n")
            #expect(output.hasBegun)
            #expect(String(decoding: output.words, as: UTF8.self) == words)
        }
    }

    @Test(arguments: [1, 5, 4096]) func withoutAMarkerThereAreOnlyWords(size: Int) {
        let (own, output) = pass("1) node-a\n2) node-b\nssh-", by: size)
        #expect(own.isEmpty)
        #expect(!output.hasBegun)
        #expect(String(decoding: output.words, as: UTF8.self) == "1) node-a\n2) node-b\nssh-")
    }

    @Test func ofALongGreetingOnlyTheBeginningIsKept() {
        let (own, output) = pass(String(repeating: "x", count: 100_000) + "ssh-1\nout", by: 1000)
        #expect(own == "out")
        #expect(output.words.count == 4096)
    }
}
