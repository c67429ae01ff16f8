import Foundation
import Inventories

/// etcd's static pod manifest as kubeadm writes it, and the one edit that is ever made to it: other arguments, until data are restored.
package struct EtcdManifest: Sendable, Hashable {
    package static let path = Inventory.Distribution.kubeadm.manifestDirectory + "/etcd.yaml"
    /// Where it is kept while etcd is stopped: beside the kubelet's folder, on the same file system.
    package static let keptPath = "/etc/kubernetes/masterswap-etcd.yaml"
    /// What makes etcd forget the other members at each start. Nothing here gives it: a member that is left with data in its database whose
    /// entries are not in its log differs from whoever joins it later (etcd-io/etcd#14009). Somebody may have put it there.
    package static let flag = "--force-new-cluster"
    /// Where a snapshot's data are made: below the one folder that etcd's container shares with the host.
    package static let restoredPath = Inventory.Distribution.kubeadm.etcdDataDirectory + "/masterswap-restored"

    /// Shell text that prints what a recovery that was cut off has left of it, as ``HostFacts/Recovery``; nothing where it has left nothing.
    static let leftovers = """
        grep -q '^ *- \(flag)' \(path) 2>/dev/null && echo \(HostFacts.Recovery.forced.rawValue)
        grep -q '^ *- --data-dir=\(restoredPath)$' \(path) 2>/dev/null && echo \(HostFacts.Recovery.restoring.rawValue)
        [ -e \(keptPath) ] && [ ! -e \(path) ] && echo \(HostFacts.Recovery.stopped.rawValue)
        true
        """

    /// The file, byte for byte.
    package var text: String

    package init(_ text: String) { self.text = text }

    private var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

    private static func item(_ line: Substring) -> Substring? {
        let words = line.drop { $0 == " " }
        return words.hasPrefix("- ") ? words.dropFirst(2) : nil
    }
    private static func isFlag(_ line: Substring) -> Bool {
        item(line).map { $0 == flag || $0.hasPrefix(flag + "=") } ?? false
    }

    /// As `--name` has it.
    package var memberName: String? {
        lines.lazy.compactMap(Self.item).first { $0.hasPrefix("--name=") }.map { String($0.dropFirst("--name=".count)) }
    }

    package var isForcing: Bool { lines.contains(where: Self.isFlag) }

    /// Without the flag, as it was before somebody put it there.
    package var first: EtcdManifest {
        EtcdManifest(lines.filter { !Self.isFlag($0) }.joined(separator: "\n"))
    }

    /// The arguments of the container, and where they stand: the items after the one line `- etcd`, as far as they are as deep as it.
    private var arguments: (indent: Substring, lines: Range<Int>)? {
        let found = lines.indices.filter { Self.item(lines[$0]) == "etcd" }
        guard found.count == 1, let first = found.first else { return nil }
        let indent = lines[first].prefix { $0 == " " }
        let end = lines[first...].firstIndex { !$0.hasPrefix(indent + "- ") } ?? lines.endIndex
        return (indent, first..<end)
    }

    private func value(of option: String) -> String? {
        guard let arguments else { return nil }
        return lines[arguments.lines].lazy.compactMap(Self.item).first { $0.hasPrefix("--\(option)=") }
            .map { String($0.dropFirst(option.count + 3)) }
    }

    /// The same pod, of the same image, which makes data of a snapshot in the place of etcd: its member is the only one of a cluster of its
    /// own, whose ids come of `token`. It ends once it is done; where the kubelet starts it again it finds them made, and ends at once.
    /// `nil` where that is not found of which it is made, or the image's release is not known.
    package func restoring(token: String) -> EtcdManifest? {
        guard let arguments, let name = memberName, let peer = value(of: "initial-advertise-peer-urls"),
            let release = imageRelease
        else { return nil }
        let distribution = Inventory.Distribution.kubeadm
        guard value(of: "data-dir") ?? distribution.etcdDataDirectory == distribution.etcdDataDirectory else {
            return nil
        }
        // etcdctl has lost it to etcdutl with 3.6.
        let words = [
            release >= (3, 6) ? "etcdutl" : "etcdctl", "snapshot", "restore", distribution.restoredSnapshot,
            "--name=\(name)", "--initial-cluster=\(name)=\(peer)", "--initial-advertise-peer-urls=\(peer)",
            "--initial-cluster-token=\(token)", "--data-dir=\(Self.restoredPath)",
        ]
        var edited = lines
        edited.replaceSubrange(arguments.lines, with: words.map { "\(arguments.indent)- \($0)" })
        if release < (3, 4) {
            // This old etcdctl speaks the protocol that has no snapshots, unless told.
            guard let image = imageLine, !lines.contains(where: { $0.drop { $0 == " " }.hasPrefix("env:") }) else {
                return nil
            }
            let indent = String(repeating: " ", count: image.prefix { $0 == " " || $0 == "-" }.count)
            edited.insert(
                contentsOf: ["env:", "- name: ETCDCTL_API", "  value: \"3\""].map { indent[...] + $0 },
                at: arguments.lines.lowerBound + words.count)
        }
        return EtcdManifest(Self.withoutProbes(edited).joined(separator: "\n"))
    }

    /// Nothing listens while data are restored: the kubelet would end a container that takes longer than its probes bear.
    private static func withoutProbes(_ lines: [Substring]) -> [Substring] {
        var depth: Int?
        return lines.filter { line in
            let indent = line.prefix { $0 == " " }.count
            if let limit = depth {
                if indent > limit || line.allSatisfy({ $0 == " " }) { return false }
                depth = nil
            }
            if line.hasSuffix("Probe:") || line.hasSuffix("Probe: {}") { depth = indent }
            return depth == nil
        }
    }

    package var isRestoring: Bool { lines.contains { Self.item($0) == "--data-dir=\(Self.restoredPath)" } }

    private var imageLine: Substring? { lines.first { $0.drop { $0 == " " || $0 == "-" }.hasPrefix("image:") } }

    /// Of etcd, from the image's tag: 3.4 of `registry.example/etcd:3.4.13-0`.
    private var imageRelease: (Int, Int)? {
        guard let tag = imageLine?.split(separator: ":").last else { return nil }
        let numbers = tag.trimmingCharacters(in: CharacterSet(charactersIn: "v\"' ")).split(separator: ".").prefix(2)
            .compactMap { Int($0) }
        guard numbers.count == 2, (numbers[0], numbers[1]) >= (3, 0) else { return nil }
        return (numbers[0], numbers[1])
    }
}
