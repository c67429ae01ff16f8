package enum IPv4 {
    package static let howToWrite = "write four numbers from 0 to 255, as in 10.127.100.102"

    /// Why it cannot be the address of one machine; `nil` where it can. Addresses of "this network" (0.0.0.0/8), of groups, reserved
    /// ones and that for all (224.0.0.0 and above) are none (RFC 6890).
    package static func objection(to text: String) -> String? {
        guard isValid(text) else { return "is no IPv4 address" }
        let first = text.split(separator: ".").first.flatMap { Int($0) } ?? 0
        return (1...223).contains(first) ? nil : "is no address of one machine"
    }

    package static func isValid(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                let part = Substring(part)
                return UInt8(part).map { String($0) == part } ?? false
            }
    }
}

enum JumpReference {
    /// `host`, `host:port`, `user@host` or `user@host:port`, as ssh(1)'s -J takes it: the user is all before the last `@`.
    static func parse(_ text: String) -> (user: String?, host: String, port: Int?)? {
        let at = text.lastIndex(of: "@")
        let user = at.map { String(text[..<$0]) }
        let place = text[(at.map { text.index(after: $0) } ?? text.startIndex)...]
            .split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let port = place.count == 2 ? Int(place[1]) : nil
        if place.count == 2, port.map({ (1...65535).contains($0) }) != true { return nil }
        guard isSafeName(String(place[0])), user.map(isLoginName) != false else { return nil }
        return (user, String(place[0]), port)
    }

    static func isValid(_ text: String, in inventory: Inventory) -> Bool {
        text == Inventory.SSHSettings.noJump || inventory.host(named: text) != nil
            || (text.contains("@") && parse(text) != nil)
    }
}
