/// A user's name on a host; those of an Active Directory have an `@` or a backslash in them.
func isLoginName(_ name: String) -> Bool {
    let separators = name.utf8.filter { $0 == UInt8(ascii: "@") || $0 == UInt8(ascii: "\\") }
    guard separators.count <= 1 else { return false }
    return name.split(omittingEmptySubsequences: false) { $0 == "@" || $0 == "\\" }.allSatisfy {
        isSafeName(String($0))
    }
}

/// RFC 1123 labels and user names in one: nothing that a shell, ssh or kubectl could take for something else.
package func isSafeName(_ name: String) -> Bool {
    guard !name.isEmpty, name.utf8.count <= 253, !name.hasPrefix("-") else { return false }
    return name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-._".utf8.contains(byte)
        }
    }
}

/// An RFC 1123 subdomain, as Kubernetes wants a node's name to be.
package func isNodeName(_ name: String) -> Bool {
    name.count <= 253
        && name.wholeMatch(of: /[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/) != nil
}
