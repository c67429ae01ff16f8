import Foundation

/// Why a file of this machine cannot be read or written, in the system's words: Foundation's errors often have a number alone.
public enum FileProblem {
    public static func reading(_ path: String) -> String {
        if path.isEmpty { return "its name is empty" }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return words() }
        defer { close(descriptor) }
        var byte: UInt8 = 0
        return read(descriptor, &byte, 1) < 0 ? words() : "it cannot be read"
    }

    /// Of a file that is written beside its place and renamed, so that the folder is what has to be writable.
    public static func writing(_ path: String) -> String {
        if path.isEmpty { return "its name is empty" }
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
            return words(EISDIR)
        }
        let folder = (path as NSString).deletingLastPathComponent
        return access(folder.isEmpty ? "." : folder, W_OK | X_OK) == 0 ? "it cannot be written" : words()
    }

    private static func words(_ number: Int32 = errno) -> String {
        String(cString: strerror(number))
    }
}
