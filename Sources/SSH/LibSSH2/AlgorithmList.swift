import CLibSSH2

/// What may be agreed on with a server, in order of preference: a list of what is allowed, so that nothing weak that libssh2 knows, or may
/// come to know, is offered.
///
/// OpenSSH from 7.4 on (CentOS 7) has one of each of the current ones.
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
            // Before 1.11 libssh2 has no better signature for the RSA keys that known_hosts files are full of.
            + (Library.signsRSAWithSHA2 ? [] : ["ssh-rsa"]),
        // Those in counter mode first, and without encrypt-then-MAC: Terrapin (CVE-2023-48795) cannot cut anything out of them, also
        // where the server has no strict key exchange.
        ciphers: [
            "aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com",
        ] + (isStrict ? ["chacha20-poly1305@openssh.com"] : []),
        codes: ["hmac-sha2-256", "hmac-sha2-512"]
            + (isStrict ? ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"] : []))

    /// For servers that have none of the current ones, such as OpenSSH 5.3 of CentOS 6: SHA-1, block chaining, 3DES. No MD5, RC4, Blowfish
    /// or DSA, which no server needs.
    static let legacy = AlgorithmList(
        keyExchanges: current.keyExchanges + old.keyExchanges, hostKeys: current.hostKeys + old.hostKeys,
        ciphers: current.ciphers + old.ciphers, codes: current.codes + old.codes)

    private static let old = AlgorithmList(
        keyExchanges: [
            "diffie-hellman-group-exchange-sha1", "diffie-hellman-group14-sha1", "diffie-hellman-group1-sha1",
        ], hostKeys: ["ssh-rsa"], ciphers: ["aes256-cbc", "aes192-cbc", "aes128-cbc", "3des-cbc"], codes: ["hmac-sha1"])

    /// Whether it is these that a server and we lack to agree.
    /// - Parameter proposal: what was offered, of which libssh2 has left out what it does not have.
    static func oldOnesAreWanting(in proposal: [[String]], for theirs: [[String]]) -> Bool {
        mismatches(ours: zip(proposal, old.proposal).map { $0 + $1 }, theirs: theirs).isEmpty
    }

    /// libssh2 has the strict key exchange from 1.11.1 on.
    private static var isStrict: Bool { Library.isAtLeast(1, 11, 1) }

    /// Of the types that known_hosts has for a host, first, so that a host with several keys shows the one we know (OpenSSH's
    /// order_hostkeyalgs); then the others.
    func hostKeys(known: [String]) -> [String] {
        let names = known.flatMap { type in
            type == "ssh-rsa" ? hostKeys.filter { Self.signaturesOfRSA.contains($0) } : hostKeys.filter { $0 == type }
        }
        return names + hostKeys.filter { !names.contains($0) }
    }

    /// What an RSA key can sign with.
    static let signaturesOfRSA = ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]

    /// Tells a session. libssh2 leaves out what it does not have; where nothing is left of a list it keeps its own, with all that is weak,
    /// which is an error.
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
