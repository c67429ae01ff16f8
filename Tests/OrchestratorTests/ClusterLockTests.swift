import Foundation
import SSH
import Synchronization
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

@Suite struct ClusterLockTests {
    /// The Lease as the API server keeps it: a replacement of another version than the present one is a conflict.
    final class LeaseServer: Sendable {
        let lease = Mutex<ClusterLock.Lease?>(nil)
        /// Called with each write, before it is looked at.
        let beforeWrite = Mutex<(@Sendable (LeaseServer) -> Void)?>(nil)

        func answer(_ command: Command) throws -> CommandResult {
            if command.display.hasPrefix("kubectl get lease") {
                guard let lease = lease.withLock({ $0 }) else {
                    return KubectlTests.failure("Error from server (NotFound): leases not found")
                }
                return CommandResult(outcome: .exited(0), standardOutput: try JSONEncoder().encode(lease))
            }
            let hook = beforeWrite.withLock { hook in
                defer { hook = nil }
                return hook
            }
            hook?(self)
            let next = try JSONDecoder().decode(ClusterLock.Lease.self, from: command.input ?? Data())
            return lease.withLock { lease in
                guard next.metadata.resourceVersion == lease?.metadata.resourceVersion else {
                    return KubectlTests.failure("Error from server (Conflict): the object has been modified")
                }
                store(next, in: &lease)
                return KubectlTests.output("")
            }
        }

        private func store(_ next: ClusterLock.Lease, in lease: inout ClusterLock.Lease?) {
            var next = next
            next.metadata.resourceVersion = String((Int(lease?.metadata.resourceVersion ?? "0") ?? 0) + 1)
            lease = next
        }

        /// What a renewal that is on its way does.
        func renew() {
            lease.withLock { lease in
                guard let now = lease else { return }
                store(now, in: &lease)
            }
        }
    }

    @Test func aReleaseThatMeetsARenewalStillReleases() async throws {
        let server = LeaseServer()
        let remote = KubectlTests.ScriptedRemote("a") { try server.answer($0) }
        let kubectl = Kubectl([.init(remote: remote)], distribution: .kubeadm)
        let lock = try await ClusterLock.acquire(kubectl) { _ in }
        try await lock.assertHeld()
        server.beforeWrite.withLock { $0 = { $0.renew() } }
        await lock.release()
        #expect(try await ClusterLock.holder(kubectl) == nil)
        await #expect(throws: Locked.self) { try await lock.assertHeld() }
    }

    @Test func anotherNamespacesProcessIdSaysNothing() throws {
        let own = ClusterLock.Owner.current()
        #expect(ClusterLock.Owner(identity: own.identity) == own)
        var gone = own
        gone.process = Int32.max
        #expect(gone.isGoneFromHere, "no process has that number")
        guard let dot = own.machine.lastIndex(of: ".") else { return }
        gone.machine = own.machine[...dot] + "1"
        #expect(!gone.isGoneFromHere, "it may live in a container of the same name")
    }
}
