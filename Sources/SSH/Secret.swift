/// A value that is never printed: a password or a passphrase.
///
/// `description` and reflection give a mask, so that interpolating one by mistake leaks nothing.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let value: String

    /// Takes a secret over; it is shown as dots wherever it is printed.
    public init(_ value: String) {
        self.value = value
    }

    /// The one way to the value, named so that a reviewer sees where it is used.
    public func reveal() -> String { value }

    public var description: String { "••••" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
