import Foundation
import Inventories

/// What kubectl says on standard error when it fails: the API server's verdict, the cause without the noise beside it, and what to
/// do about it. Also read of etcdctl, which is run through `kubectl exec`.
package struct KubectlMessage: Sendable, Hashable {
    /// The reason in `Error from server (REASON): …`, kubectl's last such line: `NotFound`, `Conflict`, … (metav1.StatusReason).
    /// `nil` where the server gave no verdict.
    let reason: String?
    /// Lines that tell the cause, joined; empty where there is none.
    package let cause: String

    package init(_ standardError: String) {
        let lines = standardError.split(whereSeparator: \.isNewline).map(String.init).filter { !Self.isNoise($0) }
        reason = lines.lazy.reversed().compactMap(Self.reason).first
        // A verdict may have several lines: what it says begins with its first.
        let verdict = lines.lastIndex { Self.reason($0) != nil }
        cause = (verdict.map { Array(lines[$0...].prefix(3)) } ?? lines.suffix(3)).joined(separator: " / ")
    }

    /// Whether the server could not decide at the moment. Any other verdict is final: the same question gets the same answer.
    static func isPassing(_ reason: String) -> Bool { passing.contains(reason) }

    /// Reasons of a server that is overloaded, is starting, or has lost its etcd for the moment (apimachinery's
    /// meta/v1/types.go).
    private static let passing: Set<String> = [
        "ServiceUnavailable", "InternalError", "Timeout", "ServerTimeout", "TooManyRequests", "StoreReadError",
    ]

    private static func reason(_ line: String) -> String? {
        if let range = line.range(of: "Error from server (") {
            guard let end = line[range.upperBound...].firstIndex(of: ")") else { return nil }
            return String(line[range.upperBound..<end])
        }
        // kubectl's cmd/util/helpers.go words these two in another way.
        if line.hasPrefix("The "), line.contains(" is invalid") { return "Invalid" }
        if line.contains("You must be logged in to the server") { return "Unauthorized" }
        return nil
    }

    /// What stands on standard error beside an answer, right or wrong, and is never its cause.
    static func isNoise(_ line: String) -> Bool {
        // klog's header: severity, month and day, time, thread, file (k8s.io/klog). With an aggregated API away, kubectl logs one
        // for each of its groups.
        if line.wholeMatch(of: /[IWEF]\d{4} \d\d:\d\d:\d\d.*/) != nil { return true }
        let line = line.trimmingCharacters(in: .whitespaces)
        return noise.contains { line.hasPrefix($0) } || line.contains("due to client-side throttling")
            || line.contains("cannot change locale") || line.hasPrefix("sudo: unable to resolve host")
    }

    private static let noise = [
        // Deprecations that the API server sends along (RFC 7234 warnings), and those of kubectl's own flags.
        "Warning: ", "Flag --",
        // Which container `exec` and `logs` take, in older and newer words.
        "Defaulted container ", "Defaulting container name to ", "Use 'kubectl describe pod",
        "Unable to use a TTY",
        // How the program that `exec` ran has ended; what it said itself stands before.
        "command terminated with exit code",
    ]

    /// What to do, by the cause; `nil` where nothing better is known than to try it by hand.
    func advice(on host: String, of distribution: Inventory.Distribution) -> String? {
        func says(_ parts: String...) -> Bool { parts.contains { cause.localizedCaseInsensitiveContains($0) } }
        if says("not found") && says("kubectl", "k3s") && reason == nil {
            return "install kubectl on \(host), or link it into a folder that root's PATH has (with sudo: secure_path)"
        }
        if says("permission denied") {
            return "\(host)'s user may not read its kubeconfig: log in as root, or set 'become: sudo'"
        }
        if says("no such file or directory") {
            return "\(host) has no kubeconfig: is it a master? \(distribution.kubeconfigSource)"
        }
        if says("has expired", "not yet valid") {
            return
                "see which certificate has ended, on \(host): \(distribution.certificateEnds); and whether its clock is right"
        }
        if says("certificate is valid for") {
            return
                "the API server's certificate does not name that address: see that the inventory's address and api_port are those of \(host)"
        }
        if says("x509") {
            return
                "the kubeconfig on \(host) is not this cluster's: compare its authority with \(distribution.caCertificate)"
        }
        if reason == "Unauthorized" || says("Unauthorized") {
            return
                "the API server does not take the client certificate of the kubeconfig on \(host): see whether it has expired or is of an earlier cluster"
        }
        if reason == "Forbidden" {
            return "the kubeconfig on \(host) has too few rights: it must be the administrator's"
        }
        if says("proxyconnect") {
            return "kubectl on \(host) goes by a proxy: see HTTPS_PROXY in its kubeconfig (proxy-url)"
        }
        if says("refused") {
            return "no API server listens beside \(host): look at \(distribution.apiServerSigns)"
        }
        if says("i/o timeout", "deadline exceeded", "Client.Timeout", "TLS handshake timeout", "timed out") {
            return "the API server beside \(host) is slow or hangs: look at its load, its disk and at etcd"
        }
        return nil
    }
}
