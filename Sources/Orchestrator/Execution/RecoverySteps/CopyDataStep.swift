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
    var title: String { "Copy etcd's data directory of \(plan.survivor.host) here, etcd stopped" }
    let reason = "What the next step changes can be put back from it, byte for byte."
    let estimate = 2
    var effects: [Effect] {
        [
            .changes("etcd on \(plan.survivor.host): stopped, its manifest kept in \(EtcdManifest.keptPath)"),
            .makes("etcd-data/ in this run's folder, \(plan.etcd.databaseBytes >> 10) KiB and the write-ahead log"),
        ]
    }

    private static let folder = "etcd-data"
    private static let index = "etcd-data.sha256"
    private static let directory = Inventory.Distribution.kubeadm.etcdDataDirectory

    /// `SHA256  PATH`, of each file below `member`.
    private static let list = Command.script(
        #"cd "$1" && find member -type f -exec sha256sum -- {} +"#, [directory], timeout: .seconds(600),
        label: "sha256sum of each file in \(directory)/member")

    func commands(_ inventory: Inventory) -> [String] {
        let host = plan.survivor.host
        return [
            "\(host): mv \(EtcdManifest.path) \(EtcdManifest.keptPath)", PlannedCommands.told(host, Self.list),
            "\(host): \(EtcdDatabase.label)", "\(host): read each file in \(Self.directory)/member",
        ]
    }

    private func path(_ name: String, _ context: RunContext) -> String { "\(context.run.savedDirectory)/\(name)" }

    func check(_ context: RunContext) async throws -> StepStatus {
        guard FileManager.default.fileExists(atPath: path(Self.index, context)) else {
            return .needed("not copied yet")
        }
        let member = SurvivorMember(plan: plan, context: context)
        // What comes after a look at the others that is old may meet other ones.
        guard try member.hasLooked || member.events(of: NewClusterStep.stepID, [.stepBegan]) else {
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
        try await EtcdDatabase.keepPrograms(on: remote)
        try await member.move(EtcdManifest.path, EtcdManifest.keptPath)
        try await context.wait(for: "etcd on \(plan.survivor.host) to stop", limit: .seconds(180)) {
            try await member.look().isRunning ? .pending("it runs") : .done(())
        }
        let listed = try await remote.run(Self.list)
        guard listed.succeeded, !listed.text.isEmpty else { throw member.failure("list etcd's files", listed) }
        for line in listed.text.split(separator: "\n") {
            // Two blanks, or a blank and an asterisk, part them.
            let (sum, name) = (String(line.prefix(64)), String(line.dropFirst(66)))
            try Task.checkCancellation()
            guard sum.allSatisfy(\.isHexDigit), name.hasPrefix("member/"), !name.contains("..") else {
                throw ClusterError(
                    .badOutput, host: plan.survivor.host, operation: Self.list.display, cause: "it printed: \(line)",
                    advice: SurvivorMember.next)
            }
            let target = path("\(Self.folder)/\(name)", context)
            try LocalFile.makeFolder((target as NSString).deletingLastPathComponent, next: SurvivorMember.next)
            let arrived = try await RemoteFile(remote, next: SurvivorMember.next).download(
                "\(Self.directory)/\(name)", to: target)
            guard arrived == sum else {
                throw ClusterError(
                    .badOutput, host: plan.survivor.host, operation: "copy \(Self.directory)/\(name)",
                    cause: "it arrived with another checksum than it has there", advice: SurvivorMember.next)
            }
        }
        if let database = try await EtcdDatabase.read(on: remote) {
            context.note(
                "the copy is at revision \(database.revision): \(database.totalKey) keys, hash \(database.hash)")
            try LocalFile.write(
                try EventCoding.encode(database), to: path(SurvivorMember.copiedName, context),
                next: SurvivorMember.next)
        } else {
            context.warn(
                "\(plan.survivor.host) has no etcdctl or etcdutl that reads its database: revision and keys of the copy are not known, only that it arrived whole"
            )
        }
        let index = listed.text.replacing(" member/", with: " \(Self.folder)/member/")
        try LocalFile.write(Data(index.utf8), to: path(Self.index, context), next: SurvivorMember.next)
        try Journal.synchronizeFolder(of: path(Self.index, context))
    }

    /// etcd runs again as it did before.
    func undo(_ context: RunContext) async throws {
        let member = SurvivorMember(plan: plan, context: context)
        let etcd = try await member.look()
        guard etcd.manifest == nil, etcd.kept != nil else { return }
        try await member.move(EtcdManifest.keptPath, EtcdManifest.path)
        context.note("etcd on \(plan.survivor.host) has its manifest back")
    }
}
