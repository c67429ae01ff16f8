import Foundation
import TestSupport
import Testing

@testable import SSH

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

private let hasKeygen = FileManager.default.isExecutableFile(atPath: "/usr/bin/ssh-keygen")

/// Keys that ssh-keygen made, as they lie on people's disks.
@Suite(.enabled(if: hasKeygen, "no ssh-keygen on this machine")) struct PrivateKeyFileOnDiskTests {
    private func make(_ arguments: [String], at path: String, passphrase: String) throws {
        let result = try LocalProcess.output(
            of: "/usr/bin/ssh-keygen", ["-q", "-C", "test", "-N", passphrase, "-f", path] + arguments)
        #expect(result.status == 0)
    }

    @Test(arguments: [
        ["-t", "ed25519"], ["-t", "ecdsa", "-b", "384"], ["-t", "rsa", "-b", "2048"],
        ["-t", "ed25519", "-Z", "aes256-cbc"], ["-t", "ed25519", "-Z", "aes128-ctr"], ["-t", "ed25519", "-a", "3"],
        ["-t", "ecdsa", "-Z", "aes192-cbc"],
    ])
    func anEncryptedKeyIsTakenOutOfItsFile(arguments: [String]) throws {
        try withFolder { folder in
            let path = "\(folder)/key"
            let rounds = arguments.contains("-a") ? [] : ["-a", "1"]
            try make(arguments + rounds, at: path, passphrase: "correct hörse")
            let file = try PrivateKeyFile(path: path)
            #expect(file.isEncrypted)
            let plain = try #require(try file.decrypted(by: Secret("correct hörse")))
            #expect(!plain.isEncrypted)
            #expect(plain.publicBlob == file.publicBlob)
            #expect((plain.ed25519 != nil) == arguments.contains("ed25519"))
            // OpenSSH reads it, too, and finds the same key in it.
            let copy = "\(folder)/plain"
            try plain.contents.write(to: URL(filePath: copy))
            chmod(copy, 0o600)
            let printed = try LocalProcess.output(of: "/usr/bin/ssh-keygen", ["-y", "-f", copy])
            #expect(printed.status == 0)
            let blob = try #require(file.publicBlob)
            #expect(String(decoding: printed.output, as: UTF8.self).contains(blob.base64EncodedString()))
            do throws(PrivateKeyFile.Problem) {
                _ = try file.decrypted(by: Secret("wrong"))
                Issue.record("a wrong passphrase opened it")
            } catch {
                #expect(error.description == "the passphrase is wrong")
            }
        }
    }

    @Test func whatIsLeftToLibSSH2IsNotDecryptedHere() throws {
        try withFolder { folder in
            let path = "\(folder)/key"
            try make(["-t", "ecdsa", "-m", "PEM"], at: path, passphrase: "secret words")
            let file = try PrivateKeyFile(path: path)
            #expect(file.isEncrypted)
            #expect(try file.decrypted(by: Secret("secret words")) == nil)
        }
    }

    /// OpenSSH's sshkey_perm_ok: any bit for group or others.
    @Test(arguments: [
        (0o644, true), (0o640, true), (0o604, true), (0o610, true), (0o600, false), (0o400, false), (0o700, false),
    ])
    func aKeyThatOthersCanReadIsRefused(mode: Int, isRefused: Bool) async throws {
        let folder = NSTemporaryDirectory() + "/ssh-unit.\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = "\(folder)/key"
        try make(["-t", "ed25519"], at: path, passphrase: "")
        chmod(path, mode_t(mode))
        let credentials = await KeyRing(prompt: nil, agentPath: nil).credentials(for: endpoint([path]))
        try #require(credentials.count == 1)
        switch credentials[0] {
        case .unusable(_, let reason):
            #expect(isRefused)
            #expect(reason.contains("its mode is 0\(String(mode, radix: 8))"))
            #expect(reason.contains("chmod 600"))
        default: #expect(!isRefused)
        }
    }

    @Test func anEncryptedKeyIsDecryptedOnceAndAskedForOnce() async throws {
        let folder = NSTemporaryDirectory() + "/ssh-unit.\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = "\(folder)/key"
        try make(["-t", "ecdsa", "-a", "1"], at: path, passphrase: "secret words")
        let keys = KeyRing(prompt: { _ in Secret("secret words") }, agentPath: nil)
        let all = await withTaskGroup(of: [Connector.Credential].self) { group in
            for _ in 0..<8 { group.addTask { await keys.credentials(for: endpoint([path])) } }
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(all.count == 8)
        for credential in all {
            guard case .file(let file, nil) = credential else {
                Issue.record("each host would decrypt it for itself: \(credential)")
                return
            }
            #expect(!file.isEncrypted)
        }
    }

    private func endpoint(_ identities: [String]) -> Endpoint {
        Endpoint(name: "n", host: "h", user: "root", identities: identities, knownHosts: ["k"])
    }
}

struct BcryptTests {
    /// From OpenBSD's regress/lib/libutil/bcrypt_pbkdf.
    @Test func theKeyIsThatOfOpenBSD() {
        let key = Bcrypt.deriveKey(
            passphrase: Data("password".utf8), salt: Data("salt".utf8), rounds: 4, count: 32)
        #expect(
            key.map { String(format: "%02x", $0) }.joined()
                == "5bbf0cc293587f1c3635555c27796598d47e579071bf427e9d8fbe842aba34d9")
    }
}

struct KeySignerTests {
    private func request(_ algorithm: String) -> [UInt8] {
        var request = [UInt8]()
        request.append(string: (0..<32).map { UInt8($0) })
        request.append(50)
        for text in ["root", "ssh-connection", "publickey"] { request.append(string: text.utf8) }
        request.append(1)
        request.append(string: algorithm.utf8)
        request.append(string: "blob".utf8)
        return request
    }

    @Test func theAlgorithmIsFoundInWhatIsToBeSigned() {
        #expect(KeySigner.algorithm(in: request("rsa-sha2-512")) == "rsa-sha2-512")
        #expect(KeySigner.algorithm(in: request("ssh-ed25519")) == "ssh-ed25519")
        #expect(KeySigner.algorithm(in: Array(request("ssh-ed25519").prefix(40))) == nil)
    }
}
