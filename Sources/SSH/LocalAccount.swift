import Foundation

/// A user of this machine, from the password database, which OpenSSH uses too, whatever `HOME` and `USER` say.
struct LocalAccount {
    let name: String
    let home: String

    /// The user that this process runs as.
    static let current: LocalAccount = {
        find { getpwuid_r(getuid(), $0, $1, $2, $3) } ?? LocalAccount(name: NSUserName(), home: homeFolder)
    }()

    static func named(_ name: String) -> LocalAccount? {
        find { getpwnam_r(name, $0, $1, $2, $3) }
    }

    private static func find(
        _ look: (
            UnsafeMutablePointer<passwd>, UnsafeMutablePointer<CChar>, Int,
            UnsafeMutablePointer<UnsafeMutablePointer<passwd>?>
        ) -> Int32
    ) -> LocalAccount? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var strings = [CChar](repeating: 0, count: 16 << 10)
        guard look(&entry, &strings, strings.count, &found) == 0, found != nil else { return nil }
        return LocalAccount(name: String(cString: entry.pw_name), home: String(cString: entry.pw_dir))
    }

    // MARK: Paths

    /// `HOME`, as a shell expands `~`, or the folder in the password database where it is not set.
    private static var homeFolder: String {
        ProcessInfo.processInfo.environment["HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil }
            ?? FileManager.default.homeDirectoryForCurrentUser.path
    }

    /// Expands `~`, `~/…` and `~user/…`, as ssh does.
    static func expand(path: String) -> String {
        guard path.hasPrefix("~") else { return path }
        let end = path.firstIndex(of: "/") ?? path.endIndex
        let name = path[..<end].dropFirst()
        guard let folder = name.isEmpty ? homeFolder : named(String(name))?.home else { return path }
        return folder + path[end...]
    }
}
