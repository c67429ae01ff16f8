import Foundation
import SSH

// What the benchmark compares with scp and sftp: one file, by the library's own upload. The command line has no verb for it.
// usage: bench-upload HOST PORT USER IDENTITY KNOWN_HOSTS FILE REMOTE_FILE
let words = CommandLine.arguments.dropFirst()
guard words.count == 7, let port = Int(words[2]) else {
    FileHandle.standardError.write(
        Data("usage: bench-upload HOST PORT USER IDENTITY KNOWN_HOSTS FILE REMOTE_FILE\n".utf8))
    exit(64)
}
let endpoint = Endpoint(
    name: words[1], host: words[1], port: port, user: words[3], identities: [words[4]], knownHosts: [words[5]])
let pool = ConnectionPool(limits: .init(command: .seconds(600)), agentPath: nil)
let contents = try Data(contentsOf: URL(filePath: words[6]), options: .alwaysMapped)
try await pool.remote(endpoint).upload(contents, to: words[7], mode: 0o600)
await pool.close()
