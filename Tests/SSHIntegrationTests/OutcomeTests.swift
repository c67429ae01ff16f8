import Foundation
import Synchronization
import Testing

@testable import SSH

extension Integration {
    /// How commands end: with a status, by a signal, or unknown, and never a success that was not seen.
    @Suite struct OutcomeTests {
        /// Kills the process that serves the connection: the parent of `timeout`, which is ours.
        private static let killServer = "kill -9 $(cut -d ' ' -f 4 /proc/$PPID/stat)"

        private func error(_ body: () async throws -> Void) async throws -> SSHError {
            try #require(await #expect(throws: SSHError.self) { try await body() })
        }

        /// libssh2 issue 2515: without a status it says 0. Default 40; `SSH_KILLS=1000` for the whole of it.
        @Test func aServerKilledInTheMiddleIsNeverASuccess() async throws {
            let count = ProcessInfo.processInfo.environment["SSH_KILLS"].flatMap(Int.init) ?? 40
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let variants = [
                    Self.killServer, "echo output; \(Self.killServer)", "\(Self.killServer); exit 0",
                    "head -c 300000 /dev/zero; \(Self.killServer); sleep 10",
                ]
                for number in 0..<count {
                    let script = variants[number % variants.count]
                    let error = try await error { _ = try await remote.run(Command(["sh", "-c", script])) }
                    #expect(error.code == .outcomeUnknown)
                }
                #expect(try await remote.run(Command(["true"])).succeeded, "the next command dials again")
                await pool.close()
            }
        }

        @Test func fourMebibytesOfStandardErrorBlockNothing() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let script = "head -c 4194304 /dev/zero >&2; echo done; head -c 4194304 /dev/zero >&2"
                let result = try await remote.run(Command(["sh", "-c", script]))
                #expect(result.succeeded)
                #expect(result.text == "done\n")
                #expect(result.standardError.count == 8 << 20)
                await pool.close()
            }
        }

        @Test func beyondTheLimitBytesAreCountedAndDropped() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let result = try await remote.run(
                    Command(["sh", "-c", "head -c 1000000 /dev/zero; head -c 500 /dev/zero >&2"], outputLimit: 1000))
                #expect(result.standardOutput == Data(count: 1000))
                #expect(result.droppedOutput == 999_000)
                #expect(result.standardError.count == 500)
                #expect(result.droppedError == 0)
                await pool.close()
            }
        }

        @Test func bytesOfNoEncodingComeAsTheyAre() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let result = try await remote.run(Command(["printf", "\\377\\000\\200é\\n"]))
                #expect(result.standardOutput == Data([0xFF, 0, 0x80]) + Data("é\n".utf8))
                let echoed = try await remote.run(Command(["printf", "%s", "naïve 漢字 '\"$HOME\" \\ \n ; rm"]))
                #expect(echoed.text == "naïve 漢字 '\"$HOME\" \\ \n ; rm")
                await pool.close()
            }
        }

        @Test func aLongCommandArrives() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let comment = String(repeating: "# it's a long script\n", count: 4000)
                let result = try await remote.run(
                    .script(
                        comment + "cat; printf '%s' \"$1\"", ["argument"], input: Data("input;".utf8), label: "long"))
                #expect(result.text == "input;argument")
                await pool.close()
            }
        }

        /// libssh2 takes an interrupted system call for a lost connection, so the threads that call it block every signal, SIGILL
        /// too, which no other thread here does: a signal to each such thread while a command writes.
        @Test func signalsEndNothing() async throws {
            var (action, before) = (sigaction(), sigaction())
            #if canImport(Darwin)
                action.__sigaction_u.__sa_handler = { _ in }
            #else
                action.__sigaction_handler.sa_handler = { _ in }
            #endif
            sigaction(SIGURG, &action, &before)
            defer { sigaction(SIGURG, &before, nil) }
            #if arch(arm64)
                let tgkill = 131
            #else
                let tgkill = 234
            #endif
            let signaller = """
                import ctypes, glob, os, re, signal, sys, time
                process, folder = sys.argv[1:]
                while not os.path.exists(folder + "/begun"): time.sleep(0.01)
                sent = 0
                for thread in glob.glob(f"/proc/{process}/task/*"):
                    try: blocked = re.search("SigBlk:\\s*(\\S+)", open(thread + "/status").read())[1]
                    except OSError: continue
                    if int(blocked, 16) >> signal.SIGILL - 1 & 1:
                        arguments = int(process), int(os.path.basename(thread)), int(signal.SIGURG)
                        sent += ctypes.CDLL(None).syscall(\(tgkill), *arguments) == 0
                open(folder + "/signalled", "w")
                assert sent, "no thread blocks every signal"
                """
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let script = """
                    cd \(server.folder); until [ -e signalled ]; do head -c 100000 /dev/zero; >begun; done; echo end >&2
                    """
                async let result = remote.run(Command(["sh", "-c", script], outputLimit: 1000))
                try Tool.run("/usr/bin/python3", ["-c", signaller, "\(getpid())", server.folder])
                let outcome = try await result
                #expect(outcome.succeeded)
                #expect(outcome.errorText == "end\n")
                await pool.close()
            }
        }

        /// Longer than it takes until keepalive packets go out (`Dial`), which to libssh2's own waiting is a timeout.
        @Test func aCommandMayBeSilentForLong() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let result = try await pool.remote(server.endpoint()).run(Command(["sh", "-c", "sleep 16; echo end"]))
                #expect(result.text == "end\n")
                await pool.close()
            }
        }

        @Test func aDeadlineEndsTheRemoteProcessGroup() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let pids = "\(server.folder)/pids"
                let script = "echo $$ >\(pids); sleep 1000 & echo $! >>\(pids); wait"
                let error = try await error {
                    _ = try await remote.run(Command(["sh", "-c", script], timeout: .seconds(2), label: "sleep"))
                }
                #expect(error.code == .timedOut)
                #expect(error.cause.contains("the remote process was ended"))
                try expectAllGone(pids)
                #expect(try await remote.run(Command(["true"])).succeeded)
                await pool.close()
            }
        }

        /// A command on an open connection takes seven packets from the server, one of them with the marker.
        @Test(arguments: [("hmac-sha2-256", 32), ("hmac-sha2-512", 64), ("hmac-sha1", 20)])
        func aCommandTakesSevenPacketsFromTheServer(mac: String, length: Int) async throws {
            try await Server.with(configuration: ["MACs \(mac)"]) { server in
                let count = Mutex(0)
                let proxy = try Listener.proxy(
                    to: server.port,
                    toClient: { data in
                        count.withLock { $0 += data.count }
                        return data
                    })
                defer { proxy.end() }
                let pool = ConnectionPool(agentPath: nil)
                var endpoint = try server.endpoint(port: proxy.port)
                endpoint.algorithms = .legacy
                let remote = pool.remote(endpoint)
                #expect(try await remote.run(Command(["true"])).succeeded)
                let before = count.withLock { $0 }
                #expect(try await remote.run(Command(["true"])).succeeded)
                // AES has blocks of 16 bytes.
                func size(_ payload: Int) -> Int { (4 + 1 + payload + 4 + 15) / 16 * 16 + length }
                let (confirmation, adjustment, success, status, eof, close) = (17, 9, 5, 25, 5, 5)
                // Where a command's output begins: type, channel, length, and the marker's line.
                let marker =
                    1 + 4 + 4 + RemoteShell(["true"], timeout: .seconds(1), become: .none).marker.utf8.count + 1
                #expect(
                    count.withLock { $0 } - before
                        == [confirmation, adjustment, success, marker, status, eof, close].map(size).reduce(0, +))
                await pool.close()
            }
        }

        /// The server's shell is slow to begin the first command, so that it is looked for before it is there.
        @Test func aCommandThatBeginsAfterItsDeadlineIsEndedToo() async throws {
            let begun = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path()
            defer { rmdir(begun) }
            try await Server.with(configuration: [
                "ForceCommand mkdir \(begun) 2>/dev/null && sleep 0.7; eval \"$SSH_ORIGINAL_COMMAND\""
            ]) { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let pids = "\(server.folder)/pids"
                let script = "echo $$ >\(pids); sleep 1000"
                let error = try await error {
                    _ = try await remote.run(Command(["sh", "-c", script], timeout: .milliseconds(200), label: "late"))
                }
                #expect(error.code == .timedOut)
                #expect(error.cause.contains("the remote process was ended"))
                try expectAllGone(pids)
                await pool.close()
            }
        }

        /// What keeps the channel open is ended also where the one that started it, and `timeout`, are gone.
        @Test func aDeadlineEndsWhatACommandLeftBehind() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let pids = "\(server.folder)/pids"
                let script = "sleep 1000 & echo $! >\(pids)"
                let error = try await error {
                    _ = try await remote.run(Command(["sh", "-c", script], timeout: .seconds(2), label: "left"))
                }
                #expect(error.code == .timedOut)
                #expect(error.cause.contains("the remote process was ended"))
                try expectAllGone(pids)
                await pool.close()
            }
        }

        /// What is started to outlive its connection, as a long job is, is not taken for the command that started it.
        @Test(arguments: [true, false]) func aDeadlineLeavesJobsOfTheirOwnSession(isStarterThere: Bool) async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let pids = "\(server.folder)/pids"
                // The job keeps standard output, without which the channel would close with its starter.
                let script = "setsid sh -c 'echo $$ >\(pids); exec sleep 1000' & \(isStarterThere ? "wait" : ":")"
                let error = try await error {
                    _ = try await remote.run(Command(["sh", "-c", script], timeout: .seconds(2), label: "starter"))
                }
                #expect(error.code == .timedOut)
                #expect(error.cause.contains("the remote process was ended") == isStarterThere)
                let job = try #require(Int32(String(contentsOfFile: pids, encoding: .utf8).dropLast()))
                #expect(kill(job, 0) == 0)
                kill(job, SIGKILL)
                await pool.close()
            }
        }

        @Test func aProcessThatIgnoresTERMIsKilled() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let pids = "\(server.folder)/pids"
                let script = "trap '' TERM; echo $$ >\(pids); while :; do sleep 0.1; done"
                let error = try await error {
                    _ = try await remote.run(Command(["sh", "-c", script], timeout: .seconds(2), label: "stubborn"))
                }
                #expect(error.code == .timedOut)
                #expect(error.cause.contains("the remote process was ended"))
                try expectAllGone(pids)
                await pool.close()
            }
        }

        @Test func aCancellationEndsTheCommandHereAndThere() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let pids = "\(server.folder)/pids"
                let task = Task {
                    try await remote.run(
                        Command(["sh", "-c", "echo $$ >\(pids).part; mv \(pids).part \(pids); sleep 1000"]))
                }
                try await appearance(of: pids, before: task)
                let start = ContinuousClock.now
                task.cancel()
                let error = try await error { _ = try await task.value }
                print("cancelled, and ended there, after \((ContinuousClock.now - start).milliseconds) ms")
                #expect(error.code == .cancelled)
                #expect(error.cause.contains("the remote process was ended"))
                try expectAllGone(pids)
                #expect(try await remote.run(Command(["true"])).succeeded)
                await pool.close()
            }
        }

        @Test func closingThePoolEndsWhatIsUnderWay() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let mark = "\(server.folder)/mark"
                let task = Task { try await remote.run(Command(["sh", "-c", "touch \(mark); sleep 1000"])) }
                try await appearance(of: mark, before: task)
                await pool.close()
                let error = try await error { _ = try await task.value }
                #expect(error.code == .cancelled)
            }
        }

        /// A proxy that forwards until it is told to stop, and closes nothing: a cable that was cut.
        @Test func aConnectionThatFallsSilentEndsWithTheDeadline() async throws {
            try await Server.with { server in
                let isCut = Flag()
                let proxy = try Listener.proxy(
                    to: server.port, toServer: { data in isCut.isRaised ? nil : data },
                    toClient: { data in isCut.isRaised ? nil : data })
                defer { proxy.end() }
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint(port: proxy.port))
                #expect(try await remote.run(Command(["true"])).succeeded)
                isCut.raise()
                let error = try await error {
                    _ = try await remote.run(Command(["true"], timeout: .milliseconds(300)))
                }
                #expect(error.code == .timedOut)
                isCut.lower()
                #expect(try await remote.run(Command(["true"])).succeeded, "dialled again")
                await pool.close()
            }
        }

        @Test func silenceAfterTheCommandWasSentIsReportedAsPossiblyRunning() async throws {
            try await Server.with { server in
                let isCut = Flag()
                let proxy = try Listener.proxy(
                    to: server.port, toClient: { data in isCut.isRaised ? nil : data })
                defer { proxy.end() }
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint(port: proxy.port))
                let mark = "\(server.folder)/mark"
                let task = Task {
                    try await remote.run(Command(["sh", "-c", "touch \(mark); sleep 5"], timeout: .seconds(2)))
                }
                try await appearance(of: mark, before: task)
                isCut.raise()
                let error = try await error { _ = try await task.value }
                #expect(error.code == .timedOut)
                #expect(error.cause.contains("may be running still"))
                await pool.close()
            }
        }

        /// 8 MiB to a command that reads nothing: the window and the sockets fill up.
        @Test func aCommandThatReadsNothingEndsWithTheDeadlineOrItsOwnEnd() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let input = Data(count: 8 << 20)
                let error = try await error {
                    _ = try await remote.run(Command(["sleep", "1000"], input: input, timeout: .milliseconds(500)))
                }
                #expect(error.code == .timedOut)
                let result = try await remote.run(Command(["sh", "-c", "exec <&-; exit 4"], input: input))
                #expect(result.outcome == .exited(4))
                await pool.close()
            }
        }

        /// The server's end of the connection stops reading altogether.
        @Test func aServerThatStopsReadingEndsWithTheDeadline() async throws {
            try await Server.with { server in
                let isStopped = Flag()
                let proxy = try Listener.proxy(
                    to: server.port,
                    toServer: { data in
                        while isStopped.isRaised { usleep(2000) }
                        return data
                    })
                defer {
                    isStopped.lower()
                    proxy.end()
                }
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint(port: proxy.port))
                #expect(try await remote.run(Command(["true"])).succeeded)
                let task = Task {
                    try await remote.run(
                        Command(["sh", "-c", "cat >/dev/null"], input: Data(count: 64 << 20), timeout: .seconds(1)))
                }
                isStopped.raise()
                let error = try await error { _ = try await task.value }
                #expect(error.code == .timedOut)
                await pool.close()
            }
        }

        @Test func theKeysChangeInTheMiddleOfALargeOutput() async throws {
            let megabytes = ProcessInfo.processInfo.environment["SSH_REKEY_MIB"].flatMap(Int.init) ?? 64
            try await Server.with(configuration: ["RekeyLimit 4M"]) { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let size = megabytes << 20
                let result = try await remote.run(
                    Command(["head", "-c", "\(size)", "/dev/zero"], outputLimit: 1 << 20))
                #expect(result.succeeded)
                #expect(result.standardOutput.count + result.droppedOutput == size)
                let sent = try await remote.run(Command(["wc", "-c"], input: Data(count: 32 << 20)))
                #expect(sent.text == "\(32 << 20)\n")
                await pool.close()
                let exchanges = server.log.components(separatedBy: "SSH2_MSG_NEWKEYS received").count - 1
                #expect(exchanges > 5)
            }
        }

        @Test func aConnectionLostWhileIdleIsDialledAgain() async throws {
            try await Server.with { server in
                let proxy = Mutex<Listener?>(try Listener.proxy(to: server.port))
                let port = try #require(proxy.withLock { $0?.port })
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint(port: port))
                #expect(try await remote.run(Command(["true"])).succeeded)
                proxy.withLock { $0?.dropConnections() }
                let mark = "\(server.folder)/count"
                #expect(try await remote.run(Command(["sh", "-c", "echo x >>\(mark)"])).succeeded)
                #expect(try String(contentsOfFile: mark, encoding: .utf8) == "x\n", "ran once")
                proxy.withLock { $0?.end() }
                await pool.close()
            }
        }

        /// The connection is cut when the command has begun: it must not be sent again.
        @Test func aCommandThatMayHaveRunIsNotSentAgain() async throws {
            try await Server.with { server in
                let proxy = try Listener.proxy(to: server.port)
                defer { proxy.end() }
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint(port: proxy.port))
                #expect(try await remote.run(Command(["true"])).succeeded)
                let mark = "\(server.folder)/count"
                let task = Task {
                    try await remote.run(
                        Command(["sh", "-c", "echo x >>\(mark); touch \(mark).written; sleep 3"], label: "once"))
                }
                try await appearance(of: "\(mark).written", before: task)
                proxy.dropConnections()
                let error = try await error { _ = try await task.value }
                #expect(error.code == .outcomeUnknown)
                #expect(error.operation == "run once")
                #expect(try String(contentsOfFile: mark, encoding: .utf8) == "x\n")
                await pool.close()
            }
        }

        /// Each command has its own, and those that wait for one get their turn.
        @Test func withoutIdleConnectionsEachCommandHasItsOwn() async throws {
            try await Server.with { server in
                let proxy = try Listener.proxy(to: server.port)
                defer { proxy.end() }
                let pool = ConnectionPool(limits: .init(connectionsPerHost: 2, keepsIdle: false), agentPath: nil)
                let remote = pool.remote(try server.endpoint(port: proxy.port))
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for _ in 0..<8 { group.addTask { try await remote.run(Command(["true"])).succeeded } }
                    for try await succeeded in group { #expect(succeeded) }
                }
                #expect(proxy.acceptedCount == 8)
                await pool.close()
            }
        }

        @Test func manyCommandsAtOnceShareOneConnection() async throws {
            try await Server.with { server in
                let proxy = try Listener.proxy(to: server.port)
                defer { proxy.end() }
                let pool = ConnectionPool(agentPath: nil)
                let endpoint = try server.endpoint(port: proxy.port)
                try await withThrowingTaskGroup(of: String.self) { group in
                    for number in 0..<20 {
                        let remote = pool.remote(endpoint)
                        group.addTask { try await remote.run(Command(["echo", "\(number)"])).text }
                    }
                    var seen: Set<String> = []
                    for try await text in group { seen.insert(text) }
                    #expect(seen == Set((0..<20).map { "\($0)\n" }))
                }
                #expect(proxy.acceptedCount <= 4)
                await pool.close()
            }
        }

        @Test func aLongCommandHoldsUpNoOther() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let go = "\(server.folder)/go"
                let long = Task {
                    try await remote.run(Command(["sh", "-c", "until [ -e \(go) ]; do sleep 0.02; done; echo long"]))
                }
                // Would never end if it had to wait for the first one.
                #expect(try await remote.run(Command(["touch", go])).succeeded)
                #expect(try await long.value.text == "long\n")
                await pool.close()
            }
        }

        @Test func aCommandThatCannotBeIsRefusedHere() async throws {
            let pool = ConnectionPool(agentPath: nil)
            let remote = pool.remote(Endpoint(name: "h", host: "127.0.0.1", port: 1, user: "u", knownHosts: []))
            for arguments in [[], [""], ["echo", "a\0b"]] {
                let error = try await error { _ = try await remote.run(Command(arguments)) }
                #expect(error.code == .libraryFault)
            }
            let bad = pool.remote(Endpoint(name: "h", host: "-oProxyCommand=x", user: "u", knownHosts: []))
            #expect(try await self.error { _ = try await bad.run(Command(["true"])) }.code == .invalidEndpoint)
        }

        private func appearance(of file: String, before task: Task<CommandResult, any Error>) async throws {
            try await Integration.wait(for: task) { FileManager.default.fileExists(atPath: file) }
        }

        private func expectAllGone(_ file: String) throws {
            for line in try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n") {
                let state = (try? String(contentsOfFile: "/proc/\(line)/stat", encoding: .utf8)) ?? ""
                // A zombie that its new parent has not reaped yet has ended.
                #expect(state.isEmpty || state.contains(") Z "), "process \(line) is still there: \(state)")
            }
        }
    }
}
