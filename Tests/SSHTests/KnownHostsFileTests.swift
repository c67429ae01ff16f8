import Foundation
import Synchronization
import TestSupport
import Testing

@testable import SSH

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// How accepted keys get into known_hosts files, and replaced ones out of them.
struct KnownHostsFileTests {
    private let old = Keys.ed25519(1)
    private let key = Keys.ed25519(2)

    private func endpoint(_ files: [String]) -> Endpoint {
        Endpoint(name: "name", host: "1.2.3.4", user: "root", knownHosts: files)
    }

    private func accept(_ endpoint: Endpoint, replacing: Bool, notice: @escaping @Sendable (String) -> Void = { _ in })
        throws
    {
        let acceptance = HostKeyAcceptance(host: "name", fingerprint: key.fingerprint, replacing: replacing)
        try HostKeyTrust(acceptances: [acceptance], notice: notice).verify(key, of: endpoint)
    }

    private func write(_ text: String, to path: String) throws {
        try Data(text.utf8).write(to: URL(filePath: path))
    }

    private func read(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    private func status(_ path: String) -> stat {
        var status = stat()
        stat(path, &status)
        return status
    }

    /// The same file after it, and not another one in its place: a file that is mounted into a container, or linked, stays so.
    @Test(arguments: [false, true]) func theFileStaysTheSameOne(replacing: Bool) throws {
        try withFolder { folder in
            let (path, link) = ("\(folder)/known_hosts", "\(folder)/link")
            try write(replacing ? "# mine\n1.2.3.4 \(old.line)\n" : "# mine\n", to: path)
            chmod(path, 0o640)
            if geteuid() == 0 { chown(path, 12345, 12346) }
            #expect(hardLink(path, link) == 0)
            let before = status(path)
            try accept(endpoint([path]), replacing: replacing)
            let after = status(path)
            #expect(after.st_ino == before.st_ino)
            #expect(after.st_mode == before.st_mode)
            #expect(after.st_uid == before.st_uid)
            #expect(after.st_gid == before.st_gid)
            #expect(try read(link) == "# mine\n1.2.3.4 \(key.line)\n")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 2)
        }
    }

    @Test func aSymbolicLinkStaysOne() throws {
        try withFolder { folder in
            let (path, link) = ("\(folder)/elsewhere", "\(folder)/known_hosts")
            try write("1.2.3.4 \(old.line)\n", to: path)
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
            try accept(endpoint([link]), replacing: true)
            #expect(try read(path) == "1.2.3.4 \(key.line)\n")
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == path)
        }
    }

    /// Where the new key cannot be written the old one is still on file.
    @Test func thePinIsNeverRemovedBeforeItsSuccessorIsWritten() throws {
        try withFolder { folder in
            let (first, second) = ("\(folder)/first", "\(folder)/second")
            // Not to be written to, also by root.
            try FileManager.default.createDirectory(atPath: first, withIntermediateDirectories: true)
            try write("1.2.3.4 \(old.line)\n", to: second)
            let error = #expect(throws: SSHError.self) { try accept(endpoint([first, second]), replacing: true) }
            #expect(error?.operation == "write the accepted host key")
            #expect(try read(second) == "1.2.3.4 \(old.line)\n")
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
    func aFileOfAnotherUserIsNotChangedAndWhatItStillTrustsIsTold() throws {
        try withFolder { folder in
            let (first, global) = ("\(folder)/first", "\(folder)/global")
            try write("1.2.3.4 \(old.line)\n", to: first)
            try write("# theirs\n1.2.3.4 \(old.line)\n", to: global)
            chown(global, 12345, 12345)
            let notices = Mutex<[String]>([])
            try accept(endpoint([first, global]), replacing: true) { text in notices.withLock { $0.append(text) } }
            #expect(try read(first) == "1.2.3.4 \(key.line)\n")
            #expect(try read(global) == "# theirs\n1.2.3.4 \(old.line)\n")
            #expect(notices.withLock { $0 }.count == 1)
            #expect(notices.withLock { $0 }.first?.contains("old key is still trusted by \(global):2") == true)
        }
    }

    @Test func aLineThatHoldsByAWildcardStaysAndIsTold() throws {
        try withFolder { folder in
            let path = "\(folder)/known_hosts"
            try write("1.2.3.* \(old.line)\n1.2.3.4 \(old.line)\n", to: path)
            let notices = Mutex<[String]>([])
            try accept(endpoint([path]), replacing: true) { text in notices.withLock { $0.append(text) } }
            #expect(try read(path) == "1.2.3.* \(old.line)\n1.2.3.4 \(key.line)\n")
            #expect(notices.withLock { $0 }.first?.contains("\(path):1, a line for several hosts") == true)
        }
    }

    @Test func aLastLineWithoutAnEndGetsOne() throws {
        try withFolder { folder in
            let path = "\(folder)/known_hosts"
            try write("other \(old.line)", to: path)
            try accept(endpoint([path]), replacing: false)
            #expect(try read(path) == "other \(old.line)\n1.2.3.4 \(key.line)\n")
        }
    }

    @Test func aNewFileIsForItsOwnerAlone() throws {
        try withFolder { folder in
            let path = "\(folder)/new/known_hosts"
            try accept(endpoint([path]), replacing: false)
            #expect(status(path).st_mode & 0o777 == 0o600)
            #expect(status("\(folder)/new").st_mode & 0o777 == 0o700)
        }
    }

    @Test func namesAreHashedWhereTheUserWantsThat() throws {
        try withFolder { folder in
            var endpoint = endpoint(["\(folder)/known_hosts"])
            endpoint.hashesKnownHosts = true
            try accept(endpoint, replacing: false)
            let text = try read(endpoint.knownHosts[0])
            #expect(!text.contains("1.2.3.4"))
            #expect(text.hasPrefix("|1|"))
            try HostKeyTrust(acceptances: [], notice: { _ in }).verify(key, of: endpoint)
            // And a hashed line is found again and replaced.
            let next = Keys.ed25519(3)
            let acceptance = HostKeyAcceptance(host: "name", fingerprint: next.fingerprint, replacing: true)
            try HostKeyTrust(acceptances: [acceptance], notice: { _ in }).verify(next, of: endpoint)
            #expect(try read(endpoint.knownHosts[0]).split(separator: "\n").count == 1)
            #expect(try read(endpoint.knownHosts[0]).contains(next.line))
        }
    }

    @Test func runsThatAddAndReplaceAtTheSameTimeLoseNothing() async throws {
        let folder = NSTemporaryDirectory() + "/ssh-unit.\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = "\(folder)/known_hosts"
        let (old, key) = (old, key)
        try write((0..<20).map { "old-\($0) \(old.line)\n" }.joined(), to: path)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask { try KnownHosts.append("new-\(number)", key, isHashed: false, to: path) }
                group.addTask { try KnownHosts.remove("old-\(number)", except: key, from: path, isOurs: true) }
            }
            try await group.waitForAll()
        }
        let names = try read(path).split(separator: "\n").map { $0.split(separator: " ")[0] }
        #expect(Set(names) == Set((0..<20).map { "new-\($0)" }))
    }

    /// Each name is searched for once: in a file of hashed names that is an HMAC for each line.
    @Test func aNameIsLookedUpOnce() throws {
        try withFolder { folder in
            let endpoint = endpoint(["\(folder)/known_hosts"])
            try write("1.2.3.4 \(key.line)\n", to: endpoint.knownHosts[0])
            let trust = HostKeyTrust(acceptances: [], notice: { _ in })
            for _ in 0..<3 {
                #expect(trust.keyTypes(for: endpoint) == ["ssh-ed25519"])
                try trust.verify(key, of: endpoint)
            }
            #expect(trust.lookupCount == 1)
        }
    }
}

/// `link(2)` by a name of its own: `link` is also a local name above.
private func hardLink(_ from: String, _ to: String) -> Int32 { link(from, to) }

struct RevokedKeysTests {
    @Test func aListOfKeysIsRead() throws {
        let list = try RevokedKeys(
            Data("# comment\n\n\(Keys.ed25519(1).line) a comment\r\n\(Keys.ecdsa(2).line)\n".utf8))
        #expect(list.contain(Keys.ed25519(1)))
        #expect(list.contain(Keys.ecdsa(2)))
        #expect(!list.contain(Keys.ed25519(2)))
    }

    @Test(arguments: ["ssh-ed25519", "ssh-ed25519 AAAA", "nonsense here", "SSHKRL\n\0", "SSHKRL\n\0\0\0\0\u{2}"])
    func whatCannotBeReadIsAnErrorAndNotAnEmptyList(text: String) {
        #expect(throws: Failure.self) { try RevokedKeys(Data(text.utf8)) }
    }

    @Test(
        .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/ssh-keygen"), "no ssh-keygen"),
        arguments: ["", "sha1: ", "sha256: "])
    func aKeyRevocationListIsRead(prefix: String) throws {
        try withFolder { folder in
            try Data("\(prefix.isEmpty ? "key: " : prefix)\(Keys.ed25519(1).line)\n".utf8)
                .write(to: URL(filePath: "\(folder)/spec"))
            _ = try LocalProcess.output(
                of: "/usr/bin/ssh-keygen", ["-q", "-k", "-f", "\(folder)/krl", "\(folder)/spec"])
            let list = try RevokedKeys(path: "\(folder)/krl")
            #expect(list.contain(Keys.ed25519(1)))
            #expect(!list.contain(Keys.ed25519(2)))
        }
    }
}
