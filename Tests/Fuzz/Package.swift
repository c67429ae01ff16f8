// swift-tools-version: 6.2
import PackageDescription

// A package of its own: its program has no main without a fuzzer (`Tests/Fuzz/run`).
let package = Package(
    name: "fuzz",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "masterswap", path: "../..")],
    targets: [
        .executableTarget(
            name: "fuzz-parsers", dependencies: [.product(name: "SSH", package: "masterswap")], path: "Sources",
            swiftSettings: [.swiftLanguageMode(.v6), .unsafeFlags(["-parse-as-library"])])
    ])
