/// What is left carries the cluster through the replacement: it must be reachable, Ready and not broken itself.
public enum SurvivorsAreSound: SafetyRule {
    public static let id = "survivors-are-sound"
    public static let prevents = "a replacement on top of a second fault"

    public static func refusals(_ proposal: Proposal) -> [Refusal] {
        let state = proposal.state
        guard !proposal.survivors.isEmpty else {
            return [
                refusal(
                    "no other master is left",
                    advice: "restore the cluster from an etcd snapshot; this tool cannot help")
            ]
        }
        return proposal.survivors.flatMap { survivor -> [Refusal] in
            var refusals: [Refusal] = []
            if state.objects.node(survivor.node)?.isReady != true {
                refusals.append(
                    refusal(
                        "\(survivor.node) is not Ready", advice: "mend it first: kubectl describe node \(survivor.node)"
                    ))
            }
            switch state.hosts[survivor.host] {
            case .reached: break
            case .failed(let failure):
                refusals.append(
                    refusal(
                        failure.message, advice: "every surviving master must be seen; mend it or its inventory entry",
                        isUnreachable: failure.isUnreachableOrUntrusted))
            case nil:
                refusals.append(
                    refusal(
                        "the master \(survivor.node) (\(survivor.address)) is in no inventory entry",
                        advice: "add it to the inventory's hosts with 'role: master'"))
            }
            return refusals
        }
    }
}
