import Cluster
import Inventories
import Planning
import SSH

/// What a join may change on the survivors and in the cloud: kept before it, compared after it, and told; put back where that is safe
/// and was asked for. The copies stay: they are the way back for the rest, by hand.
struct JoinChanges {
    let plan: Plan
    private let invocation: OcbootInvocation
    private let folder: String
    private let looksAtCloud: Bool
    private let restores: Bool

    /// - Returns: `nil` for a plan without ocboot.
    init?(_ plan: Plan, run: String) {
        guard let ocboot = plan.ocboot else { return nil }
        self.plan = plan
        invocation = ocboot.invocation
        folder = Self.folder(run: run)
        looksAtCloud = ocboot.hasCloud == true
        restores = ocboot.restoresSurvivors == true
    }

    /// On each survivor.
    static func folder(run: String) -> String { "\(OcbootRuns.directory)/\(run)/before" }

    private var survivors: [Plan.Master] { invocation.watched.isEmpty ? [] : plan.survivors }

    // MARK: What the plan shows

    func keeping(_ cluster: Inventory.Cluster) -> [String] {
        survivors.map { plan.told($0.host, Self.keeping(invocation, in: folder)) }
            + (looksAtCloud ? [plan.told(plan.primary.host, Self.keepingCloud(in: folder, kubectl(cluster)))] : [])
    }

    func comparisons(_ cluster: Inventory.Cluster) -> [String] {
        survivors.map { plan.told($0.host, Self.comparison(invocation, with: folder)) }
            + (looksAtCloud ? [plan.told(plan.primary.host, Self.cloudComparison(with: folder, kubectl(cluster)))] : [])
            + (restores
                ? survivors.map { plan.told($0.host, Self.restoration(invocation.restorable, from: folder)) } : [])
    }

    /// What is put back, and where; none where that was not asked for.
    var effects: [Effect] {
        guard restores, !survivors.isEmpty else { return [] }
        return [
            .changes(
                "\(survivors.map(\.host).listed): \(invocation.restorable.listed) are put back where ocboot changed them; they count from the next start of what reads them"
            )
        ]
    }

    private func kubectl(_ cluster: Inventory.Cluster) -> [String] {
        Kubectl.prefix(
            cluster.distribution, apiServer: "\(IPAddress.inURL(plan.primary.address)):\(cluster.apiPort)")
    }

    // MARK: What is done

    /// - Throws: `SSHError`; ``ClusterError`` where something cannot be kept.
    func keep(_ context: RunContext) async throws {
        for survivor in survivors {
            try await run(Self.keeping(invocation, in: folder), on: survivor.host, context)
        }
        if looksAtCloud {
            try await run(
                Self.keepingCloud(in: folder, kubectl(context.inventory.cluster)), on: plan.primary.host, context)
        }
    }

    private func run(_ command: Command, on host: String, _ context: RunContext) async throws {
        let result = try await context.remote(host).run(command)
        guard result.succeeded else {
            throw ClusterError(
                .commandFailed, host: host, operation: command.display,
                cause: "\(result.outcome): \(result.errorText.lastLines(2))",
                advice: "see that there is room in \(OcbootRuns.directory) there, then: masterswap resume")
        }
    }

    func tell(_ context: RunContext) async {
        for survivor in survivors {
            let files = await lines(of: Self.comparison(invocation, with: folder), on: survivor.host, context)
            guard !files.isEmpty else { continue }
            context.note("\(survivor.host): ocboot changed \(files.listed); as before: \(folder) there")
            guard restores else { continue }
            let restored = await lines(
                of: Self.restoration(invocation.restorable, from: folder), on: survivor.host, context)
            if !restored.isEmpty { context.note("\(survivor.host): put back \(restored.listed)") }
        }
        guard looksAtCloud else { return }
        let fields = await lines(
            of: Self.cloudComparison(with: folder, kubectl(context.inventory.cluster)), on: plan.primary.host, context)
        if !fields.isEmpty {
            context.warn(
                "the OnecloudCluster is not as it was before the join: \(fields.listed); as before: \(folder)/cloud on \(plan.primary.host)"
            )
        }
    }

    /// What a command printed, also where it did not come to its end, which is told.
    private func lines(of command: Command, on host: String, _ context: RunContext) async -> [String] {
        var lines: [String] = []
        do {
            let result = try await context.remote(host).run(command)
            lines = result.text.split(separator: "\n").map(String.init)
            guard !result.succeeded else { return lines }
            context.warn(
                "\(host): \(command.display): \(result.outcome): \(result.errorText.lastLines(2)); compare the rest there by hand"
            )
        } catch { context.warn("\(host): \(command.display): \(error); compare there by hand") }
        return lines
    }

    // MARK: Files of the survivors

    /// Copies what ocboot may write over, once in a run: a second attempt would copy what the first has written.
    static func keeping(_ invocation: OcbootInvocation, in folder: String) -> Command {
        .script(
            #"d=$1; shift; umask 077; [ ! -e "$d/complete" ] || exit 0; mkdir -p "$d" || exit 1; for f; do [ ! -f "$f" ] || { mkdir -p "$d${f%/*}" && cp -p "$f" "$d$f"; } || exit 1; done; : >"$d/complete""#,
            [folder] + invocation.watched, timeout: .seconds(20), label: "keep what ocboot may write, in \(folder)")
    }

    /// Prints the files that are not as they were.
    static func comparison(_ invocation: OcbootInvocation, with folder: String) -> Command {
        .script(
            #"d=$1; shift; [ -e "$d/complete" ] || exit 0; for f; do if [ -f "$d$f" ]; then cmp -s "$d$f" "$f" || echo "$f"; elif [ -f "$f" ]; then echo "$f (new)"; fi; done; true"#,
            [folder] + invocation.watched, timeout: .seconds(20), label: "compare with \(folder)")
    }

    /// Puts back those that can be, and prints them. Each is whole at every moment. What a symbolic link points to is left to whoever
    /// made the link.
    static func restoration(_ files: [String], from folder: String) -> Command {
        .script(
            #"d=$1; shift; [ -e "$d/complete" ] || exit 0; for f; do [ -f "$d$f" ] && [ ! -L "$f" ] || continue; cmp -s "$d$f" "$f" && continue; cp -p "$d$f" "$f.masterswap" && mv -f "$f.masterswap" "$f" && echo "$f" || exit 1; done; true"#,
            [folder] + files, timeout: .seconds(20), label: "put back from \(folder)")
    }

    // MARK: The cloud

    /// Shell text: prints the OnecloudCluster's fields that some release of ocboot sets, one in a line, and a checksum of all of its
    /// spec, which has passwords in it and is kept nowhere.
    private static let readCloud = """
        cloud() {
            "$@" get onecloudclusters.onecloud.yunion.io -n onecloud -o jsonpath='{range .items[*]}\(cloudFields.map { "\($0)={.spec.\($0)}{\"\\n\"}" }.joined()){end}' &&
                spec=$("$@" get onecloudclusters.onecloud.yunion.io -n onecloud -o jsonpath='{.items[*].spec}') &&
                printf 'checksum of the whole=%s\\n' "$(printf %s "$spec" | sha256sum | cut -d' ' -f1)"
        }
        """
    private static let cloudFields = [
        "version", "productVersion", "imageRepository", "loadBalancerEndpoint", "region", "zone", "minio.enable",
        "glance.switchToS3", "onecloudServiceOperator.disable", "disableResourceManagement",
    ]

    static func keepingCloud(in folder: String, _ kubectl: [String]) -> Command {
        .script(
            readCloud
                + "\n"
                + #"d=$1; shift; umask 077; [ -e "$d/cloud" ] || { mkdir -p "$d" && cloud "$@" >"$d/cloud.part" && mv "$d/cloud.part" "$d/cloud"; }"#,
            [folder] + kubectl, timeout: .seconds(60), label: "keep the OnecloudCluster's settings, in \(folder)/cloud")
    }

    /// Prints the fields that are not as they were, `NAME=VALUE`, with their present values.
    static func cloudComparison(with folder: String, _ kubectl: [String]) -> Command {
        .script(
            readCloud
                + "\n"
                + #"d=$1; shift; [ -e "$d/cloud" ] || exit 0; now=$(cloud "$@") || exit 1; printf '%s\n' "$now" | grep -vxFf "$d/cloud"; true"#,
            [folder] + kubectl, timeout: .seconds(60), label: "compare the OnecloudCluster with \(folder)/cloud")
    }
}
