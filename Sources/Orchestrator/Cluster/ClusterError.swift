/// A fault of the cluster or of a command that was to change it: where, doing what, why, and what to do next.
public struct ClusterError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Code: String, Sendable, Hashable, CaseIterable, Codable {
        /// A remote command ended with a non-zero status.
        case commandFailed
        /// A command's output is not what it should be: cut off, of another shape, empty.
        case badOutput
        /// The object is not there, or is another one by now.
        case changed
        /// A condition did not come true in time.
        case waitTimedOut
        /// No master answers.
        case noMaster
        /// A secret's source gave nothing.
        case secretMissing
        /// This machine's own disk or files.
        case localFile
    }

    public var code: Code
    public var host: String
    public var operation: String
    public var cause: String
    public var advice: String
    /// The API server's verdict, where kubectl had one: `NotFound`, `Conflict`, … (metav1.StatusReason).
    public var serverReason: String?

    public init(_ code: Code, host: String, operation: String, cause: String, advice: String) {
        self.code = code
        self.host = host
        self.operation = operation
        self.cause = cause
        self.advice = advice
    }

    /// Without what to do next.
    public var message: String { "\(host): \(operation): \(cause)" }
    public var description: String { "\(message); \(advice)" }
}
