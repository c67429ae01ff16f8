import Yams

/// libyaml and Yams recurse on nesting; a file of a hundred thousand brackets must not end in a crash.
enum YAMLGuard {
    static let depthLimit = 64

    /// The line on which flow or block nesting passes the limit.
    static func tooDeep(_ text: String) -> Int? {
        var depth = 0
        for (index, line) in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .enumerated()
        {
            var leading = 0
            var isLeading = true
            var markers = 0
            for byte in line {
                switch byte {
                case UInt8(ascii: "["), UInt8(ascii: "{"):
                    depth += 1
                    isLeading = false
                case UInt8(ascii: "]"), UInt8(ascii: "}"):
                    depth = max(0, depth - 1)
                    isLeading = false
                case UInt8(ascii: " "):
                    if isLeading { leading += 1 }
                case UInt8(ascii: "-"), UInt8(ascii: "?"), UInt8(ascii: ":"):
                    // "- - - -" opens a sequence a dash.
                    if isLeading { markers += 1 }
                default:
                    isLeading = false
                }
            }
            if depth > depthLimit || leading > 4 * depthLimit || markers > depthLimit { return index + 1 }
        }
        return nil
    }
}

extension YamlError {
    private static let whereToLook = "look at indentation, brackets and quotes there and in the line before"

    var asProblem: InventoryError.Problem {
        switch self {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return .init(line: mark.line, "not YAML: \(problem)", fix: Self.whereToLook)
        case .duplicatedKeysInMapping(let duplicates, let context):
            let names = duplicates.map { "'\($0)'" }.joined(separator: ", ")
            return .init(line: context.mark.line, "written twice: \(names)", fix: "take one out")
        case .reader(let problem, _, _, _):
            return .init(line: 0, "not YAML: \(problem)", fix: Self.whereToLook)
        default:
            return .init(line: 0, "not YAML: \(self)", fix: Self.whereToLook)
        }
    }
}
