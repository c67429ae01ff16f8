/// A value that is never printed: a password or a passphrase.
///
/// `description` and reflection give a mask, so that interpolating one by mistake leaks nothing.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let value: String

    /// Wraps a secret. Where it is printed, dots are shown.
    public init(_ value: String) {
        self.value = value
    }

    /// The only way to the value, named so that a reviewer sees where it is used.
    public func reveal() -> String { value }

    public var description: String { "••••" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
