import Cluster
public import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The folder in which runs are kept, each with its journal and what it saved.
public struct RunStore: Sendable {
    public let root: String

    /// - Parameter environment: `MASTERSWAP_STATE`, then `XDG_STATE_HOME`, then `HOME` say where.
    public init(environment: [String: String] = ProcessInfo.processInfo.environment) {
        if let state = environment["MASTERSWAP_STATE"], !state.isEmpty {
            root = state
        } else {
            let base =
                environment["XDG_STATE_HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? NSHomeDirectory() + "/.local/state"
            root = base + "/masterswap"
        }
    }

    /// One run's folder.
    public struct Run: Sendable, Hashable {
        public let id: String
        public let directory: String
        public var journalPath: String { directory + "/journal.jsonl" }
        /// The etcd snapshot, kubeadm-config and manifests: as secret as the cluster itself.
        public var savedDirectory: String { directory + "/saved" }

        public func events() throws -> [Event] { try Journal.events(at: journalPath) }
    }

    /// A new run, named by its time and a few random digits: names sort as the runs began.
    /// - Throws: ``ClusterError`` with `localFile`.
    public func create(at date: Date = Date()) throws -> Run {
        try create(Self.stamp(date) + "-" + String(UInt16.random(in: 0x1000...0xFFFF), radix: 16))
    }

    /// The folder of a run that has its name already.
    /// - Throws: ``ClusterError`` with `localFile`.
    func create(_ id: String) throws -> Run {
        let run = run(id)
        for directory in [root, root + "/runs", run.directory, run.savedDirectory] {
            try Self.makeDirectory(directory)
        }
        // The run's name, too, is on the disk before anything is done.
        try Journal.synchronizeFolder(of: run.directory)
        try Journal.synchronizeFolder(of: run.savedDirectory)
        return run
    }

    /// `20261122-030115`, in UTC.
    static func stamp(_ date: Date) -> String {
        date.formatted(
            Date.VerbatimFormatStyle(
                format:
                    "\(year: .padded(4))\(month: .twoDigits)\(day: .twoDigits)-\(hour: .twoDigits(clock: .twentyFourHour, hourCycle: .zeroBased))\(minute: .twoDigits)\(second: .twoDigits)",
                timeZone: .gmt, calendar: Calendar(identifier: .gregorian)))
    }

    private func run(_ id: String) -> Run { Run(id: id, directory: root + "/runs/" + id) }

    /// All runs, the oldest first.
    public func runs() -> [Run] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root + "/runs")) ?? []
        return names.filter(RunHead.isName).sorted().map(run).filter {
            FileManager.default.fileExists(atPath: $0.journalPath)
        }
    }

    /// The run of that name, or whose name begins so; the newest where none is given.
    /// - Throws: ``ClusterError`` with `localFile`.
    public func find(_ id: String?) throws -> Run {
        let all = runs()
        let found = id.map { id in all.filter { $0.id == id || $0.id.hasPrefix(id) } } ?? Array(all.suffix(1))
        if found.count == 1 { return found[0] }
        let cause =
            id.map { found.isEmpty ? "there is no run '\($0)'" : "'\($0)' stands for \(found.count) runs" }
            ?? "there is no run yet"
        throw ClusterError(
            .localFile, host: "this machine", operation: "find a run under \(root)", cause: cause,
            advice:
                "list them: masterswap runs; what only the cluster knows of a run: masterswap runs --output json")
    }

    private static func makeDirectory(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw ClusterError(
                .localFile, host: "this machine", operation: "make the folder \(path)",
                cause: error.localizedDescription,
                advice: "make room or name another place in MASTERSWAP_STATE")
        }
    }
}
