import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

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
            let result = try remote.runNow(JoinChanges.comparison(invocation, with: kept))
            #expect(result.succeeded)
            return result.text.split(separator: "\n").map(String.init)
        }
        for file in files.dropLast() { try write("before", to: file) }
        #expect(try changes().isEmpty, "nothing is kept yet")
        #expect(try remote.runNow(JoinChanges.keeping(invocation, in: kept)).succeeded)
        let mode = try FileManager.default.attributesOfItem(atPath: kept)[.posixPermissions] as? Int
        #expect(mode == 0o700)
        #expect(try changes().isEmpty)
        try write("after", to: files[1])
        try FileManager.default.removeItem(atPath: files[2])
        try write("after", to: files[3])
        #expect(try changes() == [files[1], files[2], files[3] + " (new)"])
        // A second attempt keeps what was there before the first.
        #expect(try remote.runNow(JoinChanges.keeping(invocation, in: kept)).succeeded)
        #expect(try changes() == [files[1], files[2], files[3] + " (new)"])
        #expect(try String(contentsOfFile: kept + files[1], encoding: .utf8) == "before")
    }

    /// Only what nothing reads before its service starts again, and only where it was asked for.
    @Test func whatIsSafeIsPutBackWhereThatWasAskedFor() throws {
        let state = try RunbookCluster.state()
        let usual = try #require(JoinChanges(try Lost.plan(state), run: "r"))
        #expect(usual.effects == [])
        #expect(!usual.comparisons(state.inventory.cluster).contains { $0.contains("put back") })
        var request = RunbookCluster.request
        request.restoresSurvivors = true
        let asked = try Lost.plan(state, request)
        let changes = try #require(JoinChanges(asked, run: "r"))
        #expect("\(changes.effects)".contains("/etc/docker/daemon.json"))
        #expect(!"\(changes.effects)".contains("manifests"), "the kubelet acts on them at once")
        #expect(changes.comparisons(state.inventory.cluster).count { $0.contains("put back") } == 2)
    }

    @Test func aFileIsPutBackAsItWas() throws {
        let folder = try TemporaryFolder()
        let remote = LocalRemote(shell: "sh")
        let kept = folder.path + "/kept"
        func restored(_ files: [String]) throws -> [String] {
            let result = try remote.runNow(JoinChanges.restoration(files, from: kept))
            #expect(result.succeeded)
            return result.text.split(separator: "\n").map(String.init)
        }
        let files = ["same", "changed", "gone", "new"].map { "\(folder.path)/etc/\($0)" }
        func write(_ text: String, to file: String) throws {
            try FileManager.default.createDirectory(
                atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        }
        for file in files.dropLast() {
            try write("before", to: file)
            try write("before", to: kept + file)
        }
        try write("after", to: files[1])
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: kept + files[1])
        try FileManager.default.removeItem(atPath: files[2])
        try write("after", to: files[3])
        #expect(try restored(files).isEmpty, "the copies are not complete")
        try write("", to: kept + "/complete")
        #expect(try restored(files) == [files[1], files[2]])
        #expect(try String(contentsOfFile: files[1], encoding: .utf8) == "before")
        #expect(try FileManager.default.attributesOfItem(atPath: files[1])[.posixPermissions] as? Int == 0o600)
        #expect(try String(contentsOfFile: files[3], encoding: .utf8) == "after")
        #expect(try restored(files).isEmpty)
    }

    /// A kubectl that answers by the template that it is asked with.
    @Test func whatChangedInTheCloudIsTold() throws {
        let folder = try TemporaryFolder()
        let remote = LocalRemote(shell: "sh")
        let kubectl = folder.path + "/kubectl"
        func answer(product: String, password: String) throws {
            let script = """
                #!/bin/sh
                case $* in
                *productVersion*) printf 'version=v3.9.2\\nproductVersion=\(product)\\n' ;;
                *) printf '{"mysql":{"password":"\(password)"}}' ;;
                esac
                """
            try folder.program("kubectl", script)
        }
        let kept = folder.path + "/kept"
        func changes() throws -> [Substring] {
            let result = try remote.runNow(JoinChanges.cloudComparison(with: kept, [kubectl]))
            #expect(result.succeeded)
            return result.text.split(separator: "\n")
        }
        try answer(product: "CMP", password: "hunter2")
        #expect(try changes().isEmpty, "nothing is kept yet")
        #expect(try remote.runNow(JoinChanges.keepingCloud(in: kept, [kubectl])).succeeded)
        #expect(try changes().isEmpty)
        try answer(product: "Edge", password: "hunter2")
        #expect(try changes() == ["productVersion=Edge"])
        // A second attempt keeps what was there before the first.
        #expect(try remote.runNow(JoinChanges.keepingCloud(in: kept, [kubectl])).succeeded)
        #expect(try changes() == ["productVersion=Edge"])
        try answer(product: "CMP", password: "admin@123")
        #expect(try changes().map { $0.hasPrefix("checksum of the whole=") } == [true])
        #expect(try !String(contentsOfFile: kept + "/cloud", encoding: .utf8).contains("hunter2"))
        try Data("#!/bin/sh\nexit 1\n".utf8).write(to: URL(fileURLWithPath: kubectl))
        #expect(try !remote.runNow(JoinChanges.cloudComparison(with: kept, [kubectl])).succeeded)
    }
}
