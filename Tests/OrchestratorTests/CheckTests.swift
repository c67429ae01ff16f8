import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// `check --output json` is what its schema says, and the next check says what is different.
@Suite struct CheckTests {
    let now = Date(timeIntervalSince1970: 1_650_000_000)

    /// As `Terminal.printJSON` encodes it.
    static func json(_ report: some Encodable) throws -> Any {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return try JSONSerialization.jsonObject(with: encoder.encode(report))
    }

    static func schema(_ name: String = "check") throws -> [String: Any] {
        let data = Data(try DocumentationTests.document("docs/\(name).schema.json").utf8)
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    func healthy() throws -> CheckReport { CheckReport(try RunbookCluster.state(isDead: false), at: now) }

    /// The reports of a healthy cluster, one with a dead master, a full one of odd things, and one in which nobody answers.
    func reports() throws -> [CheckReport] {
        var dead = CheckReport(try RunbookCluster.state(), at: now + 86400)
        dead.compare(with: try healthy())
        var odd = try RunbookCluster.state(isDead: false)
        var facts = try #require(odd.hosts[RunbookCluster.names[2]]?.facts)
        facts.disks = [.init(mount: "/", availableKiB: 1, usedPercent: 99)]
        facts.certificates = [.init(path: "a.crt", notAfter: now + 86400)]
        facts.clockOffset = -7.12345
        facts.kubeletRuns = false
        facts.runtimes = []
        facts.keepalived = .absent
        odd.hosts[RunbookCluster.names[2]] = .reached(facts)
        var bare = try #require(odd.hosts[RunbookCluster.spare]?.facts)
        bare.clusterTraces = ["/etc/kubernetes/kubelet.conf"]
        bare.unreachable = ["10.0.0.1:3306": "Connection refused"]
        odd.hosts[RunbookCluster.spare] = .reached(bare)
        odd.cluster.problems = ["something"]
        odd.cluster.objects.pods[0].status = .init(phase: "Pending")
        var silent = try RunbookCluster.state()
        silent.cluster = ClusterObservation()
        for host in silent.inventory.hosts {
            silent.hosts[host.name] = .failed(.init(message: "\(host.name): connect: no route", sign: .noRoute))
        }
        return [try healthy(), dead, CheckReport(odd, at: now), CheckReport(silent, at: now)]
    }

    @Test func everyReportIsAsTheSchemaSays() throws {
        let schema = try Self.schema()
        for report in try reports() {
            #expect(try Schema.mistakes(in: Self.json(report), schema, at: "") == [])
        }
        #expect(try reports().map(\.status) == [0, 4, 2, 4])
    }

    /// The validator itself: a document with a key too many, one too few, and values of another kind is none.
    @Test func aDocumentOfAnotherShapeIsTold() throws {
        let schema = try Self.schema()
        var document = try #require(try Self.json(try reports()[1]) as? [String: Any])
        document["extra"] = 1
        document["vip"] = 7
        document["schema_version"] = 2
        document["at"] = "yesterday"
        document.removeValue(forKey: "status")
        let mistakes = Schema.mistakes(in: document, schema, at: "")
        for expected in ["/extra", "/vip", "/schema_version", "/at", "/status"] {
            #expect(mistakes.contains { $0.hasPrefix(expected + ":") }, "\(expected): \(mistakes)")
        }
    }

    @Test func theSchemaAndTheDocumentHaveEveryCode() throws {
        let schema = try Self.schema()
        func values(_ path: [String]) throws -> [String] {
            var node: Any = schema
            for key in path { node = try #require((node as? [String: Any])?[key], "\(key)") }
            return try #require(node as? [String])
        }
        let finding = ["properties", "findings", "items", "properties", "code", "enum"]
        let change = ["properties", "changes", "items", "properties", "kind", "enum"]
        #expect(try values(finding) == CheckReport.Code.allCases.map(\.rawValue))
        #expect(try values(change) == CheckReport.Change.Kind.allCases.map(\.rawValue))
        let rows = try DocumentationTests.document("docs/check.md").split(separator: "\n")
            .compactMap { $0.hasPrefix("| `") ? $0.split(separator: "`").dropFirst().first.map(String.init) : nil }
        #expect(rows == CheckReport.Code.allCases.map(\.rawValue))
    }

    /// That none was taken is worth a word, and no reason for cron to raise an alarm.
    @Test func anOldSnapshotIsTold() throws {
        let day: TimeInterval = 86400
        func report(_ age: TimeInterval?, onMaster other: TimeInterval? = nil) throws -> CheckReport {
            var state = try RunbookCluster.state(isDead: false)
            state.change(RunbookCluster.names[1]) { facts in
                facts.snapshots = other.map { [.init(path: "/var/backups/etcd.db", at: now - $0)] } ?? []
            }
            var here = KnownSnapshotTests.nothingHere
            here.newest = age.map { KnownSnapshot(path: "/s", at: now - $0) }
            return CheckReport(state, here: here, at: now)
        }
        func told(_ report: CheckReport) -> [String] { report.findings.filter { $0.code == .snapshotOld }.map(\.text) }
        let none = try report(nil)
        #expect(told(none) == ["no snapshot of etcd is known, neither here nor in the usual places on the masters"])
        #expect(none.status == 0 && none.snapshots == nil)
        #expect(told(try report(3 * day)) == ["the newest snapshot of etcd that is known is 3 days old, here"])
        #expect(told(try report(day)) == [])
        #expect(told(try report(nil, onMaster: 3600)) == [], "k3s takes its own")
        let both = try report(3 * day, onMaster: 4 * day)
        #expect(both.snapshots?.map(\.host) == [nil, RunbookCluster.names[1]])
        #expect(try Schema.mistakes(in: Self.json(both), Self.schema(), at: "") == [])
        // A replay knows nothing of the machine that it runs on.
        #expect(told(try healthy()) == [])
    }

    /// Whoever looks at the cluster is told of a run that another machine's user has left.
    @Test(arguments: [(RunHead.State.unfinished, 1), (.done, 0), (.abandoned, 0)])
    func aRunThatIsLeftIsTold(state of: RunHead.State, count: Int) throws {
        var state = try RunbookCluster.state(isDead: false)
        state.cluster.runs = [RunHead(run: "20261122-0301", title: "Replace a with b", startedAt: now, state: of)]
        let report = CheckReport(state, at: now)
        let found = report.findings.filter { $0.code == .runUnfinished }
        #expect(found.count == count)
        #expect(found.allSatisfy { $0.advice.contains("masterswap resume 20261122-0301") })
        #expect(try Schema.mistakes(in: Self.json(report), Self.schema(), at: "") == [])
    }

    @Test func theNextCheckSaysWhatIsDifferent() throws {
        var dead = CheckReport(try RunbookCluster.state(), at: now + 86400)
        dead.compare(with: try healthy())
        #expect(dead.since == now)
        let changes = try #require(dead.changes)
        #expect(changes.contains { $0.kind == .newProblem && $0.subject == RunbookCluster.names[0] })
        #expect(
            changes.contains {
                $0.kind == .vipMoved && $0.text == "from \(RunbookCluster.names[0]) to \(RunbookCluster.names[1])"
            })
        var again = dead
        again.compare(with: dead)
        #expect(again.changes == [])
        var recovered = try healthy()
        recovered.compare(with: dead)
        #expect(
            recovered.changes?.contains { $0.kind == .goneProblem && $0.subject == RunbookCluster.names[0] } == true)
        #expect(recovered.changes?.contains { $0.kind == .newProblem } == false)
    }

    /// Figures in a problem's words change every day; the problem does not.
    @Test func aProblemIsTheSameWhileItsCodeAndSubjectAre() throws {
        var yesterday = try healthy()
        var today = yesterday
        yesterday.findings = [.init(code: .disk, severity: .warning, subject: "a", text: "/ is 86 % full", advice: "x")]
        today.findings = [.init(code: .disk, severity: .warning, subject: "a", text: "/ is 87 % full", advice: "x")]
        today.compare(with: yesterday)
        #expect(today.changes == [])
    }

    @Test func whatNobodyCouldReadIsNotGone() throws {
        var silent = try reports()[3]
        silent.compare(with: try reports()[2])
        let kinds = try #require(silent.changes).map(\.kind)
        #expect(!kinds.contains(.goneProblem) && !kinds.contains(.nodeRemoved) && !kinds.contains(.memberRemoved))
        #expect(kinds.contains(.newProblem))
        #expect(!kinds.contains(.vipMoved) && !silent.findings.contains { $0.code == .vipNotHeld })
    }

    @Test func nodesAndMembersThatComeAndGoAreNamed() throws {
        let before = try healthy()
        var after = before
        after.nodes[0].name = "other"
        after.members[0].id = "ffff"
        after.compare(with: before)
        #expect(
            try #require(after.changes).map { "\($0.kind.rawValue) \($0.subject)" } == [
                "node-added other", "node-removed \(RunbookCluster.names[0])", "member-added etcd",
                "member-removed etcd",
            ])
    }

    @Test func theLastCheckIsKeptForItsOwner() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("checks-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: root) }
        let history = ReportHistory(RunStore(environment: ["MASTERSWAP_STATE": root]))
        var report = try reports()[1]
        report.cluster = "../../odd name/ä"
        #expect(history.last(of: report.cluster, CheckReport.self) == nil)
        try history.keep(report)
        let kept = try #require(history.last(of: report.cluster, CheckReport.self))
        #expect(kept.findings == report.findings && kept.changes == report.changes && kept.at == report.at)
        #expect(history.last(of: "other", CheckReport.self) == nil)
        let files = try FileManager.default.contentsOfDirectory(atPath: root + "/checks")
        #expect(files.count == 1, "\(files)")
        let attributes = try FileManager.default.attributesOfItem(atPath: root + "/checks/" + files[0])
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        // Another shape, of another version: as if there were none.
        try Data("{}".utf8).write(to: URL(fileURLWithPath: root + "/checks/" + files[0]))
        #expect(history.last(of: report.cluster, CheckReport.self) == nil)
    }
}

/// The part of JSON Schema that `docs/*.schema.json` are written in; what it does not know is a mistake, too.
enum Schema {
    static func mistakes(in value: Any, _ schema: [String: Any], at path: String) -> [String] {
        var mistakes: [String] = []
        for (keyword, rule) in schema {
            switch keyword {
            case "$schema", "$id", "title", "description": break
            case "type": if !isOf(type: rule as? String ?? "", value) { mistakes.append("\(path): no \(rule)") }
            case "const": if !isSame(value, rule) { mistakes.append("\(path): not \(rule)") }
            case "enum":
                if (rule as? [Any])?.contains(where: { isSame(value, $0) }) != true {
                    mistakes.append("\(path): none of \(rule)")
                }
            case "minimum":
                if let number = value as? NSNumber, let limit = rule as? NSNumber,
                    number.doubleValue < limit.doubleValue
                {
                    mistakes.append("\(path): too small")
                }
            case "maximum":
                if let number = value as? NSNumber, let limit = rule as? NSNumber,
                    number.doubleValue > limit.doubleValue
                {
                    mistakes.append("\(path): too large")
                }
            case "format": if !isOf(format: rule as? String ?? "", value) { mistakes.append("\(path): no \(rule)") }
            case "items":
                for (index, item) in (value as? [Any] ?? []).enumerated() {
                    mistakes += Self.mistakes(in: item, rule as? [String: Any] ?? [:], at: "\(path)/\(index)")
                }
            case "required":
                for key in rule as? [String] ?? [] where (value as? [String: Any])?[key] == nil {
                    mistakes.append("\(path)/\(key): is missing")
                }
            case "properties":
                for (key, rule) in rule as? [String: [String: Any]] ?? [:] {
                    guard let item = (value as? [String: Any])?[key] else { continue }
                    mistakes += Self.mistakes(in: item, rule, at: "\(path)/\(key)")
                }
            case "additionalProperties":
                let known = schema["properties"] as? [String: Any] ?? [:]
                for key in (value as? [String: Any] ?? [:]).keys where known[key] == nil {
                    mistakes.append("\(path)/\(key): is not in the schema")
                }
            default: mistakes.append("\(path): the schema's keyword '\(keyword)' is not known here")
            }
        }
        return mistakes
    }

    private static func isSame(_ one: Any, _ other: Any) -> Bool { "\(one)" == "\(other)" }

    private static func isOf(type: String, _ value: Any) -> Bool {
        let isTruth = (value as? NSNumber).map { String(cString: $0.objCType) == "c" } ?? false
        return switch type {
        case "object": value is [String: Any]
        case "array": value is [Any]
        case "string": value is String
        case "boolean": isTruth
        case "number": value is NSNumber && !isTruth
        case "integer": !isTruth && (value as? NSNumber).map { $0.doubleValue == $0.doubleValue.rounded() } ?? false
        default: false
        }
    }

    private static func isOf(format: String, _ value: Any) -> Bool {
        guard let text = value as? String else { return false }
        return switch format {
        case "date-time": (try? Date(text, strategy: .iso8601)) != nil
        case "ipv4": IPv4.isValid(text)
        default: false
        }
    }
}
