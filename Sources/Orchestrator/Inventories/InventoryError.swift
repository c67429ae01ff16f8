/// Everything that is wrong with an inventory, each with its place: an operator fixes them in one go.
public struct InventoryError: Error, Sendable, Hashable, CustomStringConvertible {
    public struct Problem: Sendable, Hashable, Comparable, CustomStringConvertible {
        /// Counted from 1; 0 where the whole file is meant.
        public var line: Int
        public var message: String
        /// What to write instead, or to do.
        public var advice: String

        public init(line: Int, _ message: String, fix advice: String) {
            self.line = line
            self.message = message
            self.advice = advice
        }

        public var description: String { "\(message); \(advice)" }

        public static func < (left: Problem, right: Problem) -> Bool { left.line < right.line }
    }

    public var file: String
    public var problems: [Problem]

    public init(file: String, problems: [Problem]) {
        self.file = file
        self.problems = problems.sorted()
    }

    public var description: String {
        problems.map { $0.line > 0 ? "\(file):\($0.line): \($0)" : "\(file): \($0)" }
            .joined(separator: "\n")
    }
}
