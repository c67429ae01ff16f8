import Foundation
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What the documents promise is what the code does, in both languages.
@Suite struct DocumentationTests {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static func document(_ path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    static let readmes = ["README.md", "README.zh-CN.md"]
    static let guides = ["docs/from-the-runbook.md", "docs/from-the-runbook.zh-CN.md"]
    static let recoveryGuides = ["docs/two-masters-dead.md", "docs/two-masters-dead.zh-CN.md"]

    @Test func everySafetyRuleIsListedWithWhatItPrevents() throws {
        let readme = try Self.document("README.md")
        for rule in SafetyRules.listed { #expect(readme.contains("| `\(rule.id)` | \(rule.prevents) |"), "\(rule.id)") }
    }

    @Test(arguments: readmes) func theRulesAreJustThose(_ path: String) throws {
        let rows = try Self.document(path).split(separator: "\n").filter { $0.hasPrefix("| `") }
        let ids = rows.compactMap { $0.split(separator: "`").dropFirst().first.map(String.init) }
        #expect(ids == SafetyRules.listed.map { $0.id })
    }

    @Test func everyEventIsDocumented() throws {
        let rows = try Self.document("docs/events.md").split(separator: "\n").filter { $0.hasPrefix("| `") }
        let names = rows.compactMap { $0.split(separator: "`").dropFirst().first.map(String.init) }
        #expect(Set(names) == Set(Event.Name.allCases.map(\.rawValue)))
        #expect(names.count == Set(names).count)
    }

    @Test(arguments: readmes) func theExitStatusesAreJustThose(_ path: String) throws {
        let rows = try Self.document(path).split(separator: "\n").compactMap { line in
            line.hasPrefix("| ") ? Int32(line.dropFirst(2).prefix { $0 != " " }) : nil
        }
        #expect(rows == ExitStatus.allCases.map { Int32($0.rawValue) })
    }

    /// Two languages, one document: the same headings in level and number, the same code, the same links out.
    @Test(arguments: [readmes, guides, recoveryGuides]) func bothLanguagesSayTheSame(_ pair: [String]) throws {
        let english = try Self.document(pair[0])
        let chinese = try Self.document(pair[1])
        #expect(Outline(english).headings == Outline(chinese).headings)
        #expect(Outline(english).tableRows == Outline(chinese).tableRows)
        #expect(Outline(english).codeBlocks == Outline(chinese).codeBlocks)
        let file = { (path: String) in path.split(separator: "/").last.map(String.init) ?? path }
        #expect(english.contains("](\(file(pair[1])))"), "links its translation")
        #expect(chinese.contains("](\(file(pair[0])))"), "links its original")
    }

    /// The README's table of speed is the bench's own, not typed.
    @Test(arguments: readmes) func theFiguresAreTheBenchs(_ path: String) throws {
        let results = try Self.document("Tests/Bench/results.md").split(separator: "\n")
        let rows = try Self.document(path).split(separator: "\n").filter { $0.contains(" ms, ") || $0.contains(" × |") }
        #expect(rows.count >= 3)
        for row in rows { #expect(results.contains(row), "\(row)") }
    }

    /// The guide names steps by the ids that the journal and `--output json` carry.
    @Test(arguments: guides) func theGuideNamesEveryStep(_ path: String) throws {
        let guide = try Self.document(path)
        let fixed = [
            "save", "drain", "delete-node", "remove-member", "clean-cluster-status", "fence", "clean-failed-join",
            "vip", "join", "node-ready",
            "promote",
            "cordon", "delete-volumes", "uncordon", "pods-ready", "verify",
        ]
        for id in fixed + [
            "rebuild-onecloud-minio-minio", "rebuild-onecloud-default-influxdb", "heal-onecloud-minio-minio",
        ] {
            #expect(guide.contains("`\(id)`"), "\(id)")
        }
        let sources = try Self.stepIdentifiers()
        #expect(Set(fixed) == sources, "a step was added or renamed: the guide and this list want it, too")
    }

    /// The same of a recovery.
    @Test(arguments: recoveryGuides) func theRecoveryGuideNamesEveryStep(_ path: String) throws {
        let guide = try Self.document(path)
        let ids = guide.split(separator: "\n").filter { $0.hasPrefix("| `") }.compactMap {
            $0.split(separator: "`").dropFirst().first.map(String.init)
        }
        var plan = try RecoveryCluster.plan()
        plan.watch = 260
        let steps = RecoverySteps.make(plan).map(\.id)
        #expect(Array(ids.prefix(steps.count)) == steps)
        plan.distribution = .k3s
        let server = RecoverySteps.make(plan).map(\.id)
        #expect(ids.dropFirst(steps.count).filter(server.contains) == ["copy-data", "new-cluster", "start-k3s"])
        #expect(Set(ids) == Set(steps + server))
    }

    @Test func everyLinkToAFileLeadsToOne() throws {
        for path in Self.readmes + Self.guides + Self.recoveryGuides + ["docs/ssh.md"] {
            let folder = Self.root.appendingPathComponent(path).deletingLastPathComponent()
            for match in try Self.document(path).matches(of: /\]\(([^)#:]+)\)/) {
                let target = folder.appendingPathComponent(String(match.1)).standardizedFileURL.path
                #expect(FileManager.default.fileExists(atPath: target), "\(path): \(match.1)")
            }
        }
    }

    /// The table of modules says what the compiler holds.
    @Test func theModulesImportWhatTheTableSays() throws {
        let package = try Self.document("Package.swift")
        let order = try #require(package.firstMatch(of: /let orchestrator = \[([^\]]*)\]/)).1
        let modules = order.matches(of: /"(\w+)"/).map { String($0.1) }
        #expect(modules.count > 1)
        let rows = try Self.document("CONTRIBUTING.md").split(separator: "\n").compactMap {
            $0.firstMatch(of: /^ *\| `(\w+)` \|[^|]*\| ([^|]*) \|$/)
        }
        #expect(rows.map { String($0.1) } == modules, "in this order")
        for row in rows {
            let declared = try Regex("name: \"\(row.1)\",\\s*dependencies: \\[([^\\]]*)\\]")
            let target = try #require(package.firstMatch(of: declared), "\(row.1)")
            let imports = String(target.output[1].substring ?? "").matches(of: /"(\w+)"/).map { String($0.1) }
            let named = row.2.matches(of: /\w+/).map { String($0.0) }
            #expect(imports.filter(modules.contains) == named, "\(row.1)")
            let before = modules.prefix { $0 != row.1 }
            #expect(named.allSatisfy(before.contains), "\(row.1) imports what comes after it")
        }
    }

    /// The compiler refuses only a circle: of the modules that were built before, it takes any.
    @Test(arguments: [
        ("SSH", "SSH"), ("masterswap", "CLI"), ("Inventories", "Orchestrator/Inventories"),
        ("Cluster", "Orchestrator/Cluster"),
        ("Planning", "Orchestrator/Planning"), ("Drafting", "Orchestrator/Drafting"),
        ("Execution", "Orchestrator/Execution"),
        ("Reporting", "Orchestrator/Reporting"),
    ]) func aModuleImportsWhatItDeclares(module: String, folder: String) throws {
        let package = try Self.document("Package.swift")
        let target = try #require(
            package.firstMatch(
                of: try Regex("name: \"\(module)\",\\s*dependencies: (.*?)(path|swiftSettings):").dotMatchesNewlines()))
        let words = String(target.output[1].substring ?? "").replacing(/package: "[^"]*"/, with: "")
        var declared = Set(words.matches(of: /"(\w+)"/).map { String($0.1) })
        if words.contains("orchestrator") {
            let order = try #require(package.firstMatch(of: /let orchestrator = \[([^\]]*)\]/)).1
            declared.formUnion(order.matches(of: /"(\w+)"/).map { String($0.1) })
        }
        let system: Set = ["Foundation", "Dispatch", "Synchronization"]
        var imported: Set<String> = []
        let place = Self.root.appendingPathComponent("Sources/" + folder)
        for case let file as URL in try #require(
            FileManager.default.enumerator(at: place, includingPropertiesForKeys: nil))
        where file.pathExtension == "swift" {
            let text = try String(contentsOf: file, encoding: .utf8)
            for match in text.matches(of: /(?m)^(?:@\w+ )?(?:\w+ )?import (?:\w+ )?(\w+)/) {
                imported.insert(String(match.1))
            }
        }
        #expect(imported.subtracting(system) == declared)
    }

    @Test func whereToChangeAThingIsThere() throws {
        let text = try Self.document("CONTRIBUTING.md")
        let start = try #require(text.range(of: "### Where do I change"))
        let table = text[start.upperBound...].prefix(while: { $0 != "#" })
        let paths = table.matches(of: /`([A-Z]\w*(?:\/[\w.]+)+)`/).map { String($0.1) }
        #expect(paths.count > 8)
        for path in paths {
            let file = path.hasPrefix("Sources/") ? path : "Sources/Orchestrator/" + path
            #expect(FileManager.default.fileExists(atPath: Self.root.appendingPathComponent(file).path), "\(path)")
        }
    }

    private static func stepIdentifiers() throws -> Set<String> {
        let folder = root.appendingPathComponent("Sources/Orchestrator/Execution/Steps")
        var ids: Set<String> = []
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) where name.hasSuffix(".swift") {
            let text = try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
            for match in text.matches(of: /let id = "([a-z-]+)"/) { ids.insert(String(match.1)) }
        }
        return ids
    }
}

/// What of a Markdown document must not differ between languages.
private struct Outline {
    /// The level of each heading, in order.
    var headings: [Int] = []
    var tableRows = 0
    /// Without their comments, which are translated.
    var codeBlocks: [String] = []

    init(_ text: String) {
        var block: [String]?
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if line.hasPrefix("```") {
                if let lines = block {
                    codeBlocks.append(lines.joined(separator: "\n"))
                    block = nil
                } else {
                    block = [line]
                }
            } else if block != nil {
                let code = line.replacing(/\s*#.*$/, with: "")
                if !code.isEmpty { block?.append(code) }
            } else if line.hasPrefix("#") {
                headings.append(line.prefix { $0 == "#" }.count)
            } else if line.hasPrefix("|") {
                tableRows += 1
            }
        }
        // Drawings have words in them: only that they are there is compared.
        codeBlocks = codeBlocks.map { $0.hasPrefix("```\n") ? "```" : $0 }
    }
}
