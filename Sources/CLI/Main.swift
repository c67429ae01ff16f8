import ArgumentParser

@main
struct Masterswap: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "masterswap", abstract: "Replaces a dead master of a three-master Kubernetes cluster.")
}
