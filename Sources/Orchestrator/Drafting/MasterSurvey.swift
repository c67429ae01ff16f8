import Cluster
import Foundation
import Inventories
import SSH

/// What one master knows of its cluster before there is an inventory: how it was made, its VIP, and ocboot's files.
struct MasterSurvey: Sendable {
    var distribution: Inventory.Distribution
    var addresses: Set<String>
    /// Where the API server beside it listens, as its certificate has it; `nil` where no manifest says so.
    var advertisedAddress: String?
    var manifest: KeepalivedManifest?
    /// Where the API server is asked for by kubectl: the VIP, if no keepalived says otherwise.
    var loadBalancer: String?
    var apiPort: Int?
    /// Provisioners by class.
    var storageClasses: [String: String]
    /// `version`, `repository`, `db-host`, `db-port`, `db-user` of the OnecloudCluster; never the password.
    var onecloud: [String: String]
    var ocbootDirectory: String?
    var ocbootFile: OcbootFile?

    private static let operation = "look for a cluster"

    /// - Throws: `SSHError`; ``ClusterError`` where the host is no master.
    static func run(on remote: any Remote) async throws -> MasterSurvey {
        let script = script
        let result = try await remote.run(script.command(label: operation, timeout: nil))
        return try MasterSurvey(
            script.parse(result, host: remote.name, operation: operation), host: remote.name)
    }

    /// POSIX sh, as everywhere. Lines with secrets in them are taken out on the host itself.
    static var script: SectionedScript {
        /// Of the kind of cluster that the host is a master of.
        func byKind(_ text: (Inventory.Distribution) -> String) -> String {
            let tries = Inventory.Distribution.allCases.reversed().map {
                "if [ -e \($0.masterMark) ]; then \(text($0))"
            }
            return tries.joined(separator: "; el") + "; else exit 1; fi"
        }
        let kubectl = byKind {
            "ask() { \(ShellQuoting.join(Kubectl.environment + $0.kubectl)) --request-timeout=10s \"$@\"; }"
        }
        var script = SectionedScript()
        script.section("distribution", byKind { "echo \($0.rawValue)" })
        script.section("addresses", "ip -o -4 addr")
        script.section("advertised", byKind(\.advertisedAddress))
        script.section("server", byKind { "sed -n 's/^ *server: *//p' \($0.kubeconfig)" })
        script.section("keepalived", byKind { "cat \($0.keepalivedManifest)" })
        script.section(
            "storage",
            "\(kubectl)\nask get storageclasses -o jsonpath='{range .items[*]}{.metadata.name} {.provisioner}{\"\\n\"}{end}'"
        )
        let fields = [
            ("version", "version"), ("repository", "imageRepository"), ("db-host", "mysql.host"),
            ("db-port", "mysql.port"), ("db-user", "mysql.username"),
        ].map { "\($0.0)={.spec.\($0.1)}{\"\\n\"}" }.joined()
        script.section(
            "onecloud",
            "\(kubectl)\nask get onecloudclusters.onecloud.yunion.io -n onecloud -o jsonpath='{range .items[0:1]}\(fields){end}'"
        )
        let find = """
            for folder in /root/ocboot /opt/ocboot "$HOME/ocboot" /home/*/ocboot; do
                [ -e "$folder/run.py" ] || [ -e "$folder/ocboot.sh" ] || continue
            """
        script.section("ocboot", "\(find)\necho \"$folder\"; exit 0; done; exit 1")
        // The newest configuration; a name with a line break in it is passed over.
        script.section(
            "ocboot-file",
            """
            \(find)
                file=$(grep -ls '^primary_master_node:' "$folder"/*.yml "$folder"/*.yaml | tr '\\n' '\\0' | xargs -0 -r ls -t | head -n 1)
                [ -n "$file" ] || continue
                echo "$file"
                sed '/[Pp][Aa][Ss][Ss][Ww]/d; /[Ss][Ee][Cc][Rr][Ee][Tt]/d; /[Tt][Oo][Kk][Ee][Nn]/d' "$file"
                exit 0
            done
            exit 1
            """)
        return script
    }

    init(_ sections: [String: SectionedScript.Section], host: String) throws {
        guard let found = sections["distribution"], found.succeeded,
            let distribution = Inventory.Distribution(rawValue: found.text)
        else {
            throw ClusterError(
                .noMaster, host: host, operation: Self.operation,
                cause:
                    "none of these is there: \(Inventory.Distribution.allCases.map(\.masterMark).joined(separator: ", "))",
                advice: "name a master that is well, and a user that may read them, or add --sudo")
        }
        func text(_ name: String) -> String? {
            sections[name].flatMap { $0.succeeded && !$0.text.isEmpty ? $0.text : nil }
        }
        self.distribution = distribution
        addresses = Set(
            (sections["addresses"]?.lines ?? []).compactMap { line in
                let words = line.split(separator: " ")
                return words.count > 3 ? words[3].split(separator: "/").first.map(String.init) : nil
            })
        advertisedAddress = text("advertised").flatMap { IPv4.isValid($0) ? $0 : nil }
        manifest = text("keepalived").flatMap { try? KeepalivedManifest($0) }
        if let url = text("server").flatMap(URL.init(string:)) {
            apiPort = url.port
            loadBalancer = url.host().flatMap { IPv4.isValid($0) && !$0.hasPrefix("127.") ? $0 : nil }
        }
        storageClasses = [:]
        for line in sections["storage"]?.lines ?? [] {
            let words = line.split(separator: " ").map(String.init)
            if words.count == 2 { storageClasses[words[0]] = words[1] }
        }
        onecloud = [:]
        for line in text("onecloud")?.split(separator: "\n") ?? [] {
            let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
            if parts.count == 2 { onecloud[parts[0]] = parts[1] }
        }
        ocbootDirectory = text("ocboot")
        if let lines = text("ocboot-file")?.split(separator: "\n", maxSplits: 1), lines.count == 2 {
            ocbootFile = try? OcbootFile(parsing: String(lines[1]), path: "\(lines[0]) on \(host)")
        }
    }
}
