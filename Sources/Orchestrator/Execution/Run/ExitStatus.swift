import Cluster
import Inventories
import Planning
import SSH

/// The exit status is a contract: scripts branch on it.
public enum ExitStatus: Int32, Sendable, CaseIterable {
    case done = 0
    case programFault = 1
    case checkOrStepFailed = 2
    case refused = 3
    case unreachableOrUntrusted = 4
    case cancelledByOperator = 5
    case locked = 6
    case usage = 64
    case inventoryWrong = 65
    case interrupted = 130

    /// What an error that ends the program means for its caller.
    public init(_ error: any Error) {
        switch error {
        case is InventoryError: self = .inventoryWrong
        case let refused as Refused:
            self =
                !refused.refusals.isEmpty && refused.refusals.allSatisfy(\.isUnreachable)
                ? .unreachableOrUntrusted : .refused
        case let error as SSHError where error.code == .cancelled: self = .interrupted
        case let error as SSHError: self = error.isUnreachableOrUntrusted ? .unreachableOrUntrusted : .checkOrStepFailed
        case let error as ClusterError where error.code == .noMaster: self = .unreachableOrUntrusted
        case is ClusterError: self = .checkOrStepFailed
        case is Locked: self = .locked
        case is Declined: self = .cancelledByOperator
        case is CancellationError: self = .interrupted
        default: self = .programFault
        }
    }
}

/// The operator was asked and did not agree.
public struct Declined: Error, Sendable, CustomStringConvertible {
    public var description: String

    public init(_ description: String) {
        self.description = description
    }
}
