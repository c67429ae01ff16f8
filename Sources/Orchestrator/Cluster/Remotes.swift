public import Inventories
public import SSH

/// The hosts of an inventory as ``Remote``s.
public struct Remotes: Sendable {
    private let make: @Sendable (Inventory.Host) throws -> any Remote

    /// - Parameter make: gives the same remote for the same host each time, or one that shares its connection.
    public init(_ make: @escaping @Sendable (Inventory.Host) throws -> any Remote) {
        self.make = make
    }

    public subscript(host: Inventory.Host) -> any Remote {
        get throws { try make(host) }
    }
}
