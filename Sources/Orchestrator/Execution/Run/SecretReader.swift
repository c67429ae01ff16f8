import Cluster
public import Foundation
public import Inventories
public import SSH

extension Inventory.SecretSource {
    /// Fetches the secret from where the inventory says it is kept.
    /// - Throws: ``ClusterError`` with `secretMissing`; its text never holds any part of the secret.
    public func read(environment: [String: String] = ProcessInfo.processInfo.environment) throws -> Secret {
        let text: String
        switch self {
        case .environment(let name):
            guard let value = environment[name] else { throw missing("it is not set") }
            text = value
        case .file(let path):
            let expanded = (path as NSString).expandingTildeInPath
            guard let data = FileManager.default.contents(atPath: expanded) else {
                throw missing("the file cannot be read")
            }
            text = String(decoding: data, as: UTF8.self)
        case .command(let command):
            text = try output(of: command)
        }
        // Editors and echo(1) end files with a newline; no password does.
        let secret = text.trimmingCharacters(in: .newlines)
        guard !secret.isEmpty else { throw missing("it is empty") }
        return Secret(secret)
    }

    private func output(of command: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        let pipe = Pipe()
        process.standardOutput = pipe
        do { try process.run() } catch { throw missing("it cannot be run") }
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw missing("it ended with status \(process.terminationStatus)") }
        return String(decoding: data, as: UTF8.self)
    }

    private func missing(_ cause: String) -> ClusterError {
        ClusterError(
            .secretMissing, host: "this machine", operation: "read the database password from \(self)", cause: cause,
            advice: "it goes into ocboot's configuration; provide it, then try again")
    }
}
