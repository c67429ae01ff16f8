import Cluster
public import Execution
import Foundation

/// A report on a cluster that the next one of its kind is compared with.
public protocol KeptReport: Codable, Sendable {
    /// The folder beside the runs.
    static var folder: String { get }
    static var schemaVersion: Int { get }
    var schemaVersion: Int { get }
    var cluster: String { get }
}

/// The last report of each kind on each cluster, kept beside the runs.
public struct ReportHistory: Sendable {
    private let root: String

    public init(_ store: RunStore = RunStore()) { root = store.root }

    /// `nil` where there was none, or one that another version wrote in another shape.
    public func last<Report: KeptReport>(of cluster: String, _ kind: Report.Type = Report.self) -> Report? {
        guard let data = FileManager.default.contents(atPath: path(kind, cluster)),
            let report = try? EventCoding.decode(kind, from: data),
            report.schemaVersion == kind.schemaVersion, report.cluster == cluster
        else { return nil }
        return report
    }

    /// - Throws: ``ClusterError`` with `localFile`.
    public func keep<Report: KeptReport>(_ report: Report) throws {
        let path = path(Report.self, report.cluster)
        do {
            try FileManager.default.createDirectory(
                atPath: "\(root)/\(Report.folder)", withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
            try EventCoding.encode(report).write(to: URL(fileURLWithPath: path), options: .atomic)
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        } catch {
            throw ClusterError(
                .localFile, host: "this machine", operation: "keep this report in \(path)",
                cause: error.localizedDescription,
                advice:
                    "the next one has nothing to compare with; make room or name another place in MASTERSWAP_STATE")
        }
    }

    private func path(_ kind: any KeptReport.Type, _ cluster: String) -> String {
        "\(root)/\(kind.folder)/\(LocalFile.safeName(cluster)).json"
    }
}
