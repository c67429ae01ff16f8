import Inventories

/// etcd's static pod manifest as kubeadm writes it, and the one edit that is ever made to it: a further argument, for one start.
package struct EtcdManifest: Sendable, Hashable {
    package static let path = Inventory.Distribution.kubeadm.manifestDirectory + "/etcd.yaml"
    /// Where it is kept while etcd is stopped: beside the kubelet's folder, on the same file system.
    package static let keptPath = "/etc/kubernetes/masterswap-etcd.yaml"
    package static let flag = "--force-new-cluster"

    /// Shell text that prints what a recovery that was cut off has left of it, as ``HostFacts/Recovery``; nothing where it has left nothing.
    static let leftovers = """
        grep -q '^ *- \(flag)' \(path) 2>/dev/null && echo \(HostFacts.Recovery.forced.rawValue)
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

    /// With the flag, right after the program's name; `nil` where that is not found once, so that nothing is guessed.
    package var forcing: EtcdManifest? {
        guard !isForcing else { return self }
        var lines = lines
        let found = lines.indices.filter { Self.item(lines[$0]) == "etcd" }
        guard found.count == 1, let index = found.first else { return nil }
        let indent = lines[index].prefix { $0 == " " }
        lines.insert("\(indent)- \(Self.flag)", at: index + 1)
        return EtcdManifest(lines.joined(separator: "\n"))
    }

    /// Without the flag: of what ``forcing`` made, the first form again.
    package var first: EtcdManifest {
        EtcdManifest(lines.filter { !Self.isFlag($0) }.joined(separator: "\n"))
    }
}
