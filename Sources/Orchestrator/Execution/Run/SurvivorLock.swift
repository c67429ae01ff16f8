import Cluster
import Foundation
import SSH

/// The lock of a recovery: a file on the survivor, for the cluster itself can hold none. It is made by one command that fails where the
/// file is there, and touched again and again; by the host's own clock it is abandoned when it was not touched for a while. It is gone
/// when that host restarts.
actor SurvivorLock: RunLock {
    /// There, where nobody but root writes.
    static let usualPath = "/run/masterswap.lock"
    /// Seconds, as ``ClusterLock``'s.
    private static let duration = 30
    private static let renewInterval = Duration.seconds(8)

    private let remote: any Remote
    private let path: String
    private let owner = ClusterLock.Owner.current()
    private var renewal: Task<Void, Never>?

    private init(_ remote: any Remote, _ path: String) {
        self.remote = remote
        self.path = path
    }

    /// - Throws: ``Locked`` where another run holds it; `SSHError`; ``ClusterError``.
    static func acquire(on remote: any Remote, path: String = usualPath) async throws -> SurvivorLock {
        let lock = SurvivorLock(remote, path)
        try await lock.take()
        await lock.keep()
        return lock
    }

    /// Status 3: it is another's, whose name and age are printed.
    private func take() async throws {
        for _ in 1...3 {
            let script = #"""
                if (set -C; printf '%s\n' "$2" >"$1") 2>/dev/null; then exit 0; fi
                holder=$(cat "$1") || exit 1
                [ "$holder" != "$2" ] || exit 0
                echo "$holder $(($(date +%s) - $(stat -c %Y "$1")))"
                exit 3
                """#
            let result = try await run(script, "take the lock \(path)")
            if result.succeeded { return }
            let words = result.text.split(whereSeparator: \.isWhitespace).map(String.init)
            guard result.outcome == .exited(3), words.count == 2, let age = Int(words[1]) else {
                throw ClusterError(
                    .commandFailed, host: remote.name, operation: "take the lock \(path)",
                    cause: "\(result.outcome): \(result.errorText.lastLines(1))",
                    advice: "see that /run can be written there; then try again")
            }
            let holder = ClusterLock.Owner(identity: words[0])
            guard age > Self.duration || holder?.isGoneFromHere == true else {
                throw Locked(holder ?? owner, at: path, on: remote.name)
            }
            _ = try await run(
                #"[ "$(cat "$1" 2>/dev/null)" != "$3" ] || rm -f -- "$1""#, "remove an abandoned lock", words[0])
        }
        throw Locked(nil, at: path, on: remote.name)
    }

    private func keep() {
        renewal = Task { [weak self] in
            while !Task.isCancelled {
                try? await Task.sleep(for: Self.renewInterval)
                guard !Task.isCancelled, let self else { return }
                // What cannot be renewed for the moment shows at the next act.
                try? await self.assertHeld()
            }
        }
    }

    func assertHeld() async throws {
        let result = try await run(
            #"[ -e "$1" ] || exit 3; [ "$(cat "$1")" = "$2" ] && touch "$1""#, "renew the lock")
        // Others may have come and gone since: it is not taken again, and a resume looks at everything anew.
        guard result.outcome != .exited(3) else { throw Locked(goneAt: path, on: remote.name) }
        guard result.succeeded else { throw Locked(nil, at: path, on: remote.name) }
    }

    func assertNotTakenOver() async throws { try await assertHeld() }

    func release() async {
        renewal?.cancel()
        await renewal?.value
        _ = try? await run(#"[ "$(cat "$1")" != "$2" ] || rm -f -- "$1""#, "give the lock back")
    }

    private func run(_ script: String, _ label: String, _ more: String...) async throws -> CommandResult {
        try await remote.run(
            .script(script, [path, owner.identity] + more, timeout: .seconds(20), label: label))
    }
}
