// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "masterswap",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "masterswap", targets: ["masterswap"]),
        .library(name: "SSH", targets: ["SSH"]),
        .library(name: "Orchestrator", targets: ["Orchestrator"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
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
            ],
            swiftSettings: settings),
        .target(
            name: "Orchestrator",
            dependencies: ["SSH", "Yams", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: settings),
        .executableTarget(
            name: "masterswap",
            dependencies: [
                "SSH", "Orchestrator", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Sources/CLI",
            swiftSettings: settings),
        // Not a product: `make bench` builds it.
        .executableTarget(
            name: "bench-upload", dependencies: ["SSH"], path: "Tests/Bench/Upload", swiftSettings: settings),
        .testTarget(name: "SSHTests", dependencies: ["SSH"], swiftSettings: settings),
        .testTarget(name: "SSHIntegrationTests", dependencies: ["SSH"], swiftSettings: settings),
        .testTarget(name: "OrchestratorTests", dependencies: ["Orchestrator", "SSH"], swiftSettings: settings),
        .testTarget(
            name: "CLITests", dependencies: ["masterswap"], exclude: ["Fixtures", "Golden"], swiftSettings: settings),
    ]
)
