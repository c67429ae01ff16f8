import Foundation
import TestSupport
import Testing

@testable import SSH

struct TerminalTextTests {
    @Test func controlCharactersAreShownAndNotObeyed() {
        #expect(TerminalText.sanitize("plain\ttext\nwith é, 漢字 and 🙂") == "plain\ttext\nwith é, 漢字 and 🙂")
        #expect(TerminalText.sanitize("\u{1B}]0;title\u{7}") == "\\x1b]0;title\\x07")
        #expect(TerminalText.sanitize("a\rb\u{8}\u{7F}\u{9B}31m\u{0}") == "a\\x0db\\x08\\x7f\\x9b31m\\x00")
        #expect(TerminalText.sanitize("a\r\nb") == "a\\x0d\nb")
        #expect(TerminalText.sanitize("abc\u{202E}dcba") == "abc\\u{202e}dcba")
    }

    @Test func nothingHarmfulIsLeftOfAnyText() {
        for value in UInt32(0)...0x3000 {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let safe = TerminalText.sanitize(String(Character(scalar)))
            #expect(safe.unicodeScalars.allSatisfy { $0.value >= 0x20 || $0.value == 9 || $0.value == 10 })
            #expect(!safe.unicodeScalars.contains { (0x7F...0x9F).contains($0.value) })
        }
    }
}

struct EndpointValidationTests {
    private func endpoint(name: String = "name", host: String = "host", user: String = "root", port: Int = 22)
        -> Endpoint
    {
        Endpoint(name: name, host: host, port: port, user: user, knownHosts: ["f"])
    }

    @Test(arguments: ["host", "10.0.0.1", "fe80::1%eth0", "a-b.example.com", "host_1"])
    func usualNamesAreFine(host: String) throws {
        try endpoint(name: host, host: host).validate()
    }

    @Test(arguments: [
        "", "-oProxyCommand=id", "--", "$(id)", "`id`", "a b", "a\nb", "a\0b", "a;b", "a|b", "a&b", "a'b", "a\"b",
        "a\\b",
        "a\u{1B}b", "a\tb", "a,b", "*", "!a", "#a", "é", "a/b", "a>b", "a{b}", "a(b)", "a=b", "~",
    ])
    func otherNamesAreRefused(bad: String) {
        // Where an Active Directory has a backslash between domain and user.
        let isDirectoryUser = bad == "a\\b"
        let others = isDirectoryUser ? [] : [endpoint(name: bad), endpoint(user: bad)]
        for endpoint in [endpoint(host: bad)] + others {
            let error = #expect(throws: SSHError.self) { try endpoint.validate() }
            #expect(error?.code == .invalidEndpoint)
            #expect(error?.description.unicodeScalars.contains { $0.value < 0x20 } == false)
        }
        var behind = endpoint()
        behind.jumps = [endpoint(host: bad)]
        #expect(throws: SSHError.self) { try behind.validate() }
    }

    @Test(arguments: ["ops@corp.example", "CORP\\ops", "ops+x", "machine$"])
    func usersOfADirectoryAreFine(user: String) throws {
        try endpoint(user: user).validate()
        try endpoint(name: "\(user)@gate:2222", user: user).validate()
    }

    @Test func aUserThatEndsWithABackslashIsRefusedAsBySSH() {
        #expect(throws: SSHError.self) { try endpoint(user: "ops\\").validate() }
    }

    @Test(arguments: [0, -1, 65536, Int.max])
    func portsOutOfRangeAreRefused(port: Int) {
        #expect(throws: SSHError.self) { try endpoint(port: port).validate() }
    }
}

/// On standard error, where sudo asks for the password before it runs the command.
struct SudoMarkerTests {
    private let shell = RemoteShell(["true"], timeout: .seconds(1), become: .sudo(password: Secret("p")))

    private func pass(_ text: String, by size: Int, _ shell: RemoteShell? = nil) -> (String, MarkerFilter) {
        let shell = shell ?? self.shell
        var filter = MarkerFilter(marker: shell.marker, prompt: shell.prompt)
        var passed: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            rest.prefix(size).withUnsafeBytes {
                let (before, after) = filter.pass($0)
                passed += before + after
            }
            rest = rest.dropFirst(size)
        }
        passed += filter.finish()
        return (String(decoding: passed, as: UTF8.self), filter)
    }

    @Test(arguments: [1, 2, 3, 7, 1000])
    func theLineIsTakenOutWhereverItIsCut(size: Int) {
        let text = "from a profile\n\(shell.prompt!)\(shell.marker)\nan error\n"
        let (passed, filter) = pass(text, by: size)
        #expect(passed == "from a profile\nan error\n")
        #expect(filter.hasMarker)
        #expect(filter.prompts == 1)
    }

    @Test func withoutTheLineAllIsPassedOn() {
        let (passed, filter) = pass("sh: not found\n", by: 5)
        #expect(passed == "sh: not found\n")
        #expect(!filter.hasMarker)
    }

    @Test func aProfileThatNeverStopsIsNotHeldInMemory() {
        let noise = String(repeating: "noise\n", count: 200_000)
        let (passed, filter) = pass(noise + "\(shell.marker)\nend", by: 30_000)
        #expect(passed == noise + "end")
        #expect(filter.hasMarker)
    }

    @Test(arguments: [1, 7, 1000]) func theSecondLineIsTheCommandsOwn(size: Int) {
        let (passed, filter) = pass("\(shell.marker)\n\(shell.marker)\n", by: size)
        #expect(passed == "\(shell.marker)\n")
        #expect(filter.hasMarker)
    }

    /// `ps` run by sudo prints sudo's own argv, with the marker and the prompt in it.
    @Test(arguments: [1, 7, 1000]) func whatTheCommandPrintsIsNoPrompt(size: Int) throws {
        let prompt = try #require(shell.prompt)
        let text = "sudo -p \(prompt) \(shell.marker) x\n"
        let (passed, filter) = pass("\(prompt)\(shell.marker)\n\(text)", by: size)
        #expect(passed == text)
        #expect(filter.prompts == 1)
        #expect(filter.hasMarker)
    }
}

/// The wrapper, run by the shells of this machine.
struct RemoteShellTests {
    private func run(_ arguments: [String], input: Data = Data()) throws -> (status: Int32, output: Data) {
        let shell = RemoteShell(arguments, timeout: .seconds(5), become: .none)
        let result = try LocalProcess.output(
            of: "/bin/sh", ["-c", shell.line], input: Data(shell.prologue) + input)
        #expect(result.output.starts(with: Data("\(shell.marker)\n".utf8)), "the marker comes first")
        return (result.status, Data(result.output.dropFirst(shell.marker.utf8.count + 1)))
    }

    @Test func theStatusIsTheCommands() throws {
        #expect(try run(["sh", "-c", "exit 3"]).status == 3)
        #expect(try run(["sh", "-c", "kill -9 $$"]).status == 137)
        #expect(try run(["no such program"]).status == 127)
    }

    @Test func aLongCommandGoesByStandardInput() throws {
        let script = "cat; printf '%s' \"$1\" | wc -c; # " + String(repeating: "it's long ", count: 5000)
        let argument = String(repeating: "x\n", count: 30_000)
        let shell = RemoteShell(["sh", "-c", script, "sh", argument], timeout: .seconds(5), become: .none)
        #expect(shell.line.utf8.count < 1000)
        let result = try run(["sh", "-c", script, "sh", argument], input: Data("input;".utf8))
        #expect(String(decoding: result.output, as: UTF8.self).replacing(" ", with: "") == "input;60000\n")
    }

    @Test func aLongCommandThatIsCutShortIsNotRun() throws {
        let shell = RemoteShell(
            ["touch", "/nonexistent/file", String(repeating: "x", count: 40_000)], timeout: .seconds(5), become: .none)
        for cut in [0, 10, shell.prologue.count / 2, shell.prologue.count - 1] {
            let result = try LocalProcess.output(
                of: "/bin/sh", ["-c", shell.line], input: Data(shell.prologue.prefix(cut)))
            #expect([2, 125].contains(result.status), "cut at \(cut): \(result.status)")
        }
    }

    @Test func sudoHasThePasswordNowhereInTheLine() {
        let shell = RemoteShell(["id"], timeout: .seconds(5), become: .sudo(password: Secret("hunter2")))
        #expect(!shell.line.contains("hunter2"))
        #expect(shell.line.hasPrefix("exec sudo -S -p \(shell.prompt!) -- sh -c "))
        let without = RemoteShell(["id"], timeout: .seconds(5), become: .sudo(password: nil))
        #expect(without.line.hasPrefix("exec sudo -n -- sh -c "))
    }
}

struct ProposalTests {
    @Test func mismatchesNameWhatTheServerOffers() {
        var theirs = Array(repeating: ["a", "b"], count: 8)
        theirs[5] = ["x-etm", "y-etm"]
        let ours = Array(repeating: ["b"], count: 8)
        #expect(
            AlgorithmList.mismatches(ours: ours, theirs: theirs)
                == ["no common MAC from the server: the server offers x-etm, y-etm"])
    }

    @Test func wireReadersStopAtTheEnd() {
        for bytes in [[], [0], [0, 0, 0], [0, 0, 0, 1], [255, 255, 255, 255, 1]] as [[UInt8]] {
            var reader = WireReader(bytes)
            #expect(reader.string() == nil)
        }
        var reader = WireReader([0, 0, 0, 2, 65, 66, 7] as [UInt8])
        #expect(reader.string().map(Array.init) == [65, 66])
        #expect(reader.byte() == 7)
        #expect(reader.isAtEnd)
    }
}

struct PrivateKeyFileTests {
    @Test func otherFilesAreNamedForWhatTheyAre() {
        func problem(_ text: String) -> String {
            do throws(PrivateKeyFile.Problem) {
                _ = try PrivateKeyFile(path: "f", contents: Data(text.utf8))
                return "none"
            } catch {
                return error.description
            }
        }
        #expect(problem("ssh-ed25519 AAAA c").contains("public key"))
        #expect(problem("PuTTY-User-Key-File-3").contains("not a private key"))
        #expect(
            problem("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----").contains("damaged"))
        #expect(problem("").contains("not a private key"))
        #expect(problem(Self.securityKey).contains("a FIDO key (sk-ssh-ed25519@openssh.com), which libssh2 cannot use"))
    }

    /// Its file, as OpenSSH's PROTOCOL.key and PROTOCOL.u2f have it, up to the private section.
    static var securityKey: String {
        var blob = [UInt8]()
        for part in ["sk-ssh-ed25519@openssh.com", String(repeating: "k", count: 32), "ssh:"] {
            blob.append(string: part.utf8)
        }
        var file = [UInt8]()
        for part in ["none", "none", ""] { file.append(string: part.utf8) }
        file.append(uint32: 1)
        file.append(string: blob)
        let body = Data(Array("openssh-key-v1\0".utf8) + file).base64EncodedString()
        return "-----BEGIN OPENSSH PRIVATE KEY-----\n\(body)\n-----END OPENSSH PRIVATE KEY-----\n"
    }
}

struct LimiterTests {
    @Test func noMoreThanItsNumberRunAtATime() async throws {
        let limiter = Limiter(3)
        let counter = Counter()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<100 {
                group.addTask {
                    _ = try? await limiter.run(
                        { () async throws(SSHError) -> Void in
                            await counter.enter()
                            await Task.yield()
                            await counter.leave()
                        }, cancelled: { SSHError(.cancelled, host: "", operation: "", cause: "") })
                }
            }
        }
        #expect(await counter.most <= 3)
        #expect(await counter.total == 100)
    }

    @Test func whoeverIsCancelledLeavesTheQueue() async throws {
        let limiter = Limiter(1)
        let (stream, hold) = AsyncStream<Void>.makeStream()
        let error = SSHError(.cancelled, host: "", operation: "", cause: "")
        let first = Task {
            try await limiter.run(
                { () async throws(SSHError) -> Void in for await _ in stream {} }, cancelled: { error })
        }
        let second = Task {
            try await limiter.run({ () async throws(SSHError) -> Void in }, cancelled: { error })
        }
        second.cancel()
        await #expect(throws: SSHError.self) { try await second.value }
        hold.finish()
        try await first.value
    }

    private actor Counter {
        var now = 0
        var most = 0
        var total = 0

        func enter() {
            now += 1
            total += 1
            most = max(most, now)
        }

        func leave() { now -= 1 }
    }
}
