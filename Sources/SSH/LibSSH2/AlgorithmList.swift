import CLibSSH2

/// The algorithms that are offered to a server, in order of preference. It is a list of what is allowed, so that no weak algorithm is
/// offered that this or a later libssh2 has.
///
/// OpenSSH from 7.4 on (CentOS 7) has at least one of the current ones of each kind.
struct AlgorithmList {
    let keyExchanges: [String]
    let hostKeys: [String]
    let ciphers: [String]
    let codes: [String]

    static func allowed(for endpoint: Endpoint) -> AlgorithmList {
        endpoint.algorithms == .legacy ? legacy : current
    }

    static let current = AlgorithmList(
        keyExchanges: [
            "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384",
            "ecdh-sha2-nistp521", "diffie-hellman-group-exchange-sha256", "diffie-hellman-group16-sha512",
            "diffie-hellman-group18-sha512", "diffie-hellman-group14-sha256",
        ],
        hostKeys: [
            "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512",
            "rsa-sha2-256",
        ]
            // Before 1.11 libssh2 has no other signature for RSA host keys, which many known_hosts files hold.
            + (Library.signsRSAWithSHA2 ? [] : ["ssh-rsa"]),
        // Counter mode without encrypt-then-MAC comes first: Terrapin (CVE-2023-48795) cannot remove packets from it, also where the
        // server has no strict key exchange.
        ciphers: [
            "aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com",
        ] + (isStrict ? ["chacha20-poly1305@openssh.com"] : []),
        codes: ["hmac-sha2-256", "hmac-sha2-512"]
            + (isStrict ? ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"] : []))

    /// For servers that have none of the current ones, such as OpenSSH 5.3 of CentOS 6: SHA-1, CBC and 3DES. There is no MD5, RC4, Blowfish
    /// or DSA, because no server needs them.
    static let legacy = AlgorithmList(
        keyExchanges: current.keyExchanges + old.keyExchanges, hostKeys: current.hostKeys + old.hostKeys,
        ciphers: current.ciphers + old.ciphers, codes: current.codes + old.codes)

    private static let old = AlgorithmList(
        keyExchanges: [
            "diffie-hellman-group-exchange-sha1", "diffie-hellman-group14-sha1", "diffie-hellman-group1-sha1",
        ], hostKeys: ["ssh-rsa"], ciphers: ["aes256-cbc", "aes192-cbc", "aes128-cbc", "3des-cbc"], codes: ["hmac-sha1"])

    /// Whether the two sides would agree if the old algorithms were offered too.
    /// - Parameter proposal: what was offered, of which libssh2 has left out what it does not have.
    static func wouldAgreeWithOldOnes(in proposal: [[String]], for theirs: [[String]]) -> Bool {
        mismatches(ours: zip(proposal, old.proposal).map { $0 + $1 }, theirs: theirs).isEmpty
    }

    /// libssh2 has the strict key exchange from 1.11.1 on.
    private static var isStrict: Bool { Library.isAtLeast(1, 11, 1) }

    /// The host key algorithms with those first for which known_hosts has a key, so that a host with several keys shows one that is known
    /// (OpenSSH's order_hostkeyalgs).
    func hostKeys(known: [String]) -> [String] {
        let names = known.flatMap { type in
            type == "ssh-rsa" ? hostKeys.filter { Self.signaturesOfRSA.contains($0) } : hostKeys.filter { $0 == type }
        }
        return names + hostKeys.filter { !names.contains($0) }
    }

    /// What an RSA key can sign with.
    static let signaturesOfRSA = ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]

    /// Sets the lists of a session. libssh2 leaves out what it does not have. Where nothing is left of a list it would use its own, with
    /// weak algorithms, which is an error here.
    func offer(on session: OpaquePointer, knownHostKeys: [String]) throws {
        let lists = [
            (LIBSSH2_METHOD_KEX, keyExchanges), (LIBSSH2_METHOD_HOSTKEY, hostKeys(known: knownHostKeys)),
            (LIBSSH2_METHOD_CRYPT_CS, ciphers), (LIBSSH2_METHOD_CRYPT_SC, ciphers),
            (LIBSSH2_METHOD_MAC_CS, codes), (LIBSSH2_METHOD_MAC_SC, codes),
        ]
        for (method, names) in lists {
            let code = libssh2_session_method_pref(session, method, names.joined(separator: ","))
            guard code == 0 else {
                throw LibraryError(code: code, message: "libssh2 has none of \(names.joined(separator: ", "))")
            }
        }
    }

    // MARK: Proposals of a key exchange

    /// The lists of an SSH_MSG_KEXINIT (RFC 4253 §7.1), without compression.
    var proposal: [[String]] { [keyExchanges, hostKeys, ciphers, ciphers, codes, codes] }

    private static let kinds = [
        "key exchange", "host key", "cipher to the server", "cipher from the server", "MAC to the server",
        "MAC from the server", "compression to the server", "compression from the server",
    ]

    /// - Parameter reader: after the message number.
    static func proposal(_ reader: inout WireReader<some Collection<UInt8>>) -> [[String]]? {
        guard reader.skip(16) else { return nil }
        var lists: [[String]] = []
        for _ in kinds {
            guard let list = reader.string(limit: 8192) else { return nil }
            lists.append(String(decoding: list, as: UTF8.self).split(separator: ",").map(String.init))
        }
        return lists
    }

    /// What the two sides have nothing in common in, in words; empty where they would agree.
    static func mismatches(ours: [[String]], theirs: [[String]]) -> [String] {
        zip(kinds, zip(ours, theirs)).compactMap { kind, both in
            let (ours, theirs) = both
            guard !theirs.isEmpty, Set(ours).isDisjoint(with: theirs) else { return nil }
            return "no common \(kind): the server offers \(theirs.joined(separator: ", "))"
        }
    }
}
