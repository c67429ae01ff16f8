import ArgumentParser

enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text, json
}

/// What every verb takes.
struct GlobalOptions: ParsableArguments {
    @Option(help: "text, or json for scripts.")
    var output: OutputFormat = .text

    @Flag(name: .customLong("no-color"), help: "No colors (also: NO_COLOR).")
    var noColor = false
}
