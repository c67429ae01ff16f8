// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let orchestrator = ["Inventories", "Cluster", "Planning", "Drafting", "Execution", "Reporting"]

let package = Package(
    name: "masterswap",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "masterswap", targets: ["masterswap"]),
        .library(name: "SSH", targets: ["SSH"]),
        .library(name: "Orchestrator", targets: orchestrator),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .systemLibrary(
            name: "CLibSSH2", pkgConfig: "libssh2",
            providers: [.apt(["libssh2-1-dev"]), .brew(["libssh2"])]),
        .target(
            name: "SSH",
            dependencies: [
                "CLibSSH2", .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "Subprocess", package: "swift-subprocess"),
            ],
            swiftSettings: settings),
        // Each of these sees only what comes before it: what an operator says, what is seen, what is decided, what is done, what is told.
        .target(
            name: "Inventories", dependencies: ["SSH", "Yams"], path: "Sources/Orchestrator/Inventories",
            swiftSettings: settings),
        .target(
            name: "Cluster",
            dependencies: [
                "Inventories", "SSH", "Yams", .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/Orchestrator/Cluster", swiftSettings: settings),
        .target(
            name: "Planning",
            dependencies: ["Inventories", "Cluster", "SSH", "Yams", .product(name: "Crypto", package: "swift-crypto")],
            path: "Sources/Orchestrator/Planning", swiftSettings: settings),
        .target(
            name: "Drafting", dependencies: ["Inventories", "Cluster", "Planning", "SSH", "Yams"],
            path: "Sources/Orchestrator/Drafting", swiftSettings: settings),
        .target(
            name: "Execution",
            dependencies: [
                "Inventories", "Cluster", "Planning", "SSH", .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Subprocess", package: "swift-subprocess"),
            ],
            path: "Sources/Orchestrator/Execution", swiftSettings: settings),
        .target(
            name: "Reporting", dependencies: ["Inventories", "Cluster", "Planning", "Drafting", "Execution", "SSH"],
            path: "Sources/Orchestrator/Reporting", swiftSettings: settings),
        .executableTarget(
            name: "masterswap",
            dependencies: orchestrator.map { .init(stringLiteral: $0) } + [
                "SSH", .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/CLI",
            swiftSettings: settings),
        // Not a product: `make bench` builds it.
        .executableTarget(
            name: "bench-upload", dependencies: ["SSH"], path: "Tests/Bench/Upload", swiftSettings: settings),
        .target(name: "TestSupport", path: "Tests/Support", swiftSettings: settings),
        .testTarget(name: "SSHTests", dependencies: ["SSH", "TestSupport"], swiftSettings: settings),
        .testTarget(name: "SSHIntegrationTests", dependencies: ["SSH", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "OrchestratorTests",
            dependencies: orchestrator.map { .init(stringLiteral: $0) } + ["SSH", "TestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "CLITests", dependencies: ["masterswap", "TestSupport"], exclude: ["Fixtures", "Golden"],
            swiftSettings: settings),
    ]
)
