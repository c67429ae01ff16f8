import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// The document; the compiler sees to it that no case is left out.
enum ErrorIndex {
    static func markdown(_ sites: [MessageSite]) -> String {
        var text = """
            # What each error means, and what to do

            Made from the sources by a test (`MASTERSWAP_RECORD=1 swift test --filter ErrorIndex`); an ellipsis stands for what is known only
            when it happens. An error reads

            ```
            HOST: WHAT WAS BEING DONE: CAUSE; WHAT TO DO NEXT
            ```

            A refusal names its rule in the host's place, a mistake in an inventory the file and the line. `-v` and
            `--log-file FILE` show what hosts were asked; `masterswap report` tells what a run did before it failed.

            ## By exit status

            | Exit status | What it comes from | Next |
            | --- | --- | --- |

            """
        for status in Execution.ExitStatus.allCases { text += "| \(status.rawValue) | \(explain(status)) |\n" }
        text += "\n## A host could not be reached, trusted or spoken to\n"
        for code in SSHError.Code.allCases {
            text += section(code.rawValue, meaning(code), "Next, where nothing better is known: \(code.advice).")
            text += table(
                sites.filter { ($0.kind == .ssh || $0.kind == .connection) && $0.code == code.rawValue },
                ["operation", "cause", "advice"])
        }
        text += "\n## The cluster, a remote command, or this machine's own files\n"
        for code in ClusterError.Code.allCases {
            text += section(code.rawValue, meaning(code), nil)
            text += table(
                sites.filter { $0.kind == .cluster && $0.code == code.rawValue }, ["operation", "cause", "advice"])
        }
        text += "\n## Refusals: nothing was changed\n"
        for rule in SafetyRules.listed {
            text += section(rule.id, "It prevents \(rule.prevents).", nil)
            text += table(
                sites.filter { $0.kind == .refusal && $0.place.contains("/Rules/\(rule).swift") }, ["reason", "advice"])
        }
        text += section("request", "What was asked for cannot be planned: the rule is named in the message.", nil)
        text += table(sites.filter { $0.kind == .refusal && !$0.place.contains("/Rules/") }, ["reason", "advice"])
        text += "\n## Mistakes in the inventory, or in a file to be imported\n"
        text += table(sites.filter { $0.kind == .inventory || $0.kind == .problem }, ["mistake", "advice"])
        text +=
            "\n## Usage\n\nThe words after the colon are followed by how the verb is called; `--help` has examples.\n"
        text += table(sites.filter { $0.kind == .usage }, ["mistake"])
        return text
    }

    private static func section(_ name: String, _ meaning: String, _ next: String?) -> String {
        "\n### `\(name)`\n\n\(meaning)\(next.map { " \($0)" } ?? "")\n"
    }

    private static func table(_ sites: [MessageSite], _ columns: [String]) -> String {
        var rows: [String] = []
        for site in sites {
            let row = "| " + columns.map { cell(site.parts[$0] ?? "…") }.joined(separator: " | ") + " |"
            // Helpers that only pass words on say nothing of their own.
            let isEmpty = columns.allSatisfy { (site.parts[$0] ?? "…") == "…" }
            if !isEmpty, !rows.contains(row) { rows.append(row) }
        }
        guard !rows.isEmpty else { return "" }
        let titles = columns.map {
            ["advice": "Next", "cause": "Cause", "operation": "While", "reason": "Reason", "mistake": "Message"][$0]!
        }
        return "\n| \(titles.joined(separator: " | ")) |\n|\(String(repeating: " --- |", count: columns.count))\n"
            + rows.joined(separator: "\n") + "\n"
    }

    private static func cell(_ text: String) -> String {
        text.replacing("|", with: "\\|").replacing("<", with: "&lt;").replacing("\n", with: " ")
    }

    private static func explain(_ status: Execution.ExitStatus) -> String {
        switch status {
        case .done: "done and verified | nothing"
        case .programFault:
            "a fault of the program | `masterswap check` shows where things stand; report it, with a recording (`--record FILE`)"
        case .checkOrStepFailed:
            "a check or a step failed | read the error; fix it, then `masterswap resume` if a run was under way"
        case .refused: "a safety rule, below | do what the refusal says, then the same command again"
        case .unreachableOrUntrusted:
            "a needed host could not be reached or trusted | see the first table below; `masterswap check`"
        case .cancelledByOperator:
            "the question was not answered with the node's name | nothing was changed; start it again"
        case .locked: "another run holds the lock | wait for its end, or, if it is surely gone, `masterswap unlock`"
        case .usage: "the command line | `masterswap VERB --help`"
        case .inventoryWrong: "the inventory | correct the lines that are named; `masterswap inventory check`"
        case .interrupted: "Ctrl-C, or SIGTERM | `masterswap resume` goes on with a run"
        }
    }

    private static func meaning(_ code: SSHError.Code) -> String {
        switch code {
        case .invalidEndpoint: "The host's entry cannot be used as it is written; nothing was dialled."
        case .unresolved: "The name did not resolve to an address."
        case .unreachable: "No TCP connection: refused, no route, or no answer within `--connect-timeout`."
        case .jumpFailed:
            "The jump host is not there, or does not open a connection to the host: nothing is known of the host itself."
        case .handshakeFailed: "Something listens there, but the SSH handshake failed or did not end in time."
        case .hostKeyUnknown: "The host is in no known_hosts file. Nothing was sent that a stranger could use."
        case .hostKeyMismatch: "The host shows another key than the one on file, or one that is revoked."
        case .authenticationFailed: "The host takes none of the keys."
        case .noShell:
            "The login works, and something else than a shell answers: a forced command, a menu, nologin(8), an expired password. Nothing ran."
        case .timedOut: "The deadline passed; the error says whether the remote process was ended."
        case .cancelled: "It was called off from here."
        case .connectionLost: "The connection was lost before the command was sent: nothing ran."
        case .outcomeUnknown: "The command was sent, and neither its exit status nor a signal came back."
        case .remoteFile: "The host refused to write or rename a file."
        case .fileChanged: "The file is not what it was when the decision to replace it was made."
        case .libraryFault:
            "A fault in libssh2 or in the way that it is used, or this machine is short of descriptors, threads or memory."
        }
    }

    private static func meaning(_ code: ClusterError.Code) -> String {
        switch code {
        case .commandFailed: "A remote command ended with a non-zero status."
        case .badOutput:
            "A command's output is not what it should be: cut off, of another shape, empty. Nothing is done on a guess."
        case .changed: "Something is not there any more, or is another one by now."
        case .waitTimedOut: "A condition did not come true within its limit."
        case .noMaster: "No master answers, or the host is none."
        case .secretMissing: "The place that the inventory names for a secret gave nothing."
        case .localFile: "This machine's own disk or files."
        }
    }
}

/// A place in the sources that makes an error, read as text: literals stay, what is computed is an ellipsis.
struct MessageSite {
    enum Kind: String, CaseIterable {
        case ssh = "SSHError("
        /// The helpers of the SSH library that fill in the host.
        case connection = "failure("
        case cluster = "ClusterError("
        case refusal = "efusal("
        case inventory = "problems.add("
        case problem = ".init("
        case usage = "ValidationError("
    }

    var kind: Kind
    /// `Sources/…/File.swift:LINE`.
    var place: String
    var code: String?
    /// By the label: operation, cause, advice; for the others reason or mistake, and advice.
    var parts: [String: String]

    /// What such an error must have. An SSH error without advice takes its code's.
    var required: [(String, String?)] {
        switch kind {
        // With a code that is computed it takes that one's advice, too.
        case .ssh, .connection:
            (code == nil ? ["operation", "cause"] : ["operation", "cause", "advice"]).map { ($0, parts[$0]) }
        case .cluster: ["host", "operation", "cause", "advice"].map { ($0, parts[$0]) }
        case .refusal: ["reason", "advice"].map { ($0, parts[$0]) }
        case .inventory, .problem: ["mistake", "advice"].map { ($0, parts[$0]) }
        case .usage: [("mistake", parts["mistake"])]
        }
    }

    static func all() throws -> [MessageSite] {
        let sources = DocumentationTests.root.appendingPathComponent("Sources")
        let paths = try FileManager.default.subpathsOfDirectory(atPath: sources.path).filter { $0.hasSuffix(".swift") }
            .sorted()
        let files = try paths.map { path in
            (
                path: "Sources/" + path,
                text: try String(contentsOf: sources.appendingPathComponent(path), encoding: .utf8)
            )
        }
        return files.flatMap { file in sites(in: Array(file.text), file.path, constants(file.text)) }
    }

    private static func sites(in text: [Character], _ path: String, _ constants: [String: String]) -> [MessageSite] {
        var sites: [MessageSite] = []
        var line = 1
        let names = Kind.allCases.map { (kind: $0, name: Array($0.rawValue)) }
        for start in text.indices {
            if text[start].isNewline { line += 1 }
            for (kind, name) in names where text[start] == name[0] {
                guard text[start...].starts(with: name), isCall(text, start, kind) else { continue }
                let arguments = SwiftText.arguments(text, from: start + name.count)
                if let site = site(kind, "\(path):\(line)", arguments, constants) { sites.append(site) }
            }
        }
        return sites
    }

    /// Not the end of another name, no declaration, no comment.
    private static func isCall(_ text: [Character], _ start: Int, _ kind: Kind) -> Bool {
        let before = start > 0 ? text[start - 1] : " "
        if kind == .refusal {
            guard before == "r" || before == "R" else { return false }
        } else if before.isLetter || before.isNumber || before == "." {
            return false
        }
        let line =
            text[..<start].lastIndex(where: \.isNewline).map { String(text[text.index(after: $0)..<start]) } ?? ""
        return !line.contains("//") && !line.contains("func ") && !line.contains("import ")
    }

    private static func site(
        _ kind: Kind, _ place: String, _ arguments: [(label: String?, text: String)], _ constants: [String: String]
    ) -> MessageSite? {
        var parts: [String: String] = [:]
        var unnamed: [String] = []
        for (label, text) in arguments {
            if let label { parts[label] = SwiftText.shown(text, constants) } else { unnamed.append(text) }
        }
        var site = MessageSite(kind: kind, place: place, parts: parts)
        switch kind {
        case .ssh, .cluster:
            guard let code = unnamed.first else { return nil }
            site.code = code.hasPrefix(".") ? String(code.dropFirst()) : nil
            if kind == .ssh, let name = site.code, site.parts["advice"] == nil {
                site.parts["advice"] = SSHError.Code(rawValue: name)?.advice
            }
        case .connection:
            guard let code = unnamed.first, code.hasPrefix("."), [2, 4].contains(unnamed.count) else { return nil }
            site.code = String(code.dropFirst())
            site.parts["operation"] = unnamed.count == 4 ? SwiftText.shown(unnamed[1], constants) : "…"
            site.parts["cause"] = SwiftText.shown(unnamed[unnamed.count == 4 ? 2 : 1], constants)
            let advice = unnamed.count == 4 && unnamed[3] != "nil" ? SwiftText.shown(unnamed[3], constants) : nil
            site.parts["advice"] = advice ?? SSHError.Code(rawValue: String(code.dropFirst()))?.advice
        case .refusal:
            // Of a host key: `refusal(.code, cause, advice)`.
            if unnamed.count == 3, unnamed[0].hasPrefix(".") {
                site.kind = .ssh
                site.code = String(unnamed[0].dropFirst())
                site.parts["operation"] = "verify the host key"
                site.parts["cause"] = SwiftText.shown(unnamed[1], constants)
                site.parts["advice"] = SwiftText.shown(unnamed[2], constants)
                return site
            }
            // `Refusal(id, reason, …)` and `refusal(reason, …)`.
            guard let reason = unnamed.last, site.parts["advice"] != nil else { return nil }
            site.parts["reason"] = SwiftText.shown(reason, constants)
        case .inventory:
            guard unnamed.count == 2 else { return nil }
            site.parts["mistake"] = SwiftText.shown(unnamed[1], constants)
            site.parts["advice"] = site.parts["fix"]
        case .problem:
            guard arguments.first?.label == "line", let mistake = unnamed.first else { return nil }
            site.parts["mistake"] = SwiftText.shown(mistake, constants)
            site.parts["advice"] = site.parts["fix"]
        case .usage:
            guard let mistake = unnamed.first else { return nil }
            site.parts["mistake"] = SwiftText.shown(mistake, constants)
        }
        return site
    }

    /// `let name = "text"` and `var name: String { "text" }` in a file; a name that stands for two texts stands for none.
    private static func constants(_ text: String) -> [String: String] {
        var found: [String: Set<String>] = [:]
        for match in text.matches(
            of: /(?:let (?=.+=)|var (?=\w+: String {))(\w+)(?:: String)? [={]\s+("(?:[^"\\\n]|\\.)*")(?: })?\s*\n/)
        {
            found[String(match.1), default: []].insert(String(match.2))
        }
        return found.compactMapValues { $0.count == 1 ? $0.first : nil }
    }
}
