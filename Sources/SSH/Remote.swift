public import Foundation

/// A host on which commands can be run. It is a protocol, so that tests can use a recorded host.
public protocol Remote: Sendable {
    /// The host's name in the inventory, which errors and events carry.
    var name: String { get }

    /// Runs a command to its end. A non-zero exit status is a result, not an error.
    /// - Throws: ``SSHError``; with ``SSHError/Code/outcomeUnknown`` the command may have run, or may be running still.
    func run(_ command: Command) async throws -> CommandResult

    /// Writes a file, by a temporary file beside it and a rename. Its folder must exist.
    /// - Parameter mode: the permission bits, for example `0o600`; they hold from the first byte on.
    /// - Throws: ``SSHError``, with ``SSHError/Code/remoteFile`` where the host refuses.
    func upload(_ contents: Data, to path: String, mode: UInt16) async throws

    /// Replaces the contents of an existing file at once: readers see the old file or the new one, never a part. Owner, group
    /// and mode stay. The temporary file's name starts with a dot, which the kubelet ignores in its manifest folder.
    /// - Parameter expected: the contents that the decision was made on; if the file holds others by now, nothing is changed
    ///   and ``SSHError/Code/fileChanged`` is thrown.
    func replaceFile(_ path: String, expected: Data, with contents: Data) async throws
}
