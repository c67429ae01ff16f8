import Foundation
import Synchronization
import Testing

@testable import SSH

extension Integration {
    /// How commands end: with a status, by a signal, or unknown, and never a success that was not seen.
    @Suite struct OutcomeTests {
        /// Kills the process that serves the connection: the parent of `timeout`, which is ours.
        static let killServer = "kill -9 $(cut -d ' ' -f 4 /proc/$PPID/stat)"

        func error(_ body: () async throws -> Void) async throws -> SSHError {
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

        func appearance(of file: String, before task: Task<CommandResult, any Error>) async throws {
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
