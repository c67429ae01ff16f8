import Foundation
import Testing

@testable import SSH

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

extension Integration {
    @Suite struct FileTests {
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

        /// A file system of 64 kB that is full but for a few: the original stays as it was, byte by byte.
        @Test(.enabled(if: canMount, "needs root and mount"))
        func aFullDiskLeavesTheFileAsItWas() async throws {
            try await Server.with { server in
                let disk = "\(server.folder)/disk"
                try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
                try Tool.run("/bin/mount", ["-t", "tmpfs", "-o", "size=64k,mode=755", "none", disk])
                defer { _ = try? Tool.run("/bin/umount", [disk]) }
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let path = "\(disk)/manifest.yaml"
                let old = Data("old\n".utf8)
                try old.write(to: URL(filePath: path))
                for contents in [Data(count: 200_000), Data(count: 3_000_000)] {
                    for replaces in [true, false] {
                        let error = await #expect(throws: SSHError.self) {
                            if replaces {
                                try await remote.replaceFile(path, expected: old, with: contents)
                            } else {
                                try await remote.upload(contents, to: path, mode: 0o644)
                            }
                        }
                        #expect(error?.code == .remoteFile)
                        #expect(error?.cause.contains("No space left") == true)
                        #expect(FileManager.default.contents(atPath: path) == old)
                        #expect(try hidden(disk) == [])
                    }
                }
                await pool.close()
            }
        }

        @Test func aLinkIsFollowedAndStays() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let (file, link) = ("\(server.folder)/it's a file", "\(server.folder)/-link")
                try Data("old".utf8).write(to: URL(filePath: file))
                try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: file)
                try await remote.replaceFile(link, expected: Data("old".utf8), with: Data("new".utf8))
                #expect(FileManager.default.contents(atPath: file) == Data("new".utf8))
                #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == file)
                for path in [server.folder, "\(server.folder)/none"] {
                    let error = await #expect(throws: SSHError.self) {
                        try await remote.replaceFile(path, expected: Data(), with: Data("x".utf8))
                    }
                    #expect(error?.code == .remoteFile)
                }
                await pool.close()
            }
        }

        @Test func manyMebibytesArriveWhole() async throws {
            try await Server.with { server in
                let pool = ConnectionPool(agentPath: nil)
                let remote = pool.remote(try server.endpoint())
                let contents = Data((0..<(20 << 20)).map { UInt8(truncatingIfNeeded: $0 >> 5) })
                try await remote.upload(contents, to: "\(server.folder)/large", mode: 0o600)
                #expect(FileManager.default.contents(atPath: "\(server.folder)/large") == contents)
                await pool.close()
            }
        }

        private static var canMount: Bool {
            guard geteuid() == 0, let folder = try? Server.makeFolder() else { return false }
            defer { try? FileManager.default.removeItem(atPath: folder) }
            guard (try? Tool.run("/bin/mount", ["-t", "tmpfs", "-o", "size=64k", "none", folder])) != nil else {
                return false
            }
            return (try? Tool.run("/bin/umount", [folder])) != nil
        }

        private func mode(_ path: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        }

        /// Temporary files left behind.
        private func hidden(_ folder: String) throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix(".") }
        }
    }
}
