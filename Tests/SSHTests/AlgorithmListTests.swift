import Testing

@testable import SSH

struct AlgorithmListTests {
    /// The server's side of OpenSSH 7.4 by default (its myproposal.h), which CentOS 7 has.
    private let openSSH74 = [
        [
            "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384",
            "ecdh-sha2-nistp521", "diffie-hellman-group-exchange-sha256", "diffie-hellman-group16-sha512",
            "diffie-hellman-group18-sha512", "diffie-hellman-group14-sha256", "diffie-hellman-group14-sha1",
        ], ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519"],
        [
            "chacha20-poly1305@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-gcm@openssh.com",
            "aes256-gcm@openssh.com",
        ],
        ["aes128-ctr"],
        ["umac-64-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "umac-64@openssh.com", "hmac-sha2-256"],
        ["hmac-sha2-512"],
    ]

    /// OpenSSH 5.3 (CentOS 6), of which no MAC is left, and the first key exchange of a still older one.
    private let openSSH53 = [
        ["diffie-hellman-group-exchange-sha1", "diffie-hellman-group14-sha1"], ["ssh-rsa", "ssh-dss"],
        ["aes128-ctr", "arcfour256"], ["aes128-cbc", "3des-cbc"], ["hmac-md5", "hmac-sha1"], ["hmac-sha1"],
    ]

    @Test func centOS7NeedsNoSetting() {
        let ours = AlgorithmList.current.proposal
        #expect(AlgorithmList.mismatches(ours: ours, theirs: openSSH74) == [])
    }

    @Test func anOldServerNeedsOne() {
        #expect(!AlgorithmList.mismatches(ours: AlgorithmList.current.proposal, theirs: openSSH53).isEmpty)
        #expect(AlgorithmList.mismatches(ours: AlgorithmList.legacy.proposal, theirs: openSSH53) == [])
    }

    @Test func theTypesThatAreKnownComeFirst() {
        let types = AlgorithmList.current.hostKeys(known: ["ecdsa-sha2-nistp384", "ssh-dss", "ssh-rsa"])
        #expect(types.first == "ecdsa-sha2-nistp384")
        #expect(AlgorithmList.signaturesOfRSA.contains(types[1]))
        #expect(!types.contains("ssh-dss"))
        #expect(Set(types).count == types.count)
        #expect(AlgorithmList.current.hostKeys(known: []).first == "ssh-ed25519")
    }
}
