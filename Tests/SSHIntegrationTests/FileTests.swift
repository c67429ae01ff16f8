import Foundation
import Testing

@testable import SSH

@Suite(.enabled(if: Server.isPresent, Server.missing))
struct FileTests {
    @Test func uploadWritesTheBytesWithTheMode() async throws {
        try await Server.with { server in
            let pool = ConnectionPool(agentPath: nil)
            let remote = pool.remote(try server.endpoint())
            let path = "\(server.folder)/new file"
            let contents = Data((0..<100_000).map { UInt8(truncatingIfNeeded: $0) })
            try await remote.upload(contents, to: path, mode: 0o640)
            #expect(FileManager.default.contents(atPath: path) == contents)
            #expect(try mode(path) == 0o640)
            try await remote.upload(Data(), to: path, mode: 0o600)
            #expect(FileManager.default.contents(atPath: path) == Data())
            #expect(try mode(path) == 0o600)
            #expect(try hidden(server.folder) == [])
            await pool.close()
        }
    }

    @Test func uploadIntoNoFolderOrOntoAFolderIsAnError() async throws {
        try await Server.with { server in
            let pool = ConnectionPool(agentPath: nil)
            let remote = pool.remote(try server.endpoint())
            for path in ["\(server.folder)/none/file", server.folder] {
                let error = await #expect(throws: SSHError.self) {
                    try await remote.upload(Data("x".utf8), to: path, mode: 0o600)
                }
                #expect(error?.code == .remoteFile)
            }
            #expect(try hidden(server.folder) == [])
            await pool.close()
        }
    }

    @Test func replaceKeepsTheModeAndRefusesWhatHasChanged() async throws {
        try await Server.with { server in
            let pool = ConnectionPool(agentPath: nil)
            let remote = pool.remote(try server.endpoint())
            let path = "\(server.folder)/manifest.yaml"
            let (old, new) = (Data("old\n".utf8), Data("new\n".utf8))
            try old.write(to: URL(filePath: path))
            try FileManager.default.setAttributes([.posixPermissions: 0o604], ofItemAtPath: path)
            try await remote.replaceFile(path, expected: old, with: new)
            #expect(FileManager.default.contents(atPath: path) == new)
            #expect(try mode(path) == 0o604)
            let error = await #expect(throws: SSHError.self) {
                try await remote.replaceFile(path, expected: old, with: Data("other\n".utf8))
            }
            #expect(error?.code == .fileChanged)
            #expect(FileManager.default.contents(atPath: path) == new)
            #expect(try hidden(server.folder) == [])
            await pool.close()
        }
    }

    private func mode(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    /// Temporary files left behind.
    private func hidden(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix(".") }
    }
}
