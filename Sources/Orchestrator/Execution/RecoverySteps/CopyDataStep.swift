import Cluster
import Foundation
import Inventories
import Planning
import SSH

/// Copies etcd's data directory to this machine. etcd is stopped for it, so that the files are those of one moment; it serves nobody anyway.
struct CopyDataStep: Step {
    let plan: RecoveryPlan

    static let stepID = "copy-data"
    let id = stepID
    var title: String { "Copy etcd's data directory of \(plan.survivor.host) here, \(plan.kind.etcdRunner) stopped" }
    let reason = "What the next step changes can be put back from it, byte for byte."
    let estimate = 2
    var effects: [Effect] {
        [
            .changes(plan.kind.stopping(on: plan.survivor.host)),
            .makes("etcd-data/ in this run's folder, \(plan.etcd.databaseBytes >> 10) KiB and the write-ahead log"),
        ]
    }

    private static let folder = "etcd-data"
    private static let index = "etcd-data.sha256"
    private var directory: String { plan.kind.etcdDataDirectory }

    /// `SHA256  PATH`, of each file of the data. Damaged data may be none at all.
    private var list: Command {
        let names = plan.kind.etcdDataNames
        return .script(
            #"cd "$1" || exit 1; shift; for name; do shift; [ ! -e "$name" ] || set -- "$@" "$name"; done; [ $# -eq 0 ] || find "$@" -type f -exec sha256sum -- {} +"#,
            [directory] + names, timeout: .seconds(600),
            label: "sha256sum of each file in \(directory)/\(names.joined(separator: ", "))")
    }

    func commands(_ inventory: Inventory) -> [String] {
        let host = plan.survivor.host
        return [
            PlannedCommands.told(host, plan.kind.stopEtcd), PlannedCommands.told(host, list),
        ] + (plan.kind.hasEtcdctl ? ["\(host): \(EtcdDatabase.label)"] : []) + ["\(host): read each of them"]
    }

    private func path(_ name: String, _ context: RunContext) -> String { "\(context.run.savedDirectory)/\(name)" }

    func check(_ context: RunContext) async throws -> StepStatus {
        let member = SurvivorMember(plan: plan, context: context)
        guard FileManager.default.fileExists(atPath: path(Self.index, context)) else {
            return try await member.areDataReplaced()
                ? .satisfied("copied to the machine on which the run was begun; by now they are replaced")
                : .needed("not copied yet")
        }
        // What comes after a look at the others that is old may meet other ones.
        guard try plan.snapshot != nil || member.hasLooked || member.events(of: RestoreStep.stepID, [.stepBegan])
        else {
            return .needed("copied before the run was resumed")
        }
        return .satisfied("copied to \(path(Self.folder, context))")
    }

    func run(_ context: RunContext) async throws {
        let member = SurvivorMember(plan: plan, context: context)
        let remote = try context.remote(plan.survivor.host)
        try await member.assertNoMajority()
        // What an earlier try has copied is of another moment.
        for name in [Self.folder, Self.index, SurvivorMember.copiedName] {
            try? FileManager.default.removeItem(atPath: path(name, context))
        }
        let told = try await member.look().status?.revision
        if plan.kind.hasEtcdctl { try await EtcdDatabase.keepPrograms(on: remote) }
        try await member.stop()
        let listed = try await remote.run(list)
        guard listed.succeeded, !listed.text.isEmpty || plan.snapshot != nil else {
            throw member.failure("list etcd's files", listed)
        }
        for line in listed.text.split(separator: "\n") {
            // Two blanks, or a blank and an asterisk, part them.
            let (sum, name) = (String(line.prefix(64)), String(line.dropFirst(66)))
            try Task.checkCancellation()
            let isKnown = plan.kind.etcdDataNames.contains { name == $0 || name.hasPrefix($0 + "/") }
            guard sum.allSatisfy(\.isHexDigit), isKnown, !name.contains("..") else {
                throw ClusterError(
                    .badOutput, host: plan.survivor.host, operation: list.display, cause: "it printed: \(line)",
                    advice: SurvivorMember.next)
            }
            let target = path("\(Self.folder)/\(name)", context)
            try LocalFile.makeFolder((target as NSString).deletingLastPathComponent, next: SurvivorMember.next)
            let arrived = try await RemoteFile(remote, next: SurvivorMember.next).download(
                "\(directory)/\(name)", to: target)
            guard arrived == sum else {
                throw ClusterError(
                    .badOutput, host: plan.survivor.host, operation: "copy \(directory)/\(name)",
                    cause: "it arrived with another checksum than it has there", advice: SurvivorMember.next)
            }
        }
        let read = plan.kind.hasEtcdctl ? try await EtcdDatabase.read(on: remote) : nil
        if let database = read ?? told.map({ EtcdDatabase(revision: $0) }) {
            let content = database.totalKey.map { ": \($0) keys, hash \(database.hash ?? 0)" } ?? ""
            context.note("the copy is at revision \(database.revision)\(content)")
            try LocalFile.write(
                try EventCoding.encode(database), to: path(SurvivorMember.copiedName, context),
                next: SurvivorMember.next)
        } else {
            context.warn(
                "nothing on \(plan.survivor.host) reads its database: revision and keys of the copy are not known, only that it arrived whole"
            )
        }
        let index = listed.text.split(separator: "\n").map { "\($0.prefix(66))\(Self.folder)/\($0.dropFirst(66))\n" }
            .joined()
        try LocalFile.write(Data(index.utf8), to: path(Self.index, context), next: SurvivorMember.next)
        try Journal.synchronizeFolder(of: path(Self.index, context))
    }

    /// etcd runs again as it did before.
    func undo(_ context: RunContext) async throws {
        let member = SurvivorMember(plan: plan, context: context)
        let etcd = try await member.look()
        guard etcd.isPutAside else { return }
        try await member.start()
        context.note("\(plan.kind.etcdRunner) on \(plan.survivor.host) is started again")
    }
}
