import Cluster
import Execution
public import Inventories
public import Planning
import SSH

/// A plan as a person reads it before agreeing, like a runbook: every step with its reason, the commands that it gives, `+ ~ -` for
/// what is made, changed and destroyed, the manifest's diff, the data at risk and why it survives, and the time.
public struct PlanText: Sendable {
    public struct Line: Sendable, Hashable {
        public enum Kind: Sendable, Hashable {
            case heading, step, plain, made, changed, destroyed, command, warning
        }

        public var kind: Kind
        public var text: String

        public static let blank = Line("")

        init(_ text: String, _ kind: Kind = .plain) {
            self.kind = kind
            // What a cluster says must not move the cursor.
            self.text = TerminalText.line(text)
        }
    }

    let plan: Plan
    let inventory: Inventory
    private let steps: [any Step]

    public init(_ plan: Plan, _ inventory: Inventory) {
        self.plan = plan
        self.inventory = inventory
        steps = ReplacementSteps.make(plan)
    }

    public var lines: [Line] {
        var lines = head + [Line("")] + legend
        for (index, step) in steps.enumerated() {
            lines += [Line(""), Line("\(index + 1). \(step.title) (about \(Self.duration(step.estimate)))", .step)]
            lines += self.lines(of: step)
        }
        lines += [Line(""), Line("The data at risk, and what becomes of it:", .heading)]
        lines += data.isEmpty ? [Line("     none: no volume of \(plan.dead.node) is claimed")] : indented(data)
        if !plan.ignoredClaims.isEmpty {
            lines += [Line(""), Line("Left as they are, by the inventory's rule:", .heading)]
            lines += plan.ignoredClaims.map { Line("     \($0)") }
        }
        if let kept = plan.keptVolumes {
            lines += [Line(""), Line("Left as they are, unless their loss is agreed to by name:", .heading)]
            lines += kept.map { Line("     \($0.volume): \($0.reason) (--accept-data-loss \($0.volume.name))") }
        }
        return lines + [Line(""), Line(time)]
    }

    /// What a resume does that an earlier plan of the run, which was agreed to, did not: where it goes beyond it, the whole plan; and
    /// the steps that an undisturbed replacement does not have. Nothing where there is nothing new.
    public func added(to earlier: Plan) -> [Line] {
        let news = plan.beyond(earlier)
        let whole =
            news.isEmpty
            ? []
            : lines + [Line(""), Line("This goes beyond what was agreed to:", .heading)]
                + news.map { Line("  \($0)", .warning) }
        let passed = steps.filter {
            $0 is PassedOver && earlier.reasonToPassOver($0.id) != plan.reasonToPassOver($0.id)
        }
        return whole + list("Additional steps to confirm:", ReplacementSteps.added(plan))
            + list("Steps to be passed over, to confirm:", passed)
    }

    private func list(_ heading: String, _ steps: [any Step]) -> [Line] {
        guard !steps.isEmpty else { return [] }
        return [Line(heading, .heading)] + steps.flatMap { [Line(""), Line($0.title, .step)] + lines(of: $0) }
    }

    private var head: [Line] {
        let signs = plan.signsOfDeath.map { [Line("  taken for dead: \($0.joined(separator: "; "))")] } ?? []
        return [
            Line(
                "Replace \(plan.dead.node) (\(plan.dead.address)) with \(plan.replacement.node) (\(plan.replacement.address)) in cluster \(plan.cluster)"
                    + (plan.dead.host == plan.replacement.host ? ": the same machine, reinstalled" : ""),
                .heading),
            Line(
                "  primary: \(plan.primary.node)" + (plan.promotes ? ", to become keepalived's MASTER" : ", as it is")),
            Line("  survivors: \(plan.survivors.map(\.node).joined(separator: ", "))"),
        ] + signs + warnings
    }

    /// Masters that are not whole and are left aside, and what was concluded from little.
    private var warnings: [Line] {
        (plan.unsound ?? []).map { master in
            master.isGone == true
                ? Line(
                    "  WARNING: \(master.node) is dead, too, and no member of etcd: \(master.reasons.joined(separator: "; ")). Replace it next, and keep its disk away from this network.",
                    .warning)
                : Line(
                    "  WARNING: \(master.node) is not whole, and left as it is: \(master.reasons.joined(separator: "; ")). etcd keeps its quorum without it; bring it back, or replace it next.",
                    .warning)
        } + ((plan.remarks ?? []) + (plan.warnings ?? [])).map { Line("  WARNING: \($0)", .warning) }
    }

    /// What the short words in commands stand for.
    private var legend: [Line] {
        let distribution = inventory.cluster.distribution
        let kubectl = Kubectl.words(
            distribution, apiServer: "\(IPAddress.inURL(plan.primary.address)):\(inventory.cluster.apiPort)")
        let etcdctl = Etcdctl.words(node: plan.primary.node, version: plan.kubernetes, distribution)
        let takesUID =
            Kubectl.deletion(.init(.node, name: "", uid: ""), version: plan.kubectlVersion, force: false).input != nil
        return [
            Line("Commands stand as HOST: COMMAND; RUN is the run's name, kept by 'masterswap runs'. In them"),
            Line("  kubectl is: \(ShellQuoting.join(kubectl))"),
        ] + (distribution.hasEtcdctl ? [Line("  etcdctl is: kubectl \(ShellQuoting.join(etcdctl))")] : []) + [
            Line(
                "  delete \(takesUID ? "--raw is given the planned UID" : "follows a comparison of the UID with the planned one"), so that a successor of the same name is left alone"
            )
        ]
    }

    private func lines(of step: any Step) -> [Line] {
        // Where it is made.
        let promotes = plan.kind.ocbootPromotes ? step is JoinStep : step is PromoteStep
        var lines = Self.head(of: step, promotion: promotes ? plan.manifestDiff : nil)
        if step is JoinStep, let configuration = plan.ocboot?.configuration {
            lines.append(Line("     its configuration, without the password:"))
            lines += configuration.split(separator: "\n").map { Line("       \($0)") }
        }
        lines += step.commands(inventory).map { Line("     $ \($0)", .command) }
        return lines
    }

    /// Its reason, its effects, and the edit of keepalived's manifest that it makes.
    static func head(of step: any Step, promotion diff: [String]?) -> [Line] {
        var lines = [Line("     \(step.reason)")]
        lines += step.effects.map { effect in
            let kind: Line.Kind =
                switch effect.kind {
                case .makes: .made
                case .changes: .changed
                case .destroys: .destroyed
                }
            return Line("     \(effect)", kind)
        }
        if let diff {
            lines += diff.map { line in
                let isHeader = line.hasPrefix("---") || line.hasPrefix("+++")
                let kind: Line.Kind =
                    isHeader ? .plain : line.hasPrefix("+") ? .made : line.hasPrefix("-") ? .destroyed : .plain
                return Line("       \(line)", kind)
            }
        }
        return lines
    }

    private func indented(_ lines: [Line]) -> [Line] { lines.map { Line("     \($0.text)", $0.kind) } }

    // MARK: Right before the question

    /// What is destroyed, what becomes of the data, and the time: a few lines, for whoever has not read the rest.
    public var summary: [Line] {
        warnings + [Line("To be destroyed: \(destroyed)", .destroyed)] + data + kept + [Line(time)]
    }

    private var kept: [Line] {
        guard let kept = plan.keptVolumes else { return [] }
        return [Line("Left as they are: \(kept.map { "\($0.volume.name) (\($0.reason))" }.joined(separator: ", "))")]
    }

    private var destroyed: String {
        func count(_ number: Int, _ noun: String) -> [String] {
            number == 0 ? [] : ["\(number) \(noun)\(number == 1 ? "" : "s")"]
        }
        let parts =
            ["node \(plan.dead.node)"] + (plan.member.map { ["etcd member \($0.id)"] } ?? [])
            + count(plan.rebuilds.flatMap(\.claims).count, "claim") + count(plan.volumes.count, "volume")
            + count(plan.rebuilds.filter { $0.kind == .deployment }.count, "deployment")
            + (plan.fences == true
                ? [
                    plan.fenceCommand == nil
                        ? "the containers on \(plan.dead.host), which is fenced"
                        : "what runs on \(plan.dead.host), whose power is cut"
                ] : [])
            + (plan.failedJoin.map { _ in ["what a failed join left on \(plan.replacement.host) and in the cluster"] }
                ?? [])
            + plan.lostPods.map { "pod \($0.reference), which nothing makes again" }
        return parts.joined(separator: ", ")
    }

    private var data: [Line] {
        plan.rebuilds.map { rebuild in
            let count = rebuild.claims.count
            let what = "\(rebuild.reference) (\(rebuild.data.rawValue), \(count) claim\(count == 1 ? "" : "s")):"
            if let why = plan.reasonToPassOver(rebuild.id) ?? plan.reasonToPassOver(rebuild.healID) {
                return Line("\(what) passed over, in whole or its heal: \(why)", .warning)
            }
            if rebuild.isDataLost { return Line("\(what) ITS DATA IS LOST, as agreed to", .warning) }
            if rebuild.data == .disposable { return Line("\(what) begins empty, which the inventory allows") }
            guard let redundancy = rebuild.redundancy else { return Line("\(what) healed from the other drives") }
            return Line(
                "\(what) survives: \(redundancy.lost) of \(redundancy.replicas) drives are gone, and its redundancy tolerates \(redundancy.mayBeLost); healthy elsewhere: \(redundancy.healthy), from which the new ones heal"
            )
        }
    }

    // MARK: Time

    /// Seconds.
    public var estimate: Int { steps.reduce(0) { $0 + $1.estimate } }

    private var time: String {
        "An estimate: \(Self.duration(estimate)), as measured on the lab. ocboot, which there installs nothing, and MinIO's healing take as long as your hosts and your data need."
    }

    static func duration(_ seconds: Int) -> String {
        seconds < 60 ? "\(seconds) s" : "\(seconds / 60) min \(seconds % 60) s"
    }
}

/// A plan for programs: the plan itself, and what `PlanText` tells a person beside it.
public struct PlanDocument: Encodable, Sendable {
    struct Step: Encodable {
        var id: String
        var title: String
        var reason: String
        /// `+ ~ -`, a space, what.
        var effects: [String]
        var commands: [String]
        /// Seconds.
        var estimate: Int
    }

    private enum CodingKeys: CodingKey {
        case steps, estimate
    }

    let plan: Plan
    let inventory: Inventory

    public init(_ plan: Plan, _ inventory: Inventory) {
        self.plan = plan
        self.inventory = inventory
    }

    public func encode(to encoder: any Encoder) throws {
        try plan.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        let steps = ReplacementSteps.make(plan).map { step in
            Step(
                id: step.id, title: step.title, reason: step.reason, effects: step.effects.map(\.description),
                commands: step.commands(inventory), estimate: step.estimate)
        }
        try container.encode(steps, forKey: .steps)
        try container.encode(PlanText(plan, inventory).estimate, forKey: .estimate)
    }
}
