import Crypto
import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// The copy of a run's snapshot on the master that it was taken on: a real shell keeps it, and another machine brings it.
@Suite struct KeptSnapshotTests {
    let folder: TemporaryFolder
    var host: RecordHomes.Seat { RecordHomes.Seat(name: "m", homes: RecordHomes(folder)) }
    var taken: String { folder.path + "/m/masterswap-r.db" }
    func kept(_ run: String) -> String { "\(folder.path)/m\(EtcdSnapshot.keptPath(run))" }

    init() throws { folder = try TemporaryFolder() }

    func keep(_ text: String, for run: String) async throws -> String {
        try folder.write("m/masterswap-r.db", Data(text.utf8))
        let hash = SHA256.hash(data: Data(text.utf8)).hexadecimal
        let result = try await host.run(EtcdSnapshot.keeping(taken, for: run, hash: hash))
        #expect(result.succeeded, "\(result.errorText)")
        return hash
    }

    func fetch(_ run: String) async throws -> String? {
        try await EtcdSnapshot.fetchKept(run, on: host, to: folder.path + "/here.db", next: "next")
    }

    @Test func itIsWhereAnotherMachineFindsIt() async throws {
        let hash = try await keep("database", for: "r")
        #expect(!FileManager.default.fileExists(atPath: taken), "etcd's own disk has it no longer")
        let attributes = try FileManager.default.attributesOfItem(atPath: kept("r"))
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect(try await fetch("r") == hash)
        #expect(try String(contentsOfFile: folder.path + "/here.db", encoding: .utf8) == "database")
        #expect(try await fetch("another") == nil)
    }

    @Test func oneThatIsNotWhatItWasIsNotTaken() async throws {
        _ = try await keep("database", for: "r")
        try folder.write("m" + EtcdSnapshot.keptPath("r"), Data("databas".utf8))
        #expect(try await fetch("r") == nil)
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/here.db"))
    }

    @Test func theNewestAloneStays() async throws {
        for run in ["r1", "r2", "r3"] { _ = try await keep(run, for: run) }
        try folder.write("m\(RunHead.directory)/r1/join-1/log")
        #expect(try await host.run(EtcdSnapshot.removalOfOld(keeping: "r2")).succeeded)
        #expect(try await fetch("r2") != nil)
        for run in ["r1", "r3"] {
            #expect(!FileManager.default.fileExists(atPath: kept(run)))
            #expect(try await fetch(run) == nil)
        }
        #expect(FileManager.default.fileExists(atPath: "\(folder.path)/m\(RunHead.directory)/r1/join-1/log"))
    }
}
