package import Cluster
import Foundation
package import Inventories
import SSH

/// The runs' records that a cluster keeps: in a ConfigMap each, and in a file on each of its masters, so that they outlive this machine,
/// any one master, and an API server that is away.
public struct ClusterRecords: Sendable {
    /// A master with the API server beside it.
    struct Home: Sendable {
        var remote: any Remote
        /// What stands before kubectl's arguments there.
        var kubectl: [String]
    }

    let homes: [Home]
    /// On the first of them that can; `nil` where the API server is not written to.
    private let kubectl: Kubectl?

    /// - Parameters:
    ///   - hosts: whom to ask and to write to; not empty.
    ///   - apiAddresses: where the API server beside each is, by its name; the inventory's address where it is not known.
    ///   - isWrittenToAPI: `false` where it is known to take nothing, and would only be waited for.
    package init(
        _ hosts: [Inventory.Host], _ remotes: Remotes, _ cluster: Inventory.Cluster,
        apiAddresses: [String: String] = [:], isWrittenToAPI: Bool = true
    ) throws {
        let targets = try hosts.map { host in
            Kubectl.Target(
                remote: try remotes[host],
                apiServer: "\(IPAddress.inURL(apiAddresses[host.name] ?? host.address)):\(cluster.apiPort)")
        }
        homes = targets.map {
            Home(remote: $0.remote, kubectl: Kubectl.prefix(cluster.distribution, apiServer: $0.apiServer))
        }
        kubectl =
            isWrittenToAPI
            ? Kubectl(targets, distribution: cluster.distribution, retryTimeout: .seconds(5)) : nil
    }

    // MARK: Reading

    package struct Reading: Sendable {
        package var records: [RunRecord] = []
        /// Whether any master answered.
        package var isAnswer = false
        /// Who gave nothing, or not all, and why.
        package var problems: [String] = []
    }

    private static let operation = "read the runs' records"

    /// Every copy on every master, together.
    package func read() async -> Reading {
        var reading = await withTaskGroup(of: Reading.self) { group in
            for home in homes { group.addTask { await Self.read(home) } }
            return await group.reduce(into: Reading()) { all, one in
                all.records += one.records
                all.isAnswer = all.isAnswer || one.isAnswer
                all.problems += one.problems
            }
        }
        reading.records = RunRecord.merged(reading.records)
        reading.problems.sort()
        return reading
    }

    private static func read(_ home: Home) async -> Reading {
        var script = SectionedScript()
        script.section(
            "files",
            #"for file in \#(RunHead.directory)/*/\#(RunHead.fileName); do [ ! -f "$file" ] || { cat "$file"; echo; }; done; true"#
        )
        script.section(
            "objects",
            "\(ShellQuoting.join(home.kubectl)) --request-timeout=10s get \(RunHead.selection.joined(separator: " ")) -o jsonpath='{range .items[*]}{.data.\(RunHead.recordKey)}{\"\\n\"}{end}'"
        )
        var reading = Reading()
        do {
            let result = try await home.remote.run(script.command(label: operation, timeout: .seconds(30)))
            let sections = try script.parse(result, host: home.remote.name, operation: operation)
            reading.isAnswer = true
            for name in ["files", "objects"] {
                guard let section = sections[name], section.succeeded else {
                    let cause = KubectlMessage(sections[name]?.errorText ?? "").cause
                    reading.problems.append("\(home.remote.name): \(operation) (\(name)): \(cause)")
                    continue
                }
                reading.records += RunRecord.read(section.output) { run, cause in
                    reading.problems.append("\(home.remote.name): read the record of run \(run) (\(name)): \(cause)")
                }
            }
        } catch {
            reading.problems.append(Transient.message(error))
        }
        return reading
    }

    // MARK: Writing

    /// Where a record is written to: a place's name with the fault that it was not written for, `nil` where it was.
    typealias Outcome = [String: String?]

    /// To every master, and to the API server by way of the first that can.
    func write(_ record: RunRecord) async -> Outcome {
        let (data, object): (Data, Data)
        do {
            data = try record.data
            object = try ConfigMapObject(record, data).encoded
        } catch { return ["this machine": "\(error)"] }
        async let inCluster = faultOfWriting(object)
        var outcome = await withTaskGroup(of: (String, String?).self) { group in
            for home in homes {
                group.addTask { (home.remote.name, await Self.fault(home.remote, Self.writing(record.run, data))) }
            }
            return await group.reduce(into: Outcome()) { $0[$1.0] = .some($1.1) }
        }
        let fault = await inCluster
        if kubectl != nil { outcome[Self.apiServer] = .some(fault) }
        return outcome
    }

    private static let apiServer = "the API server"

    static func path(_ run: String) -> String { "\(RunHead.directory)/\(run)/\(RunHead.fileName)" }

    /// Whole at every moment, and on the disk when it is there.
    static func writing(_ run: String, _ data: Data) -> Command {
        .script(
            #"umask 077; mkdir -p "${1%/*}" && dd bs=64k conv=fsync of="$1.part" 2>/dev/null && mv -f -- "$1.part" "$1""#,
            [path(run)], input: data, timeout: .seconds(20), label: "write \(path(run))")
    }

    /// Our own copy is the newest there is for as long as the run has the lock.
    private func faultOfWriting(_ object: Data) async -> String? {
        func write(_ verb: String) async throws {
            try await kubectl?.run([verb, "-f", "-"], input: object, timeout: .seconds(20))
        }
        do {
            do { try await write("replace") } catch let error as ClusterError where error.serverReason == "NotFound" {
                try await write("create")
            }
            return nil
        } catch { return Transient.message(error) }
    }

    private static func fault(_ remote: any Remote, _ command: Command) async -> String? {
        do {
            let result = try await remote.run(command)
            return result.succeeded
                ? nil : "\(remote.name): \(command.display): \(result.outcome): \(result.errorText.lastLines(2))"
        } catch { return Transient.message(error) }
    }

    /// Those of the runs that are not over say from now on that they are given up.
    func giveUp(_ runs: [String], for recovery: String) async {
        guard !runs.isEmpty else { return }
        for var record in await read().records where runs.contains(record.run) && record.state == .unfinished {
            record.add(Event(.runAbandoned, text: "the recovery \(recovery) was begun", run: record.run))
            _ = await write(record)
        }
    }

    // MARK: Deleting

    /// Of those that are over, the newest that stay.
    static let kept = 5

    /// Those that are over and older than the newest ones; they are a list for people by then.
    static func old(_ records: [RunRecord]) -> [String] {
        records.filter { $0.state != .unfinished }.map(\.run).sorted().dropLast(kept).map(\.self)
    }

    /// Best effort: what stays is deleted at the end of the next run.
    func delete(_ runs: [String]) async {
        guard !runs.isEmpty else { return }
        for home in homes {
            _ = try? await home.remote.run(
                Command(["rm", "-f", "--"] + runs.map(Self.path), timeout: .seconds(20)))
        }
        let arguments =
            ["delete", "configmap", "-n", "kube-system", "--ignore-not-found"] + runs.map(RunHead.configMapName)
        _ = try? await kubectl?.run(arguments, timeout: .seconds(20))
    }
}

/// A record as the API server keeps it.
private struct ConfigMapObject: Encodable {
    struct Metadata: Encodable {
        var name: String
        var namespace = "kube-system"
        var labels: [String: String]
    }
    let apiVersion = "v1"
    let kind = "ConfigMap"
    let metadata: Metadata
    let data: [String: String]

    init(_ record: RunRecord, _ text: Data) throws {
        metadata = Metadata(
            name: RunHead.configMapName(record.run), labels: [RunHead.label.key: RunHead.label.value])
        data = [
            RunHead.headKey: String(decoding: try EventCoding.encode(record.head), as: UTF8.self),
            RunHead.recordKey: String(decoding: text, as: UTF8.self),
        ]
    }

    var encoded: Data { get throws { try JSONEncoder().encode(self) } }
}
