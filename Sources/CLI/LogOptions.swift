import ArgumentParser
import Cluster
import Foundation
import Logging

/// Where a verb that asks hosts logs its questions.
struct LogOptions: ParsableArguments {
    @Option(
        name: .customLong("log-file"),
        help: ArgumentHelp(
            "Append every question that hosts are asked to this file, with its outcome.", valueName: "file"))
    var file: String?

    @Flag(
        name: [.customShort("v"), .customLong("verbose")],
        help: "Print every question that hosts are asked, with its outcome.")
    var isVerbose = false

    /// What logs to the file, with `-v` to standard error, or to both; `nil` for neither.
    /// - Throws: ``ClusterError`` with `localFile` where the file cannot be written.
    func logger(_ terminal: Terminal) throws -> Logger? {
        var handlers: [any LogHandler] = []
        if let file { handlers.append(try FileLogHandler(file)) }
        if terminal.isVerbose { handlers.append(TerminalLogHandler(terminal: terminal)) }
        guard !handlers.isEmpty else { return nil }
        return Logger(label: "masterswap") { _ in MultiplexLogHandler(handlers) }
    }
}

/// Appends lines like `2026-11-27T03:12:45Z warning lzx-ocboot-ha-test-2: kubectl get nodes: …` to a file, mode 0600.
private struct FileLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info
    /// Each line is one write(2) with O_APPEND, so that lines of several threads do not mix.
    private let file: FileHandle

    init(_ path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw ClusterError(
                .localFile, host: "this machine", operation: "open the log \(path)",
                cause: String(cString: strerror(errno)),
                advice: "name another file: --log-file")
        }
        file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let line = "\(Date.now.formatted(.iso8601)) \(event.level) \(event.message)\n"
        // A full disk must not end a run: its journal tells what was done.
        try? file.write(contentsOf: Data(line.utf8))
    }
}

/// The lines of `-v`, on standard error.
private struct TerminalLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info
    let terminal: Terminal

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { terminal.say(terminal.paint("$ \(event.message)", .dim)) }
}
