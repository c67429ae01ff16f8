import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting

struct RecoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover",
        abstract: "Make the last master that lives a cluster of its own, where etcd has lost its majority.",
        discussion: """
            Two of three masters are dead: nothing can be read or changed. From the survivor's own data etcd is made a cluster of one \
            member; then 'masterswap replace' replaces the dead masters, one after the other. Refused unless all others are dead by \
            every sign, seen from here and from the survivor. Nothing is touched before the plan is shown and the names of the dead \
            masters are typed. A run that is cut off goes on with 'masterswap resume'.

            Where the survivor's data are not usable, --snapshot restores a snapshot of etcd, and what was written since it was taken is \
            lost: one of 'masterswap snapshot', one that an earlier run has saved, or another one that is here. The refusal names those \
            that this machine has. The survivor's own data are copied here before, and stay there beside the new ones.

            Examples:
              masterswap recover lzx-ocboot-ha-test-3 --show
              masterswap recover lzx-ocboot-ha-test-3
              masterswap recover lzx-ocboot-ha-test-3 --snapshot ~/.local/state/masterswap/snapshots/ha-test/20261122-030115
            """)

    @Argument(help: "The master that lives: an inventory name or an address.") var survivor: String
    @Option(
        help:
            "Seconds for which the dead masters are watched before anything is touched: machines that only restart are back by then."
    )
    var withoutQuorumFor: Int = RecoveryRequest.usualWithoutQuorumFor
    @Option(
        help: ArgumentHelp(
            "Restore etcd from this snapshot on this machine, where the survivor's own data are not usable.",
            valueName: "file"), completion: .file()) var snapshot: String?
    @Flag(help: "Show the plan, or why it is refused, and change nothing.") var show = false
    @Flag(name: .shortAndLong, help: "Do not ask; required where there is no terminal.") var yes = false
    @OptionGroup var wait: WaitOption
    @OptionGroup var options: HostOptions

    func validate() throws {
        guard (0...86400).contains(withoutQuorumFor) else {
            throw ValidationError("--without-quorum-for must be from 0 to 86400, not \(withoutQuorumFor)")
        }
    }

    func run() async throws {
        try await Session.run(options) { [survivor, withoutQuorumFor, snapshot, wait, show, yes] session in
            let terminal = session.terminal
            let snapshots = RecoverySnapshots(of: session.inventory.cluster.name)
            let request = RecoveryRequest(
                survivor: survivor, withoutQuorumFor: withoutQuorumFor,
                snapshot: try snapshot.map { try snapshots.snapshot(at: $0) }, known: snapshots.known)
            let state = try await session.observe()
            let recovery = session.recovery(wait, isDocument: show && terminal.isJSON)
            let seenAt = ContinuousClock.now
            let plan = try await recovery.plan(state, request, now: Date())
            if show, terminal.isJSON { return try terminal.printJSON(plan) }
            let text = RecoveryText(plan, session.inventory)
            text.lines.flatMap(terminal.lines).forEach(show ? terminal.print : terminal.progress)
            if show {
                return terminal.print("\nNothing was changed. To do it: masterswap recover \(plan.survivor.host)")
            }
            try await recovery.locked(on: plan.survivor.host) { lock in
                if !yes {
                    if terminal.canAsk {
                        ([PlanText.Line.blank] + text.summary).flatMap(terminal.lines).forEach(terminal.say)
                    }
                    try await Confirmation.ask(plan, terminal)
                }
                // What was seen before the question must still be so.
                if ContinuousClock.now - seenAt > .seconds(30) {
                    let now = try await recovery.plan(await session.observe(), request, now: Date())
                    try RecoveryPlanner.refuseIfOther(plan, now)
                }
                try await recovery.begin(plan, before: state, lock: lock)
            }
        }
    }
}

extension Confirmation {
    /// Each dead master's name, one after the other.
    static func ask(_ plan: RecoveryPlan, _ terminal: Terminal) async throws {
        for dead in plan.dead {
            try await ask(
                "Type the name of a master that is dead for good, \(dead.host), to go on: ", expecting: dead.host,
                terminal)
        }
    }
}

extension Session {
    /// - Parameters:
    ///   - plan: of the run that is resumed.
    ///   - isDocument: the plan is printed as one JSON document, and nothing before it.
    func recovery(_ wait: WaitOption, resuming plan: RecoveryPlan? = nil, isDocument: Bool = false) -> Recovery {
        let view = RunView(terminal, recovery: plan)
        return Recovery(
            inventory: inventory, remotes: remotes, store: RunStore(), limits: .init(wait: .seconds(wait.seconds)),
            emit: { if !isDocument { view.show($0) } })
    }
}
