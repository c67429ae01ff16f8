import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Secrets in any of the forms that hosts print them in become pseudonyms; everything else stays as it is.
@Suite struct SecretScrubberTests {
    private func scrub(_ text: String, _ secrets: [String] = []) -> String {
        var scrubber = SecretScrubber(secrets.map(Secret.init))
        return scrubber.scrub(text)
    }

    @Test(arguments: [
        // YAML, shell, INI
        ("password: hunter2", "password: secret-1"),
        ("  db_password: \"hun'ter 2\"  # set by hand", "  db_password: \"secret-1\"  # set by hand"),
        ("password: 'it''s'", "password: 'secret-1'"),
        ("password: with blanks, and commas # comment", "password: secret-1 # comment"),
        ("adminPass: 12345", "adminPass: secret-1"),
        ("- name: DB_PASSWORD\n  value: hunter2\n- name: B", "- name: DB_PASSWORD\n  value: secret-1\n- name: B"),
        ("- name: OTHER\n  # comment\n  value: plain", "- name: OTHER\n  # comment\n  value: secret-1"),
        ("- value: plain\n  name: OTHER", "- value: secret-1\n  name: OTHER"),
        ("- {name: OTHER, value: plain}", "- {name: OTHER, value: secret-1}"),
        ("password: |-\n  one\n  two\nnext: x", "password: |-\n  secret-1\nnext: x"),
        ("- password: |\n    one\n    two\n  next: x", "- password: |\n    secret-1\n  next: x"),
        ("password: | # by hand\n  one\n\n  two\nnext: x", "password: | # by hand\n  secret-1\nnext: x"),
        ("\"password\": >+2\n  one\nnext: x", "\"password\": >+2\n  secret-1\nnext: x"),
        ("- name: OTHER\n  value: |\n    one\n- name: B", "- name: OTHER\n  value: |\n    secret-1\n- name: B"),
        (#""a":"password: |\n  one \"two\"\n  three\nnext: y""#, #""a":"password: |\n  secret-1\nnext: y""#),
        (#""a":"x: 1\n- password: |\n    one\n    two\n""#, #""a":"x: 1\n- password: |\n    secret-1\n""#),
        (#""a":"password: |\n  one""#, #""a":"password: |\n  secret-1""#),
        (#""a":"{\"b\":\"password: |\\n  one\\nnext: y\"}""#, #""a":"{\"b\":\"password: |\\n  secret-1\\nnext: y\"}""#),
        ("export DB_PASSWORD=hunter2\nDB_USER=root", "export DB_PASSWORD=secret-1\nDB_USER=root"),
        ("[a]\npassword = hunter 2\nuser = x", "[a]\npassword = secret-1\nuser = x"),
        ("run --db-password=hunter2 --user=x", "run --db-password=secret-1 --user=x"),
        ("run --token hunter2 --user x", "run --token secret-1 --user x"),
        ("- --requirepass\n- hunter2\n- -v", "- --requirepass\n- secret-1\n- -v"),
        ("mysql -uroot -phunter2 -p3306x db", "mysql -uroot -psecret-1 -psecret-2 db"),
        ("/usr/bin/mysqldump -h db -phunter2", "/usr/bin/mysqldump -h db -psecret-1"),
        ("sshpass -p hunter2 ssh x", "sshpass -p secret-1 ssh x"),
        ("curl -k -u admin:hunter2 https://x", "curl -k -u admin:secret-1 https://x"),
        ("curl --user 'admin:hunter2' x", "curl --user 'admin:secret-1' x"),
        ("docker login -u x -p hunter2 registry", "docker login -u x -p secret-1 registry"),
        (#"["sh","-c","mysqladmin -uroot -phunter2 ping"]"#, #"["sh","-c","mysqladmin -uroot -psecret-1 ping"]"#),
        (#"["redis-cli", "-a", "hunter2", "ping"]"#, #"["redis-cli", "-a", "secret-1", "ping"]"#),
        ("    auth_pass d0cker\n", "    auth_pass secret-1\n"),
        // JSON
        (#"{"token":"a\"b\\","x":1}"#, #"{"token":"secret-1","x":1}"#),
        (#"{"password":12345}"#, #"{"password":"secret-1"}"#),
        (#"{"passwords":["a", "b"],"x":[]}"#, #"{"passwords":["secret-1", "secret-2"],"x":[]}"#),
        (
            "{\n    \"name\": \"OTHER\",\n    \"value\": \"plain\"\n}",
            "{\n    \"name\": \"OTHER\",\n    \"value\": \"secret-1\"\n}"
        ),
        (#""args": ["--token", "hunter2", "-v"]"#, #""args": ["--token", "secret-1", "-v"]"#),
        (#""args": ["--token=hunter2", "-v"]"#, #""args": ["--token=secret-1", "-v"]"#),
        // JSON and YAML within JSON strings
        (
            #""a":"{\"env\":[{\"name\":\"X\",\"value\":\"plain\"}]}""#,
            #""a":"{\"env\":[{\"name\":\"X\",\"value\":\"secret-1\"}]}""#
        ),
        (#""a":"{\"b\":\"{\\\"token\\\":\\\"x\\\"}\"}""#, #""a":"{\"b\":\"{\\\"token\\\":\\\"secret-1\\\"}\"}""#),
        (#""a":"user: x\npassword: hunter 2\nnext: y""#, #""a":"user: x\npassword: secret-1\nnext: y""#),
        (#""a":"password = hunter 2""#, #""a":"password = secret-1""#),
        ("- --auth-pass\n- hunter2\n- --vip", "- --auth-pass\n- secret-1\n- --vip"),
        (
            #""m":"args:\n  - --auth-pass\n  - hunter2\n""#, #""m":"args:\n  - --auth-pass\n  - secret-1\n""#
        ),
        ("curl -fsSLu admin:hunter2 https://x", "curl -fsSLu admin:secret-1 https://x"),
        ("etcdctl --user root:hunter2 member list", "etcdctl --user root:secret-1 member list"),
        ("ipmitool -H bmc -U admin -P hunter2 power off", "ipmitool -H bmc -U admin -P secret-1 power off"),
        ("x --password \"hunter 2\" --y", "x --password \"secret-1\" --y"),
        (#""m":"x --password \"hunter 2\" y""#, #""m":"x --password \"secret-1\" y""#),
        ("http://user:hun@ter2@proxy:3128/", "http://user:secret-1@proxy:3128/"),
        ("https://ghp0123456789abcdefghij@git.example/x", "https://secret-1@git.example/x"),
        ("https://qyapi.example/send?key=hunter2&x=1", "https://qyapi.example/send?key=secret-1&x=1"),
        ("https://hooks.slack.com/services/T0/B0/hunter2", "https://hooks.slack.com/services/secret-1"),
        ("snmp_community: hunter2", "snmp_community: secret-1"), ("--vrrp-auth hunter2", "--vrrp-auth secret-1"),
        ("# 密码: hunter2", "# 密码: secret-1"), ("# root 口令：hunter2\n", "# root 口令：secret-1\n"),
        // By their form
        ("join --token abcdef.0123456789abcdef x", "join --token secret-1 x"),
        ("the token abcdef.0123456789abcdef", "the token secret.0000000000000001"),
        (
            "key\n" + String(repeating: "0a", count: 32) + "\n",
            "key\n" + String(repeating: "0", count: 63) + "1\n"
        ),
        ("x eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2ln x", "x secret-1 x"),
        ("Authorization: Bearer abcdefghijklmnopqrstuvwxyz", "Authorization: Bearer secret-1"),
        ("mysql+pymysql://root:hunter2@10.0.0.1:3306/db", "mysql+pymysql://root:secret-1@10.0.0.1:3306/db"),
        ("root:hunter2@tcp(10.0.0.1:3306)/db", "root:secret-1@tcp(10.0.0.1:3306)/db"),
        ("root:$6$saltsalt$abcdefghijklmnop:1:2", "root:secret-1:1:2"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----secret-1-----END RSA PRIVATE KEY-----\n"
        ),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", "-----BEGIN OPENSSH PRIVATE KEY-----secret-1"),
        (
            "x: " + Data("-----BEGIN EC PRIVATE KEY-----\nMIIE\n".utf8).base64EncodedString(), "x: secret-1"
        ),
    ]) func aSecretBecomesAPseudonym(_ text: String, _ expected: String) {
        #expect(scrub(text) == expected)
    }

    @Test(arguments: [
        #"{"automountServiceAccountToken": true, "secret": {"secretName": "default-token-abcde"}, "imagePullSecrets": [{"name": "regcred"}]}"#,
        "docker run -p 80:80 nginx; mysql -p db; curl -u admin https://x; ssh -p 2222 x",
        #"{"tokenExpirationSeconds": 3607, "password": "", "token": null}"#,
        "--tls-private-key-file=/etc/kubernetes/pki/apiserver.key --service-account-key-file /a/b",
        "image: sha256:" + String(repeating: "0a", count: 32),
        "containerID: docker://" + String(repeating: "0a", count: 32),
        "2: eth0    inet 10.0.0.1/24 brd 10.0.0.255 scope global eth0\nLISTEN 0 128 [::]:6443 [::]:*",
        "- name: KEEPALIVED_PRIORITY\n  value: \"100\"\n- name: MINIO_STORAGE_CLASS_STANDARD\n  value: EC:2",
        "ssh://git@git.example/x", "https://x.example/a?keys=1", "kubectl -n kube-system get pods -o wide",
        "sudo: a password is required", "# 密码见文档", #""m":"error: --token\nSee 'kubectl'""#,
        "error: unknown flag: --token\nSee 'kubectl --help' for usage.",
        "https://10.127.100.102:6443/healthz", "12:30:45.123", "a == b", "",
        "E1126 16:53:23.1 memcache.go:287] couldn't get resource list for metrics.k8s.io/v1beta1: x",
    ]) func whatIsNoSecretStays(_ text: String) {
        #expect(scrub(text) == text)
    }

    @Test func equalSecretsGetEqualPseudonymsHoweverTheyAreWritten() {
        var scrubber = SecretScrubber()
        let one = scrubber.scrub("- name: KEEPALIVED_PASSWORD\n  value: d0cker")
        #expect(
            scrubber.scrub("- name: KEEPALIVED_PASSWORD\n  value: \"d0cker\"")
                == one.replacing("secret-1", with: "\"secret-1\""))
        #expect(scrubber.scrub(#"{"a":"{\"password\":\"d0cker\"}"}"#).contains(#"\"secret-1\""#))
        #expect(scrubber.scrub("password: other").contains("secret-2"))
        #expect(scrubber.scrub(#""password": "a\\b""#) == #""password": "secret-3""#)
        #expect(scrubber.scrub(#"password: a\b"#) == "password: secret-3")
    }

    @Test func whatTheSessionKnowsIsFoundWhereverItStands() {
        let secret = #"p@ss w"rd/1"#
        let escaped = String(decoding: try! JSONEncoder().encode(secret), as: UTF8.self)
        let base64 = Data(secret.utf8).base64EncodedString()
        let text = scrub("log: \(secret) \(escaped) \(base64)", [secret, "abc"])
        #expect(!text.contains("w\"rd") && !text.contains(base64))
        #expect(text.hasPrefix("log: secret-1 \"secret-1\""))
        // A short one is found as a word of its own only.
        #expect(scrub("abc abcdef", ["abc"]) == "secret-1 abcdef")
    }

    @Test func aScriptsMarkersStayAndEndASecret() {
        var scrubber = SecretScrubber()
        let marker = Data("\n@<nonce>".utf8)
        let text = "-----BEGIN PRIVATE KEY-----\nMIIE\n@<nonce> reach-secret-db:3306 0\nx\n@<nonce> b 0\n"
        let scrubbed = String(decoding: scrubber.scrub(Data(text.utf8), exceptLinesWith: marker), as: UTF8.self)
        #expect(
            scrubbed
                == "-----BEGIN PRIVATE KEY-----secret-1\n@<nonce> reach-secret-db:3306 0\nx\n@<nonce> b 0\n")
    }

    @Test func bytesThatAreNoTextStay() {
        var scrubber = SecretScrubber()
        let bytes: [UInt8] = [0xFF, 0x00, 0xC3] + Array("\npassword: x\n".utf8) + [0xFE]
        #expect(scrubber.scrub(bytes) == [0xFF, 0x00, 0xC3] + Array("\npassword: secret-1\n".utf8) + [0xFE])
    }

    /// Whatever is cut off wherever, nothing crashes and nothing that is no secret is lost.
    @Test func everyBeginningOfATextIsRead() {
        let text =
            #"{"a":"{\"token\":\"x\\\"y\"}","env":[{"name":"A","value":"b"}]} --token x -----BEGIN RSA PRIVATE KEY----- x"#
        for length in 0...text.utf8.count {
            let part = String(decoding: Array(text.utf8)[..<length], as: UTF8.self)
            #expect(scrub(part).hasPrefix(String(part.prefix(5))))
        }
    }
}
