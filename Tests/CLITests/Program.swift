import Foundation
import TestSupport
import Testing

@testable import SSH

/// The program that was built together with these tests: the optimised one where they are.
enum Program {
    static let path: String = {
        #if os(Linux)
            let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        #else
            let own = Bundle.allBundles.map(\.bundlePath).first { $0.hasSuffix(".xctest") } ?? ""
        #endif
        return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("masterswap").path
    }()

    struct Result: Equatable {
        var status: Int32
        var output: String
        var errors: String
    }

    /// Runs it to its end, without a terminal.
    /// - Parameter environment: all of it.
    static func run(_ arguments: [String], in folder: String? = nil, environment: [String: String] = [:]) throws
        -> Result
    {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = environment
        if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
        // Files, because two pipes would have to be read at once.
        let scratch = try Scratch()
        let files = try ["output", "errors"].map { name in
            let path = "\(scratch.path)/\(name)"
            _ = FileManager.default.createFile(atPath: path, contents: nil)
            return try FileHandle(forUpdating: URL(fileURLWithPath: path))
        }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = files[0]
        process.standardError = files[1]
        try process.run()
        process.waitUntilExit()
        let texts = try files.map { file in
            try file.seek(toOffset: 0)
            return String(decoding: try file.readToEnd() ?? Data(), as: UTF8.self)
        }
        return Result(status: process.terminationStatus, output: texts[0], errors: texts[1])
    }
}

struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// A folder that goes with the test.
final class Scratch: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "masterswap-test-" + UUID().uuidString
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    @discardableResult
    func write(_ text: String, to name: String, mode: Int = 0o644) throws -> String {
        let file = "\(path)/\(name)"
        try FileManager.default.createDirectory(
            atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
        return file
    }
}

/// Runs a program of the system to its end.
@discardableResult
func tool(_ path: String, _ arguments: [String], input: String = "") throws -> String {
    let (status, output) = try LocalProcess.output(
        of: path, arguments, input: Data(input.utf8))
    guard status == 0 else { throw Failure("\(path) \(arguments.joined(separator: " ")) ended with \(status)") }
    return String(decoding: output, as: UTF8.self)
}

/// Tests that wait in system calls run on threads of their own: the others need those of the cooperative pool, which are few.
struct BlockingTrait: SuiteTrait, TestTrait, TestScoping {
    private final class Threads: TaskExecutor {
        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            Thread.detachNewThread { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        }
    }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(Threads()) { try await function() }
    }
}

extension Trait where Self == BlockingTrait {
    static var blocking: Self { Self() }
}
