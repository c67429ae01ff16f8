import Foundation
import Inventories
package import SSH

/// Looks at the folders of MinIO's drives on the hosts that hold them: a drive that is still being healed cannot be counted, and the
/// cluster's objects do not tell it. Where the folders are is known only after the cluster was read.
public struct DriveProbe: Sendable {
    /// A drive's volume and its folder on the host.
    package struct Place: Sendable, Hashable {
        package var volume: String
        package var path: String

        package init(volume: String, path: String) {
            self.volume = volume
            self.path = path
        }
    }

    package let state: ClusterState

    public init(_ state: ClusterState) {
        self.state = state
    }

    /// The drives of the inventory's MinIO sets, by their volumes' names; those on hosts that do not answer are unknown, or left out
    /// where not even the host is known.
    public func run(_ remotes: Remotes) async -> [String: MinIODrive] {
        var drives: [String: MinIODrive] = [:]
        var places: [String: [Place]] = [:]
        for volume in volumes {
            guard let path = volume.path else {
                drives[volume.name] = MinIODrive(.unknown("the volume \(volume.name) names no folder on a node"))
                continue
            }
            guard let node = volume.node(among: state.objects.nodes) else {
                drives[volume.name] = MinIODrive(.unknown("the node of the volume \(volume.name) is not known"))
                continue
            }
            guard let host = state.host(of: node) else {
                drives[volume.name] = MinIODrive(
                    .unknown("the node \(node.name) of the volume \(volume.name) is in no inventory entry"))
                continue
            }
            switch state.hosts[host.name] {
            case .reached: places[host.name, default: []].append(Place(volume: volume.name, path: path))
            case .failed(let failure): drives[volume.name] = MinIODrive(.unknown(failure.message))
            case nil: drives[volume.name] = MinIODrive(.unknown("\(host.name) was not looked at"))
            }
        }
        await withTaskGroup(of: [String: MinIODrive].self) { group in
            for host in state.inventory.hosts {
                guard let places = places[host.name] else { continue }
                group.addTask {
                    do {
                        return await Self.look(at: places, on: try remotes[host])
                    } catch {
                        return Self.unknown(places, "\(error)")
                    }
                }
            }
            for await found in group { drives.merge(found) { $1 } }
        }
        return drives
    }

    /// Of the sets that the inventory says MinIO heals.
    private var volumes: [Volume] {
        let sets = state.inventory.workloads.compactMap { workload -> StatefulSet? in
            guard case .rebuild(_, heal: .minio?, _) = workload.rule, case .statefulSet(let name) = workload.target
            else { return nil }
            return state.statefulSet(workload.namespace, name)
        }
        return state.objects.claims.filter { claim in
            sets.contains { $0.namespace == claim.namespace && $0.ordinal(ofClaim: claim.name) != nil }
        }
        .compactMap { $0.spec.volumeName.flatMap(state.objects.volume) }
    }

    /// Never throws: what could not be looked at is unknown, and the rules decide what that means.
    package static func look(at places: [Place], on remote: any Remote) async -> [String: MinIODrive] {
        let operation = "look at MinIO's drives"
        let script = script(places)
        do {
            let result = try await remote.run(script.command(label: operation, timeout: nil))
            let sections = try script.parse(result, host: remote.name, operation: operation)
            return Dictionary(
                places.enumerated().map { index, place in
                    (place.volume, drive(sections["drive-\(index)"], at: place, on: remote.name))
                }, uniquingKeysWith: { $1 })
        } catch {
            return unknown(places, "\(error)")
        }
    }

    private static func unknown(_ places: [Place], _ why: String) -> [String: MinIODrive] {
        Dictionary(places.map { ($0.volume, MinIODrive(.unknown(why))) }, uniquingKeysWith: { $1 })
    }

    private static func script(_ places: [Place]) -> SectionedScript {
        var script = SectionedScript()
        for (index, place) in places.enumerated() {
            script.section(
                "drive-\(index)",
                """
                \(findDrive)
                find_drive \(ShellQuoting.quote(place.path)) || exit $?
                for mark in buckets/.healing.bin healing.bin; do
                    [ -e "$drive/.minio.sys/$mark" ] || continue
                    echo "mark $(od -An -v -tx1 "$drive/.minio.sys/$mark" | tr -d ' \\n')"
                done
                echo format
                cat "$drive/.minio.sys/format.json"
                """)
        }
        return script
    }

    /// Shell text: sets `drive` to the folder of a volume that MinIO has formatted, which may be one folder below the volume's own
    /// (MinIO's operator and Helm chart can mount a sub-path). Ends with 44 where the folder cannot be read, with 45 where there is
    /// nothing of MinIO in it.
    package static let findDrive = """
        find_drive() {
            [ -d "$1" ] && [ -r "$1" ] && [ -x "$1" ] || return 44
            for drive in "$1" "$1"/*; do
                [ -s "$drive/.minio.sys/format.json" ] && return 0
            done
            return 45
        }
        """

    package static func drive(_ section: SectionedScript.Section?, at place: Place, on host: String) -> MinIODrive {
        guard let section else { return MinIODrive(.unknown("\(host): \(place.path) was not looked at")) }
        switch section.status {
        case 0: break
        case 45: return MinIODrive(.unformatted)
        case 44: return MinIODrive(.unknown("\(host): \(place.path) is not there, or cannot be read"))
        default: return MinIODrive(.unknown("\(host): \(place.path): exit status \(section.status)"))
        }
        guard let format = section.output.range(of: Data("format\n".utf8)) else {
            return MinIODrive(.unknown("\(host): \(place.path): its format.json cannot be read"))
        }
        let marks = String(decoding: section.output[..<format.lowerBound], as: UTF8.self).split(separator: "\n")
        guard let layout = MinIODrive.Layout(format: section.output[format.upperBound...]) else {
            return MinIODrive(
                .unknown("\(host): the format.json in \(place.path) is not that of a drive of an erasure set"))
        }
        var drive = MinIODrive(.whole, layout: layout)
        for mark in marks {
            guard let record = HealingRecord(Data(hexadecimal: mark.dropFirst("mark ".count))) else {
                drive.state = .healing(nil)
                continue
            }
            if record.isFinished {
                // Numbers from a disk may be anything.
                let (sum, overflows) = drive.failedItems.addingReportingOverflow(record.progress?.failed ?? 0)
                drive.failedItems = overflows ? .max : sum
            } else {
                drive.state = .healing(record.progress)
            }
        }
        return drive
    }
}

extension Data {
    /// The bytes of pairs of hexadecimal digits; what is none ends them.
    fileprivate init(hexadecimal text: some StringProtocol) {
        self.init()
        var digits = text.utf8.makeIterator()
        while let high = digits.next().flatMap(Self.digit), let low = digits.next().flatMap(Self.digit) {
            append(high << 4 | low)
        }
    }

    private static func digit(_ character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
