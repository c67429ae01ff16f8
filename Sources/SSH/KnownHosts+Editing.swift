import Foundation

// Changes to a known_hosts file.
//
// They are made in place and not by a rename, so that the file keeps its owner, mode and links, may be a mount of its own, as in a
// container, and does not lose a line that another program appends at the same time.
extension KnownHosts {
    /// Adds a line by one write, as OpenSSH does, so that readers see all of it or nothing.
    static func append(_ name: String, _ key: HostKey, isHashed: Bool, to file: String) throws {
        let path = LocalAccount.expand(path: file)
        let folder = (path as NSString).deletingLastPathComponent
        if !folder.isEmpty, !FileManager.default.fileExists(atPath: folder) {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        let file = Descriptor(owning: open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0o600))
        guard file.number >= 0 else { throw SystemError("open \(path)") }
        let size = lseek(file.number, 0, SEEK_END)
        var last = newline
        if size > 0 { pread(file.number, &last, 1, size - 1) }
        let written = isHashed ? hashed(name) : name
        let text = "\(last == newline ? "" : "\n")\(written) \(key.type) \(key.blob.base64EncodedString())\n"
        let bytes = Array(text.utf8)
        let count = write(file.number, bytes, bytes.count)
        guard count == bytes.count else {
            let error = count < 0 ? SystemError("write \(path)") : SystemError("write \(path)", code: ENOSPC)
            // Half a line is removed, unless another one follows it already.
            if count > 0, lseek(file.number, 0, SEEK_END) == size + off_t(count) { ftruncate(file.number, size) }
            throw error
        }
        guard fsync(file.number) == 0 || errno == EINVAL || errno == EROFS else { throw SystemError("write \(path)") }
    }

    /// Removes a host's keys: its name from lines with several, whole lines otherwise. Revocations, authorities and lines that
    /// hold for it by a wildcard stay, and so does every byte of the other lines.
    /// - Parameters:
    ///   - key: the key whose line stays.
    ///   - isOurs: whether the file is the user's own. Another file is changed only where the user owns it.
    static func remove(_ name: String, except key: HostKey, from file: String, isOurs: Bool) throws {
        let path = LocalAccount.expand(path: file)
        let file = Descriptor(owning: open(path, O_RDWR | O_CLOEXEC))
        guard file.number >= 0 else { throw SystemError("open \(path)") }
        var status = stat()
        guard fstat(file.number, &status) == 0 else { throw SystemError("stat \(path)") }
        guard isOurs || status.st_uid == geteuid() else {
            throw Failure(description: "in a file that belongs to another user")
        }
        // Two runs that replace keys at the same time do so one after the other.
        flock(file.number, LOCK_EX)
        while true {
            let old = try contents(of: file.number, path)
            let new = without(name, except: key, old)
            guard new.count < old.count else { return }
            // Bytes move towards the beginning, each written where it belongs before the place that it came from is written to:
            // whatever interrupts this, no line is lost.
            let start = zip(old, new).prefix { $0 == $1 }.count
            try overwrite(file.number, Array(new[start...]), at: start, path)
            // A line that was appended meanwhile follows the old end and has to move too, so that all is done again.
            guard lseek(file.number, 0, SEEK_END) == off_t(old.count) else {
                try overwrite(file.number, Array(old[start...]), at: start, path)
                continue
            }
            guard ftruncate(file.number, off_t(new.count)) == 0 else { throw SystemError("truncate \(path)") }
            fsync(file.number)
            return
        }
    }

    private static func contents(of number: Int32, _ path: String) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = pread(number, &buffer, buffer.count, off_t(bytes.count))
            guard count >= 0 else { throw SystemError("read \(path)") }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
    }

    private static func overwrite(_ number: Int32, _ bytes: [UInt8], at start: Int, _ path: String) throws {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                pwrite(number, $0.baseAddress! + done, bytes.count - done, off_t(start + done))
            }
            guard count > 0 else { throw SystemError("write \(path)") }
            done += count
        }
    }

    private static let newline = UInt8(ascii: "\n")

    private static func without(_ name: String, except key: HostKey, _ contents: [UInt8]) -> [UInt8] {
        let lines = contents.split(separator: newline, omittingEmptySubsequences: false)
        return Array(lines.compactMap { without(name, except: key, $0) }.joined(separator: [newline]))
    }

    /// - Returns: what is left of a line; `nil` where nothing is.
    static func without(_ name: String, except key: HostKey, _ line: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard let entry = try? parse(line, file: "", number: 0), entry.marker == .none, entry.key != key else {
            return line
        }
        guard case .patterns = entry.names else { return entry.names.match(name) ? nil : line }
        let fields = line.split(maxSplits: 1) { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        let names = fields[0].split(separator: UInt8(ascii: ","))
        let kept = names.filter { String(decoding: $0, as: UTF8.self).lowercased() != name }
        if kept.count == names.count { return line }
        guard kept.contains(where: { $0.first != UInt8(ascii: "!") }) else { return nil }
        return (Array(kept.joined(separator: [UInt8(ascii: ",")])) + [UInt8(ascii: " ")] + fields[1])[...]
    }

    /// The name as `HashKnownHosts yes` writes it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
    private static func hashed(_ name: String) -> String {
        let salt = Data((0..<20).map { _ in UInt8.random(in: .min ... .max) })
        let digest = Names.digest(of: name, salt: salt)
        return "|1|\(salt.base64EncodedString())|\(digest.base64EncodedString())"
    }
}
