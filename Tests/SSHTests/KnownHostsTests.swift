import Crypto
import Foundation
import Testing

@testable import SSH

struct KnownHostsTests {
    let ed = Keys.ed25519(1)
    let other = Keys.ed25519(2)
    let ecdsa = Keys.ecdsa(1)

    private func judge(_ lines: [String], _ host: String = "host", port: Int = 22, _ key: HostKey? = nil)
        -> KnownHosts.Verdict
    {
        KnownHosts(parsing: lines.joined(separator: "\n"), file: "f").judge(host: host, port: port, key: key ?? ed)
    }

    @Test func aPlainNameIsTrusted() {
        #expect(judge(["host \(ed.line)"]) == .trusted)
        #expect(judge(["other,host \(ed.line) a comment"]) == .trusted)
        #expect(judge(["\t host\t\(ed.line)\r"]) == .trusted)
        #expect(judge(["HOST \(ed.line)"], "Host") == .trusted)
        #expect(judge(["a \(ed.line)"], "a") == .trusted, "libssh2's own matcher fails on names of two characters")
    }

    @Test func linesMayEndAsOnWindows() {
        let known = KnownHosts(parsing: "a \(other.line)\r\nhost \(ed.line)\r\n", file: "f")
        #expect(known.judge(host: "host", port: 22, key: ed) == .trusted)
        #expect(known.warnings == [])
    }

    @Test func otherHostsAreUnknown() {
        #expect(judge([]) == .unknown(hasCertAuthority: false))
        #expect(judge(["", "# host \(ed.line)", "hosts \(ed.line)"]) == .unknown(hasCertAuthority: false))
    }

    @Test func aPortIsPartOfTheName() {
        #expect(judge(["[host]:2222 \(ed.line)"], port: 2222) == .trusted)
        #expect(judge(["host \(ed.line)"], port: 2222) == .unknown(hasCertAuthority: false))
        #expect(judge(["[host]:2222 \(ed.line)"]) == .unknown(hasCertAuthority: false))
        #expect(judge(["[fe80::1]:2222 \(ed.line)"], "fe80::1", port: 2222) == .trusted)
    }

    @Test func anotherKeyIsAMismatchWhateverItsType() {
        for line in [other.line, ecdsa.line] {
            guard case .mismatch(let entries) = judge(["# first", "host \(line)"]) else {
                Issue.record("not a mismatch")
                return
            }
            #expect(entries.map(\.line) == [2])
        }
        #expect(judge(["host \(other.line)", "host \(ecdsa.line)", "host \(ed.line)"]) == .trusted)
    }

    @Test func hashedNamesMatch() {
        #expect(judge(["\(hashed("host")) \(ed.line)"]) == .trusted)
        #expect(judge(["\(hashed("[host]:2222")) \(ed.line)"], port: 2222) == .trusted)
        #expect(judge(["\(hashed("hosts")) \(ed.line)"]) == .unknown(hasCertAuthority: false))
        guard case .mismatch = judge(["\(hashed("host")) \(other.line)"]) else {
            Issue.record("not a mismatch")
            return
        }
    }

    /// What `ssh-keygen -H` made of 192.168.1.61.
    @Test func hashedNamesAreThoseOfOpenSSH() {
        let line = "|1|BHEzUQiv0i630ivXsY2gHm5E/TA=|00dCG/pYLmYtnGCOXfockzer4XI="
        #expect(names(line)?.match("192.168.1.61") == true)
        #expect(names(line)?.match("192.168.1.62") == false)
    }

    @Test(arguments: [
        ("*", "host", true), ("h*t", "host", true), ("h*t", "hosts", false), ("h??t", "host", true),
        ("h?t", "host", false), ("*.example.com", "a.b.example.com", true), ("*.example.com", "example.com", false),
        ("*,!host", "host", false), ("!host,*", "host", false), ("!host", "other", false), ("!bad,host", "host", true),
        ("10.0.0.*", "10.0.0.17", true), ("**", "", true), ("a*b*c*d*e*f", "aXbXcXdXeX", false),
    ])
    func patterns(pattern: String, name: String, matches: Bool) {
        #expect(names(pattern)?.match(name) == matches)
    }

    private func names(_ field: String) -> KnownHosts.Names? { KnownHosts.Names(Array(field.utf8)[...]) }

    @Test func aPatternTakesNoLongTimeOverAnyName() {
        let pattern = names(String(repeating: "*a", count: 200))
        #expect(pattern?.match(String(repeating: "a", count: 199)) == false)
    }

    @Test func revokedKeysAreRefusedEvenWhereTheyAreTrusted() {
        for name in ["host", "*", hashed("host")] {
            guard case .revoked(let entry) = judge(["host \(ed.line)", "@revoked \(name) \(ed.line)"]) else {
                Issue.record("not revoked by \(name)")
                return
            }
            #expect(entry.line == 2)
        }
        #expect(judge(["host \(ed.line)", "@revoked * \(other.line)"]) == .trusted)
        #expect(judge(["@revoked * \(other.line)"]) == .unknown(hasCertAuthority: false))
    }

    @Test func anAuthorityIsToldAndTrustsNothing() {
        #expect(judge(["@cert-authority * \(ed.line)"]) == .unknown(hasCertAuthority: true))
        #expect(judge(["@cert-authority * \(other.line)", "host \(ed.line)"]) == .trusted)
    }

    @Test(arguments: [
        "host", "host ssh-ed25519", "host ssh-ed25519 !!!", "host ssh-ed25519 AAAA", "host 1024 35 1234567",
        "@unknown host ssh-ed25519 AAAA", "|1|x|y ssh-ed25519 AAAA", "|2|a|b ssh-ed25519 AAAA",
        "host ssh-ed25519 \(Keys.ecdsa(1).blob.base64EncodedString())",
        "|1|AAAA|AAAA \(Keys.ed25519(1).line)",
    ])
    func aBadLineIsPassedOverWithAWarning(line: String) {
        let known = KnownHosts(parsing: "\(line)\nhost \(ed.line)\n", file: "f")
        #expect(known.judge(host: "host", port: 22, key: ed) == .trusted)
        #expect(known.warnings.map(\.line) == [1])
        #expect(known.warnings[0].description.hasPrefix("f:1: "))
    }

    @Test func noLineStopsTheReaderWhateverItHolds() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 0...80, using: &random)).map { _ in UInt8.random(in: 0...255) }
            let text = String(decoding: bytes, as: UTF8.self).replacing("\n", with: "")
            let known = KnownHosts(parsing: text + "\nhost \(ed.line)", file: "f")
            #expect(known.judge(host: "host", port: 22, key: ed) == .trusted)
        }
    }

    @Test func typesOnFileComeInTheOrderOfTheFile() {
        let known = KnownHosts(
            parsing: ["host \(ecdsa.line)", "* \(ed.line)", "host \(Keys.ecdsa(2).line)", "@revoked * \(other.line)"]
                .joined(separator: "\n"), file: "f")
        #expect(known.keyTypes(host: "host", port: 22) == ["ecdsa-sha2-nistp256", "ssh-ed25519"])
    }

    @Test func severalFilesAreOne() throws {
        try withFolder { folder in
            let (first, second) = ("\(folder)/first", "\(folder)/second")
            try Data("host \(ecdsa.line)\n".utf8).write(to: URL(filePath: first))
            try Data("bad\nhost \(ed.line)\n".utf8).write(to: URL(filePath: second))
            let known = KnownHosts(files: [first, second, "\(folder)/none"])
            #expect(known.judge(host: "host", port: 22, key: ed) == .trusted)
            #expect(known.entries(host: "host", port: 22).map(\.file) == [first, second])
            #expect(known.warnings.map(\.file) == [second])
        }
    }

    private func hashed(_ name: String) -> String {
        let salt = Data((0..<20).map { UInt8($0) })
        let code = HMAC<Insecure.SHA1>.authenticationCode(for: Data(name.utf8), using: SymmetricKey(data: salt))
        return "|1|\(salt.base64EncodedString())|\(Data(code).base64EncodedString())"
    }
}

struct HostKeyTests {
    /// Checked with `ssh-keygen -l`.
    @Test func theFingerprintIsThatOfOpenSSH() {
        let blob = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
        #expect(
            HostKey(blob: Data(base64Encoded: blob)!)?.fingerprint
                == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU")
    }

    @Test func bytesWithoutATypeAreNoKey() {
        #expect(HostKey(blob: Data()) == nil)
        #expect(HostKey(blob: Data([0, 0, 0, 0])) == nil)
        #expect(HostKey(blob: Data([0, 0, 0, 9, 65])) == nil)
        #expect(HostKey(blob: Data([0, 0, 0, 1, 7])) == nil)
    }
}

struct HostKeyAcceptanceTests {
    let key = Keys.ed25519(1)

    @Test func theArgumentIsRead() {
        let fingerprint = key.fingerprint
        #expect(HostKeyAcceptance("host=\(fingerprint)") == HostKeyAcceptance(host: "host", fingerprint: fingerprint))
        #expect(HostKeyAcceptance("host=\(fingerprint)=") == HostKeyAcceptance(host: "host", fingerprint: fingerprint))
        for bad in ["host", "=\(fingerprint)", "host=MD5:00", "host=SHA256:short", "host=\(fingerprint)x"] {
            #expect(HostKeyAcceptance(bad) == nil)
        }
    }

    @Test func anAcceptedKeyIsWrittenAndFromThenOnKnown() throws {
        try withFolder { folder in
            let endpoint = endpoint("\(folder)/new/known_hosts")
            let strict = HostKeyTrust(acceptances: [], notice: { _ in })
            let refusal = #expect(throws: SSHError.self) { try strict.verify(key, of: endpoint) }
            #expect(refusal?.code == .hostKeyUnknown)
            #expect(refusal?.cause.contains(key.fingerprint) == true)
            #expect(refusal?.advice?.contains("--accept-host-key name=\(key.fingerprint)") == true)
            let wrong = HostKeyAcceptance(host: "name", fingerprint: Keys.ed25519(2).fingerprint)
            #expect(throws: SSHError.self) {
                try HostKeyTrust(acceptances: [wrong], notice: { _ in }).verify(key, of: endpoint)
            }
            #expect(!FileManager.default.fileExists(atPath: endpoint.knownHosts[0]))
            let right = HostKeyAcceptance(host: "name", fingerprint: key.fingerprint)
            try HostKeyTrust(acceptances: [right], notice: { _ in }).verify(key, of: endpoint)
            try HostKeyTrust(acceptances: [right], notice: { _ in }).verify(key, of: endpoint)
            try strict.reread().verify(key, of: endpoint)
            let text = try String(contentsOfFile: endpoint.knownHosts[0], encoding: .utf8)
            #expect(text == "[1.2.3.4]:2222 \(key.line)\n")
        }
    }

    @Test func acceptingIsForNewHostsOnlyUnlessItReplaces() throws {
        try withFolder { folder in
            let endpoint = endpoint("\(folder)/known_hosts")
            let old = [
                "# kept", "a,[1.2.3.4]:2222 \(Keys.ed25519(2).line)", "[1.2.3.4]:2222 \(Keys.ecdsa(1).line)",
                "@revoked * \(Keys.ed25519(3).line)", "b \(Keys.ed25519(2).line)",
            ]
            try Data(old.joined(separator: "\n").utf8).write(to: URL(filePath: endpoint.knownHosts[0]))
            let plain = HostKeyAcceptance(host: "1.2.3.4", fingerprint: key.fingerprint)
            let refusal = #expect(throws: SSHError.self) {
                try HostKeyTrust(acceptances: [plain], notice: { _ in }).verify(key, of: endpoint)
            }
            #expect(refusal?.code == .hostKeyMismatch)
            var replacing = plain
            replacing.replacing = true
            try HostKeyTrust(acceptances: [replacing], notice: { _ in }).verify(key, of: endpoint)
            let text = try String(contentsOfFile: endpoint.knownHosts[0], encoding: .utf8)
            #expect(
                text
                    == [
                        "# kept", "a \(Keys.ed25519(2).line)", "@revoked * \(Keys.ed25519(3).line)",
                        "b \(Keys.ed25519(2).line)", "[1.2.3.4]:2222 \(key.line)", "",
                    ].joined(separator: "\n"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["known_hosts"])
        }
    }

    @Test func replacingLeavesEveryOtherByteAsItIs() throws {
        try withFolder { folder in
            let endpoint = endpoint("\(folder)/known_hosts")
            let before = Data("# caf\u{e9}\r\nb \(Keys.ed25519(2).line)\r\n".utf8) + [0x23, 0xff, 0xfe, 0x0a]
            let after = Data("\n\tc\t\(Keys.ecdsa(2).line)  a comment\r\n".utf8)
            let old = Data("[1.2.3.4]:2222 \(Keys.ed25519(2).line)\r\n".utf8)
            try (before + old + after).write(to: URL(filePath: endpoint.knownHosts[0]))
            let acceptance = HostKeyAcceptance(host: "name", fingerprint: key.fingerprint, replacing: true)
            try HostKeyTrust(acceptances: [acceptance], notice: { _ in }).verify(key, of: endpoint)
            let new = Data("[1.2.3.4]:2222 \(key.line)\n".utf8)
            #expect(FileManager.default.contents(atPath: endpoint.knownHosts[0]) == before + after + new)
        }
    }

    @Test func aRevokedKeyIsNeverAccepted() throws {
        try withFolder { folder in
            let endpoint = endpoint("\(folder)/known_hosts")
            try Data("@revoked * \(key.line)\n".utf8).write(to: URL(filePath: endpoint.knownHosts[0]))
            let acceptance = HostKeyAcceptance(host: "name", fingerprint: key.fingerprint, replacing: true)
            let refusal = #expect(throws: SSHError.self) {
                try HostKeyTrust(acceptances: [acceptance], notice: { _ in }).verify(key, of: endpoint)
            }
            #expect(refusal?.code == .hostKeyMismatch)
        }
    }

    private func endpoint(_ file: String) -> Endpoint {
        Endpoint(name: "name", host: "1.2.3.4", port: 2222, user: "root", knownHosts: [file])
    }
}

extension HostKeyTrust {
    /// A pool reads the files once; another one sees what was written since.
    fileprivate func reread() -> HostKeyTrust { HostKeyTrust(acceptances: [], notice: { _ in }) }
}
