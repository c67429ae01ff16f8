import ArgumentParser
import Cluster
import Drafting
import Execution
import Foundation
import Inventories
import Planning
import Reporting
import SSH

/// What the verbs take that only look.
struct RecordingOptions: ParsableArguments {
    @Option(
        name: .customLong("record"),
        help: ArgumentHelp(
            "Write every question to every host and its answer to a new file, without secrets, for a bug report.",
            valueName: "file"))
    var recordFile: String?

    @Option(
        name: .customLong("replay"),
        help: ArgumentHelp(
            "Take all answers from a recording; needs no network, no key and no inventory.", valueName: "file"))
    var replayFile: String?

    func validate() throws {
        if recordFile != nil, replayFile != nil { throw ValidationError("--record and --replay exclude each other") }
    }
}

/// A verb that can be recorded and replayed.
struct RecordedVerb: Sendable {
    var options: RecordingOptions
    var name: String
    /// As a person would type them, without options that say where files are.
    var arguments: [String] = []
}

/// Where a session's answers come from.
enum AnswerSource: Sendable {
    case hosts
    case recordedHosts(Recorder)
    case recording(Replay)

    /// `nil` where time goes on.
    var now: Date? {
        switch self {
        case .hosts: nil
        case .recordedHosts(let recorder): recorder.now
        case .recording(let replay): replay.now
        }
    }

    var isHosts: Bool { if case .hosts = self { true } else { false } }
}

extension Inventory {
    /// Secrets that this process knows without running a command for them, so that a recording can be kept free of them.
    var secretsAtHand: [Secret] {
        switch ocboot?.database.password {
        case .environment, .file: (try? ocboot?.database.password.read()).map { [$0] } ?? []
        case .command, nil: []
        }
    }
}
