import Foundation
import SSH
import Testing

@testable import Orchestrator

/// What ocboot writes on survivors is kept before, and told after, by the commands that the plan shows.
@Suite struct OcbootChangesTests {
    @Test func whatChangedIsToldOnceItWasKept() throws {
        let folder = try TemporaryFolder()
        let remote = LocalRemote(shell: "sh")
        var invocation = try OcbootCases.run(OcbootCases.state(RunbookCluster.ocboot)).invocation
        let files = ["same", "changed", "gone", "new"].map { "\(folder.path)/etc/\($0)" }
        invocation.watched = files
        let kept = folder.path + "/kept"
        func write(_ text: String, to file: String) throws {
            try FileManager.default.createDirectory(atPath: folder.path + "/etc", withIntermediateDirectories: true)
            try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        }
        func changes() throws -> [String] {
            let result = try remote.runNow(JoinStep.comparison(invocation, with: kept))
            #expect(result.succeeded)
            return result.text.split(separator: "\n").map(String.init)
        }
        for file in files.dropLast() { try write("before", to: file) }
        #expect(try changes().isEmpty, "nothing is kept yet")
        #expect(try remote.runNow(JoinStep.keeping(invocation, in: kept)).succeeded)
        let mode = try FileManager.default.attributesOfItem(atPath: kept)[.posixPermissions] as? Int
        #expect(mode == 0o700)
        #expect(try changes().isEmpty)
        try write("after", to: files[1])
        try FileManager.default.removeItem(atPath: files[2])
        try write("after", to: files[3])
        #expect(try changes() == Array(files.dropFirst()))
        // A second attempt keeps what was there before the first.
        #expect(try remote.runNow(JoinStep.keeping(invocation, in: kept)).succeeded)
        #expect(try changes() == Array(files.dropFirst()))
        #expect(try String(contentsOfFile: kept + files[1], encoding: .utf8) == "before")
    }
}
