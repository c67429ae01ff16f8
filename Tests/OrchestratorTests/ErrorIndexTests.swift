import Foundation
import SSH
import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// Every error says where, doing what, why, and what to do next; `docs/errors.md` lists them all, from the sources.
///
/// `MASTERSWAP_RECORD=1 swift test --filter ErrorIndex` writes the document again.
@Suite struct ErrorIndexTests {
    @Test func everySSHErrorNamesHostOperationCauseAndNextStep() {
        for code in SSHError.Code.allCases {
            #expect(!code.advice.isEmpty)
            let error = SSHError(code, host: "HOST", operation: "OPERATION", cause: "CAUSE")
            #expect(error.description == "HOST: OPERATION: CAUSE; \(code.advice)")
            let told = SSHError(code, host: "HOST", operation: "OPERATION", cause: "CAUSE", advice: "NEXT")
            #expect(told.description == "HOST: OPERATION: CAUSE; NEXT")
        }
    }

    @Test func everyClusterErrorNamesHostOperationCauseAndNextStep() {
        for code in ClusterError.Code.allCases {
            let error = ClusterError(code, host: "HOST", operation: "OPERATION", cause: "CAUSE", advice: "NEXT")
            #expect(error.description == "HOST: OPERATION: CAUSE; NEXT")
        }
    }

    @Test func everyOtherErrorEndsWithANextStep() {
        #expect(Refusal("rule", "REASON", advice: "NEXT").description == "rule: REASON; NEXT")
        let inventory = InventoryError(file: "f", problems: [.init(line: 3, "WRONG", fix: "NEXT")])
        #expect(inventory.description == "f:3: WRONG; NEXT")
        #expect(Locked(nil).description.hasSuffix("to go on: masterswap resume"))
        #expect(Locked(ClusterLock.Lease.sample).description.hasSuffix("if it is surely gone: masterswap unlock"))
    }

    /// Each place in the sources that makes an error: what it says, and that none is silent about what to do.
    @Test func everyPlaceThatMakesAnErrorSaysWhatToDo() throws {
        let sites = try MessageSite.all()
        for kind in MessageSite.Kind.allCases { #expect(sites.contains { $0.kind == kind }, "\(kind)") }
        for site in sites {
            for (label, text) in site.required {
                #expect(text?.isEmpty == false, "\(site.place): '\(label)' is missing or empty")
            }
        }
    }

    @Test func everySafetyRuleHasItsRefusalsInTheIndex() throws {
        let sites = try MessageSite.all().filter { $0.kind == .refusal }
        for rule in SafetyRules.listed {
            #expect(
                sites.contains { $0.place.hasPrefix("Sources/Orchestrator/Planning/Rules/\(rule).swift") }, "\(rule)")
        }
    }

    @Test func theIndexIsWhatTheSourcesSay() throws {
        let made = try ErrorIndex.markdown(MessageSite.all())
        if ProcessInfo.processInfo.environment["MASTERSWAP_RECORD"] == "1" {
            try made.write(
                to: DocumentationTests.root.appendingPathComponent("docs/errors.md"), atomically: true, encoding: .utf8)
        }
        #expect(
            try DocumentationTests.document("docs/errors.md") == made,
            "docs/errors.md is not up to date; next: MASTERSWAP_RECORD=1 swift test --filter ErrorIndex")
    }
}

extension ClusterLock.Lease {
    static var sample: Self {
        .init(
            metadata: .init(name: "masterswap", namespace: "kube-system"),
            spec: .init(holderIdentity: "somebody@somewhere"))
    }
}
