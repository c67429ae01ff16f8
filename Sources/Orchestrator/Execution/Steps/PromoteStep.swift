import Cluster
import Foundation
package import Inventories
package import Planning
import SSH

/// Makes the new primary's keepalived MASTER with priority 100: two values in its manifest, all at once, nothing else.
package struct PromoteStep: Step {
    private let vip: String
    private let primary: Plan.Master
    /// The inventory's names of those who may hold the VIP.
    private let masters: [String]

    /// ocboot has done it in the join.
    private let ocbootPromotes: Bool

    package init(plan: Plan) { self.init(plan.scene, ocbootPromotes: plan.kind.ocbootPromotes) }
    package init(_ scene: RunScene, ocbootPromotes: Bool = false) {
        self.ocbootPromotes = ocbootPromotes
        vip = scene.vip
        primary = scene.primary
        masters = scene.masters.map(\.host) + [scene.newcomer].compactMap(\.self)
    }

    package let id = "promote"
    package var title: String {
        (ocbootPromotes ? "See \(primary.node) as" : "Make \(primary.node)")
            + " the keepalived MASTER"
    }
    package var reason: String {
        "The dead one was keepalived's MASTER: its successor is to hold the VIP by right, not by chance."
            + (ocbootPromotes ? " The join made it so; what it left out is done here." : "")
    }
    package let estimate = 27
    package var effects: [Effect] {
        [
            .changes(
                "keepalived.yaml on \(primary.host)\(ocbootPromotes ? ", where the join left it otherwise" : ""): KEEPALIVED_PRIORITY 100, KEEPALIVED_STATE MASTER; every other byte stays"
            )
        ]
    }

    package func commands(_ inventory: Inventory) -> [String] {
        let path = inventory.cluster.distribution.keepalivedManifest
        return [
            PlannedCommands.told(primary.host, Command(["replace", path])) + " # if it is as it was read"
        ]
            + VIP.commands(vip, on: primary.host, masters, inventory)
    }

    package func check(_ context: RunContext) async throws -> StepStatus {
        let manifest = try await read(context).manifest
        guard manifest.state == .master, manifest.priority == KeepalivedManifest.primaryPriority else {
            return .needed("its manifest says \(manifest.state.rawValue), priority \(manifest.priority)")
        }
        if let missing = try await containerMissing(context) { return .needed(missing) }
        switch try await VIP.look(masters, context) {
        case .held(let holder) where holder == primary.host:
            return .satisfied("it is MASTER with priority 100, runs so, and holds the VIP")
        case .held(let holder): return .needed("\(holder) holds the VIP")
        case .unsettled(let why): return .needed(why)
        }
    }

    package func run(_ context: RunContext) async throws {
        let current = try await read(context)
        let promoted: String
        do {
            promoted = try current.manifest.promoted()
        } catch {
            throw ClusterError(
                .badOutput, host: primary.host, operation: "edit \(path(context))", cause: "\(error)",
                advice: "set KEEPALIVED_PRIORITY to 100 and KEEPALIVED_STATE to MASTER by hand; then: masterswap resume"
            )
        }
        if promoted != current.manifest.text {
            for line in KeepalivedManifest.difference(current.manifest.text, promoted) { context.note(line) }
            try await context.remote(primary.host).replaceFile(
                path(context), expected: current.contents, with: Data(promoted.utf8))
        }
        // The kubelet may not restart a changed static pod (kubernetes/kubernetes#44450, #109596); it is never restarted from here.
        do {
            try await context.wait(for: "keepalived on \(primary.node) to run with it") {
                try await containerMissing(context).map { .pending($0) } ?? .done(())
            }
        } catch var error as ClusterError where error.code == .waitTimedOut {
            error.advice =
                "restart the kubelet on \(primary.host): systemctl restart \(context.distribution.kubeletUnit); then: masterswap resume"
            throw error
        }
        _ = try await VIP.settle(masters, on: primary.host, samples: 4, context)
    }

    private func path(_ context: RunContext) -> String { context.distribution.keepalivedManifest }

    private func read(_ context: RunContext) async throws -> (contents: Data, manifest: KeepalivedManifest) {
        let operation = "read \(path(context))"
        let result = try await context.remote(primary.host).run(
            Command(["cat", path(context)], timeout: .seconds(20), label: operation))
        do {
            guard result.succeeded else {
                throw KeepalivedManifest.Unreadable(description: result.errorText.lastLines(1))
            }
            return (result.standardOutput, try KeepalivedManifest(result.text))
        } catch {
            throw ClusterError(
                .badOutput, host: primary.host, operation: operation, cause: "\(error)",
                advice: "look at the file there")
        }
    }

    /// Why what runs cannot be what was edited; `nil` when it is.
    ///
    /// The processes on the host are asked: the kubelet may report minutes late, because its connection to the API server uses the VIP,
    /// which moves while keepalived restarts.
    private func containerMissing(_ context: RunContext) async throws -> String? {
        // Just two variables are printed: the password stands beside them.
        let script =
            #"for pid in $(pidof keepalived); do tr '\0' '\n' <"/proc/$pid/environ" | grep -E '^KEEPALIVED_(STATE|PRIORITY)='; done; true"#
        let result = try await context.remote(primary.host).run(
            .script(script, timeout: .seconds(20), label: "look at keepalived's environment"))
        let variables = Set(result.text.split(separator: "\n").map(String.init))
        if variables == ["KEEPALIVED_STATE=MASTER", "KEEPALIVED_PRIORITY=\(KeepalivedManifest.primaryPriority)"] {
            return nil
        }
        // An image may start keepalived without its environment; then the kubelet's word has to do.
        return variables.isEmpty ? try await podMissing(context) : "the old container still runs"
    }

    /// The pod's environment alone would only show that the kubelet has read the file: the container must have started after the
    /// file was written.
    private func podMissing(_ context: RunContext) async throws -> String? {
        let name = "keepalived-\(primary.node)"
        guard let pod = try await context.kubectl().find(Pod.self, ["pod", name, "-n", "kube-system"]) else {
            return "there is no pod \(name)"
        }
        let environment = (pod.spec.containers ?? []).flatMap { $0.env ?? [] }
        guard
            environment.contains(where: {
                $0.name == "KEEPALIVED_STATE" && $0.value == KeepalivedManifest.State.master.rawValue
            })
        else {
            return "the kubelet has not taken the manifest up"
        }
        guard let container = pod.status?.containerStatuses?.first, container.ready,
            let text = container.state?.running?.startedAt, let started = try? Date(text, strategy: .iso8601)
        else { return "its container does not run" }
        let modified = try await context.remote(primary.host).run(
            Command(["stat", "-c", "%Y", path(context)], timeout: .seconds(20)))
        guard modified.succeeded,
            let seconds = TimeInterval(modified.text.trimmingCharacters(in: .whitespacesAndNewlines))
        else {
            return "the manifest's time cannot be read"
        }
        // Both times are that host's own; startedAt has whole seconds.
        return started.timeIntervalSince1970 >= seconds.rounded(.down)
            ? nil : "its container is older than the manifest"
    }
}
