import Cluster
import Foundation
import Planning
import SSH

/// A heal is proven by the pod's own log since its start together with the drive's folder on the new node.
///
/// Where the log is not enough (the container was restarted, the release prints no numbers, another server healed the drive), it is
/// proven by the disks alone: the drive is formatted, MinIO's record of an unfinished heal is not there, and it holds every file that
/// at least as many of the set's other drives hold as an object has data shards. What fewer drives hold is dangling: MinIO cannot
/// heal it, and deletes it some day. The drives of one erasure set have the same tree of objects, each its own part of them.
struct MinIOHealProof {
    /// One of the set's drives on a survivor.
    struct Peer: Sendable, Hashable {
        var host: String
        var path: String
    }

    let pod: Pod
    let volume: Volume
    /// The inventory's name of the host that it is on.
    let host: String
    /// The drives of the workload on the survivors.
    let peers: [Peer]
    /// On how many drives an object must be to be readable, where the drive does not list its set.
    let dataShards: Int
    /// By which that number follows from the size of the drive's own set; pools may have sets of several sizes.
    var parity: MinIOParity?
    /// The workload has more drives than one erasure set can have, so that only peers of the drive's own set count.
    var hasSeveralSets = false

    /// A set's drives on the survivors.
    static func peers(of set: StatefulSet, _ plan: Plan, _ kubectl: Kubectl) async throws -> [Peer] {
        let namespace = set.namespace
        let claims = try await kubectl.list(Claim.self, ["persistentvolumeclaims", "-n", namespace])
        let volumes = try await kubectl.list(Volume.self, ["persistentvolumes"])
        let nodes = try await kubectl.list(Node.self, ["nodes"])
        return claims.filter { set.ordinal(ofClaim: $0.name) != nil && $0.isBound }.compactMap { claim in
            guard let volume = volumes.first(where: { $0.name == claim.spec.volumeName }), let path = volume.path,
                let node = volume.node(among: nodes),
                let master = plan.survivors.first(where: { $0.node == node.name })
            else { return nil }
            return .init(host: master.host, path: path)
        }
    }

    /// What is missing for the proof.
    struct Missing: Sendable, CustomStringConvertible {
        var description: String
        /// New with each object that is healed; `nil` where none can be counted.
        var progress: String?

        init(_ description: String, progress: String? = nil) {
            self.description = description
            self.progress = progress
        }

        func told(as prefix: String) -> Missing { Missing(prefix + description, progress: progress) }
    }

    /// - Returns: `nil` when the proof stands.
    /// - Throws: ``ClusterError`` where the heal ended and objects were not healed.
    func missing(_ context: RunContext) async throws -> Missing? {
        let log = try await context.kubectl().run(["logs", pod.name, "-n", pod.namespace, "-c", container?.name ?? ""])
        switch MinIOHeal.state(ofLog: String(decoding: log, as: UTF8.self), drive: mountPath) {
        case .failed(let why):
            throw ClusterError(
                .changed, host: host, operation: "see \(pod.reference) healed", cause: why,
                advice:
                    "look at its log, and heal by hand: mc admin heal --recursive ALIAS; then restart the pod, so that its log begins again, and: masterswap resume; or end the run without it: masterswap resume --skip STEP --because WHY"
            )
        case .complete(let summary): return try await missingFolders(summary.healedBuckets, context)
        case .healed: return try await missingFolders([], context)
        case .notStarted: return try await missingOnDisk(context)?.told(as: "\(pod.name): no heal in its log; ")
        case .running: return try await missingOnDisk(context)?.told(as: "\(pod.name): MinIO is healing; ")
        case .inconclusive(let what): return try await missingOnDisk(context)?.told(as: "\(pod.name): \(what); ")
        }
    }

    /// The pod's name for the volume, which is its claim template's.
    private var mountName: String? {
        pod.spec.volumes?.first { $0.persistentVolumeClaim?.claimName == volume.spec.claimRef?.name }?.name
    }

    private var container: PodSpec.Container? {
        let containers = pod.spec.containers ?? []
        return containers.first { $0.volumeMounts?.contains { $0.name == mountName } == true } ?? containers.first
    }

    /// Where the drive is in the container; `nil` where it is the pod's only one, and its log tells of no other.
    private var mountPath: String? {
        guard pod.spec.claimNames.count > 1 else { return nil }
        return container?.volumeMounts?.first { $0.name == mountName }?.mountPath
    }

    // MARK: The disks

    private func path() throws -> String {
        guard let path = volume.path else {
            throw ClusterError(
                .changed, host: volume.name, operation: "look at the drive of \(pod.reference)",
                cause: "the volume names no folder on a node",
                advice:
                    "see by hand that MinIO has healed it: mc admin heal --recursive --dry-run ALIAS; then go on without this proof: masterswap resume --skip STEP --because WHY"
            )
        }
        return path
    }

    /// Heals end at different times; a drive that is known to be healing is not listed.
    private func missingOnDisk(_ context: RunContext) async throws -> Missing? {
        let remote = try context.remote(host)
        let path = try path()
        if let unfinished = try await unfinished(path, remote) { return unfinished }
        // The others first: what is written meanwhile is on all of them.
        var others: [DriveListing] = []
        for peer in peers {
            switch try await DriveListing.read(peer.path, on: try context.remote(peer.host)) {
            case .listing(let listing): others.append(listing)
            // Another claim template of the set, for something else than MinIO's drives.
            case .unformatted: continue
            case .unreadable: return Missing("\(peer.path) on \(peer.host) cannot be listed")
            }
        }
        guard case .listing(let own) = try await DriveListing.read(path, on: remote) else {
            return Missing("its drive cannot be listed, or is being healed")
        }
        let size = own.set?.count
        let dataShards =
            size.flatMap { size in parity?.parity(ofSet: size).map { size - $0 } } ?? self.dataShards
        let missing = DriveListing.missing(
            in: own, others: others, dataShards: dataShards, hasSeveralSets: hasSeveralSets)
        switch missing {
        case .notEnoughPeers(let count):
            return Missing(
                "only \(count) other drives of its erasure set can be compared with it, and an object needs \(dataShards)"
            )
        case .files(let missing, of: let wanted) where missing > 0:
            return Missing("\(missing) of \(wanted) files are not on its drive yet", progress: "missing \(missing)")
        case .files(_, of: let wanted):
            context.note("\(pod.reference) has each of the \(wanted) files that the other drives have: healed")
            return nil
        }
    }

    /// Why the drive's own folder says that it is not healed; `nil` where it does not.
    private func unfinished(_ path: String, _ remote: any Remote) async throws -> Missing? {
        let place = DriveProbe.Place(volume: volume.name, path: path)
        switch await DriveProbe.look(at: [place], on: remote)[volume.name]?.state {
        case .whole: return nil
        case .unformatted: return Missing("its drive is not formatted yet")
        case .unknown(let why): return Missing(why)
        case .healing(let progress?): return Missing("healed so far: \(progress)", progress: progress.mark)
        case .healing(nil):
            let count = try await DriveListing.count(path, on: remote)
            return Missing(
                "its drive is being healed\(count.map { ": \($0) so far" } ?? "")", progress: count?.mark)
        case nil: return Missing("its drive was not looked at")
        }
    }

    /// The log says that it is healed: the drive has to agree.
    private func missingFolders(_ buckets: [String], _ context: RunContext) async throws -> Missing? {
        let remote = try context.remote(host)
        let path = try path()
        if let unfinished = try await unfinished(path, remote) {
            return unfinished.told(as: "healed by its log, and yet: ")
        }
        // A bucket may be empty; its directory may not be missing.
        let script = """
            \(DriveProbe.findDrive)
            find_drive "$1" && cd -- "$drive" || exit 1
            shift
            for bucket; do [ -d "$bucket" ] || echo "$bucket"; done
            """
        let result = try await remote.run(
            .script(
                script, [path] + buckets, timeout: .seconds(30), label: "look for the healed buckets in \(path)"))
        guard result.succeeded else { return Missing("\(path) is not there on \(host)") }
        let missing = result.text.split(separator: "\n")
        return missing.isEmpty
            ? nil : Missing("healed by its log, but not on the disk: \(missing.joined(separator: ", "))")
    }
}

/// What is on a drive: folders of buckets and files of objects, without MinIO's own.
struct DriveListing: Sendable {
    var files: [Substring]
    /// The drive's erasure set; `nil` where its `format.json` does not list the sets.
    var set: [String]?

    enum Reading: Sendable {
        case listing(DriveListing)
        case unformatted
        /// It is not there, cannot be read, or is being healed.
        case unreadable
    }

    static func read(_ path: String, on remote: any Remote) async throws -> Reading {
        // The record of a heal is there from the moment that an empty drive is formatted; from 2024-08 on it stays, and says
        // in MessagePack that it is finished.
        let script = """
            \(DriveProbe.findDrive)
            find_drive "$1" || exit $?
            cd -- "$drive" || exit 1
            for mark in .minio.sys/buckets/.healing.bin .minio.sys/healing.bin; do
                [ ! -e "$mark" ] || LC_ALL=C grep -aq "$(printf 'Finished\\303')" "$mark" || exit 1
            done
            tr -d '\\n' <.minio.sys/format.json
            echo
            find . -mindepth 1 -maxdepth 1 -type d ! -name .minio.sys && find . -path ./.minio.sys -prune -o -type f -print
            """
        let result = try await remote.run(
            .script(script, [path], timeout: .seconds(300), outputLimit: 256 << 20, label: "list the files in \(path)"))
        if result.outcome == .exited(45) { return .unformatted }
        guard result.succeeded, result.droppedOutput == 0 else { return .unreadable }
        let lines = result.text.split(separator: "\n", omittingEmptySubsequences: false)
        return .listing(
            DriveListing(
                files: lines.dropFirst().filter { !$0.isEmpty },
                set: lines.first.flatMap { MinIODrive.Layout(format: Data($0.utf8))?.set }))
    }

    /// `12 files, 3.4 MiB`: of a drive that is being healed, where MinIO does not count.
    struct Count: CustomStringConvertible {
        var files: Int
        var kibibytes: Int
        var description: String { "\(files) files, \(HealProgress.size(kibibytes << 10))" }
        var mark: String { "\(files) \(kibibytes)" }
    }

    /// - Returns: `nil` where that cannot be seen.
    static func count(_ path: String, on remote: any Remote) async throws -> Count? {
        let script = """
            \(DriveProbe.findDrive)
            find_drive "$1" && cd -- "$drive" || exit 1
            find . -path ./.minio.sys -prune -o -type f -print | wc -l
            du -sk . | cut -f1
            """
        let result = try await remote.run(
            .script(script, [path], timeout: .seconds(300), label: "count the files in \(path)"))
        let numbers = result.text.split(separator: "\n").compactMap { Int($0.filter(\.isNumber)) }
        guard result.succeeded, numbers.count == 2 else { return nil }
        return Count(files: numbers[0], kibibytes: numbers[1])
    }

    package enum Comparison: Sendable, Hashable {
        /// So many are not there, of so many that should be.
        case files(Int, of: Int)
        /// Too few drives of its set can be seen.
        case notEnoughPeers(Int)
    }

    /// What a drive must have is what at least `dataShards` of the set's other drives have.
    static func missing(
        in own: DriveListing, others: [DriveListing], dataShards: Int, hasSeveralSets: Bool
    ) -> Comparison {
        let peers = others.filter { other in
            guard let set = own.set, let otherSet = other.set else { return !hasSeveralSets }
            return set == otherSet
        }
        guard peers.count >= dataShards, dataShards > 0 else { return .notEnoughPeers(peers.count) }
        var copies: [Substring: Int] = [:]
        for peer in peers { for file in Set(peer.files) { copies[file, default: 0] += 1 } }
        let wanted = copies.filter { $0.value >= dataShards }
        let there = Set(own.files)
        return .files(wanted.keys.count { !there.contains($0) }, of: wanted.count)
    }
}
