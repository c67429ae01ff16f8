import Foundation
import SSH
import Testing

// What docs/ssh.md shows is the text between the two marks.
// example begins
/// The load of each host, all asked at the same time; `nil` where a host has no such file.
func loads(of endpoints: [Endpoint]) async throws -> [String: String?] {
    let pool = ConnectionPool(limits: .init(connect: .seconds(5), command: .seconds(10)))
    let loads = try await withThrowingTaskGroup(of: (String, String?).self) { group in
        for endpoint in endpoints {
            let remote = pool.remote(endpoint)
            group.addTask {
                let result = try await remote.run(Command(["cat", "/proc/loadavg"]))
                return (remote.name, result.succeeded ? result.text : nil)
            }
        }
        return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
    await pool.close()
    return loads
}

/// Changes one line of a file, unless somebody else has changed the file in between.
func set(_ key: String, to value: String, in path: String, on remote: any Remote) async throws {
    let current = try await remote.run(Command(["cat", "--", path]))
    guard current.succeeded else { throw CocoaError(.fileReadNoSuchFile) }
    let lines = current.text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
        line.hasPrefix(key + "=") ? "\(key)=\(value)" : line
    }
    let changed = Data(lines.joined(separator: "\n").utf8)
    try await remote.replaceFile(path, expected: current.standardOutput, with: changed)
}
// example ends

extension Integration {
    @Suite struct ExampleTests {
        @Test func theExampleOfTheGuideWorks() async throws {
            try await Server.with { server in
                let endpoint = try server.endpoint(name: "one")
                #expect(try await loads(of: [endpoint]).keys.sorted() == ["one"])

                let path = "\(server.folder)/settings"
                try "level=1\nname=a\n".write(toFile: path, atomically: true, encoding: .utf8)
                let pool = ConnectionPool()
                try await set("level", to: "2", in: path, on: pool.remote(endpoint))
                await pool.close()
                #expect(try String(contentsOfFile: path, encoding: .utf8) == "level=2\nname=a\n")
            }
        }
    }
}

/// Needs no server.
@Suite struct GuideTests {
    @Test func theGuideShowsTheExampleThatIsCompiled() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let source = try String(contentsOfFile: #filePath, encoding: .utf8)
        let guide = try String(contentsOf: root.appendingPathComponent("docs/ssh.md"), encoding: .utf8)
        let begin = try #require(source.range(of: "// example begins\n"))
        let end = try #require(source.range(of: "// example ends\n"))
        #expect(guide.contains("```swift\n" + source[begin.upperBound..<end.lowerBound] + "```"))
    }
}
