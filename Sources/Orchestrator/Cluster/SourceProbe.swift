package import Inventories
import SSH

/// Where a host that ocboot sets up gets its images and packages from.
public struct Source: Sendable, Hashable {
    public var host: String
    public var port: Int

    /// Every release of ocboot takes Cloudpods' own packages from there (its role common); without a way out, from the primary.
    package static let packages = Source(host: "iso.yunion.cn", port: 443)

    /// The registry of an image, by the rule of Docker's references: what is before the first slash, if it looks like a host.
    /// - Returns: `nil` for an image that is not pulled from a registry by its own name: of the default one, which a mirror may stand in for.
    package init?(ofImage image: String) {
        guard let slash = image.firstIndex(of: "/") else { return nil }
        let name = image[..<slash]
        guard name.contains(".") || name.contains(":"), name != "docker.io", !name.hasSuffix(".docker.io") else {
            return nil
        }
        let parts = name.split(separator: ":", omittingEmptySubsequences: false)
        guard let host = parts.first, !host.isEmpty, parts.count <= 2 else { return nil }
        guard let port = parts.count == 2 ? Int(parts[1]) : 443, (1...65535).contains(port) else { return nil }
        self.init(host: String(host), port: port)
    }

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    public var text: String { "\(host):\(port)" }
}

extension ClusterState {
    /// - Returns: what this host does not reach and a master does; empty where it is not known.
    package func sourcesOutOfReach(of host: Inventory.Host) -> [Source] {
        unreached(by: host).filter { mastersReach($0).contains(true) }
    }

    /// - Returns: what neither this host nor any master reaches; empty where it is not known, also of all the masters.
    package func sourcesBeyondAll(_ host: Inventory.Host) -> [Source] {
        unreached(by: host).filter { source in
            let reached = mastersReach(source)
            return !reached.isEmpty && !reached.contains(true)
        }
    }

    private func unreached(by host: Inventory.Host) -> [Source] {
        sources[host.name, default: [:]].filter { !$0.value }.map(\.key).sorted { $0.text < $1.text }
    }

    /// Of each master that told.
    private func mastersReach(_ source: Source) -> [Bool] { liveMasters.compactMap { sources[$0.name]?[source] } }
}

/// Asks the masters and the spares which of these sources they reach. A spare that does not reach what a master reaches will not get its
/// images; where nobody reaches one, the cloud has no way out, and gets them in another way.
struct SourceProbe: Sendable {
    let state: ClusterState

    init(_ state: ClusterState) {
        self.state = state
    }

    /// The registries of what runs on every master, in their order, and ocboot's source of packages.
    var sources: [Source] {
        let masters = Set(state.objects.nodes.filter(\.isControlPlane).map(\.name))
        let images = state.objects.pods.filter { pod in
            (pod.isMirror || pod.controller?.kind == "DaemonSet") && pod.nodeName.map(masters.contains) == true
        }.flatMap { $0.spec.containers ?? [] }.compactMap(\.image)
        return Array(uniqued: images.compactMap(Source.init(ofImage:)).sorted { $0.text < $1.text }) + [.packages]
    }

    /// - Returns: by the inventory's name of the host, what it reaches; without those of which it is not known.
    func run(_ remotes: Remotes) async -> [String: [Source: Bool]] {
        let spares = state.inventory.hosts.filter { $0.role == .spare && state.node(of: $0) == nil }
        let sources = sources
        guard state.inventory.ocboot != nil, !state.liveMasters.isEmpty,
            spares.contains(where: { state.facts($0) != nil })
        else { return [:] }
        return await withTaskGroup(of: (String, [Source: Bool]?).self) { group in
            for host in state.liveMasters + spares where state.facts(host) != nil {
                group.addTask { (host.name, try? await Self.look(at: sources, from: remotes[host])) }
            }
            return await group.reduce(into: [:]) { found, seen in found[seen.0] = seen.1 }
        }
    }

    /// Seconds that all of it takes at most, whatever the number of sources: they are tried side by side.
    private static let limit = 3

    /// - Returns: `nil` where a proxy is between the host and its sources, so that a connection of its own tells nothing.
    static func look(at sources: [Source], from remote: any Remote) async throws -> [Source: Bool]? {
        let operation = "look which registries and package sources it reaches"
        let script = script(sources)
        let result = try await remote.run(script.command(label: operation, timeout: .seconds(30 + limit)))
        guard
            let section = try script.parse(result, host: remote.name, operation: operation)["sources"],
            section.succeeded
        else { return nil }
        return read(section.lines, sources)
    }

    /// A pipe ends with the last of those that write into it, and a line of one process stays whole in it.
    private static func script(_ sources: [Source]) -> SectionedScript {
        var script = SectionedScript()
        let tries = sources.enumerated().map { index, source in
            "{ \(HostProbe.connect(to: source.host, source.port, limit: limit)) >/dev/null; echo \(index) $?; } &"
        }
        script.optionalSection(
            "sources",
            """
            if [ -n "$http_proxy$https_proxy$HTTP_PROXY$HTTPS_PROXY" ] || grep -qsi '^[^#]*proxy' /etc/environment \
            /etc/yum.conf /etc/dnf/dnf.conf /etc/apt/apt.conf /etc/apt/apt.conf.d/* /etc/systemd/system/docker.service.d/* \
            /etc/systemd/system/containerd.service.d/* /etc/default/k3s /etc/systemd/system/k3s.service.env; then
                exit 44
            fi
            { \(tries.joined(separator: "\n")) } | cat
            """)
        return script
    }

    static func read(_ lines: [String], _ sources: [Source]) -> [Source: Bool] {
        var reached: [Source: Bool] = [:]
        for line in lines {
            let words = line.split(separator: " ").compactMap { Int($0) }
            guard words.count == 2, sources.indices.contains(words[0]) else { continue }
            reached[sources[words[0]]] = words[1] == 0
        }
        return reached
    }
}
