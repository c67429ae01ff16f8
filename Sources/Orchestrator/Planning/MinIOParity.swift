package import Cluster

/// How many drives of an erasure set MinIO can lose, from what its pods' environment says.
package struct MinIOParity: Sendable, Hashable {
    private enum Source: Hashable {
        /// `EC:n` in the environment.
        case fixed(Int)
        /// None is given: MinIO's default for the size of a set; of a release before 2021-01-30 it is half of the drives.
        case byDefault(isHalf: Bool)
        case unknown(String)
    }

    /// Larger erasure sets there are none: more drives make several sets.
    package static let largestSet = 16
    private static let variable = "MINIO_STORAGE_CLASS_STANDARD"

    private let source: Source
    /// `MINIO_ERASURE_SET_DRIVE_COUNT`.
    private let setSize: Int?

    package init(_ set: StatefulSet) {
        let all = set.spec.template?.spec.containers ?? []
        // Sidecars have variables of their own.
        let mounts = all.filter { $0.volumeMounts?.contains { set.templates.contains($0.name) } == true }
        let images = all.filter { $0.image?.contains("minio") == true }
        let containers = [mounts, images].first { !$0.isEmpty } ?? all
        // Of entries with one name Kubernetes takes the last.
        let variables = containers.flatMap { $0.env ?? [] }.reversed()
        setSize = variables.first { $0.name == "MINIO_ERASURE_SET_DRIVE_COUNT" }?.value.flatMap { Int($0) }
        if let given = variables.first(where: { $0.name == Self.variable }) {
            if let number = given.value?.split(separator: ":").last.flatMap({ Int($0) }),
                given.value?.hasPrefix("EC:") == true
            {
                source = .fixed(number)
            } else if given.valueFrom == nil, given.value ?? "" == "" {
                source = Self.byDefault(containers)
            } else {
                source = .unknown(
                    given.valueFrom != nil
                        ? "\(Self.variable) comes from a Secret or a ConfigMap, which is not read"
                        : "\(Self.variable) is '\(given.value ?? "")'")
            }
        } else if containers.contains(where: { $0.envFrom?.isEmpty == false }) {
            source = .unknown("its pods take variables from a Secret or a ConfigMap (envFrom), which is not read")
        } else if variables.contains(where: { $0.name == "MINIO_CONFIG_ENV_FILE" }) {
            source = .unknown("its pods take variables from a file (MINIO_CONFIG_ENV_FILE), which is not read")
        } else {
            source = Self.byDefault(containers)
        }
    }

    private static func byDefault(_ containers: [PodSpec.Container]) -> Source {
        let releases = containers.compactMap { $0.image?.firstMatch(of: /RELEASE\.(\d{4}-\d{2}-\d{2})/)?.1 }
        // Without a release in the image's tag, the smaller of the two is taken.
        return .byDefault(isHalf: releases.first.map { $0 < "2021-01-30" } ?? false)
    }

    /// Why it is not known; `nil` where it is.
    package var unknown: String? { if case .unknown(let why) = source { why } else { nil } }

    /// - Parameter drives: of one erasure set.
    /// - Returns: `nil` where it is not known.
    package func parity(ofSet drives: Int) -> Int? {
        let half = drives / 2
        switch source {
        case .fixed(let number): return max(0, min(number, half))
        // minio/minio, internal/config/storageclass: 2 and 3 drives have 1, 4 and 5 have 2, 6 and 7 have 3, more have 4.
        case .byDefault(let isHalf): return isHalf ? half : min(half, 4)
        case .unknown: return nil
        }
    }

    /// The size of the erasure sets where the drives themselves do not tell it: the smallest that MinIO may have chosen, because a
    /// smaller set has no more parity, and all lost drives may be in one.
    ///
    /// Up to 16 drives make one set. Of more, MinIO takes the largest size of at most 16 that divides their number and is symmetric
    /// with the last `{0...n}` of its command line, of the servers or of the drives of each (minio/minio, cmd/endpoint-ellipses.go,
    /// `possibleSetCountsWithSymmetry` and `commonSetDriveCount`). Which of the two is the last is not known here: the smaller size
    /// counts.
    func smallestSet(drives: Int, servers: Int) -> Int {
        if let setSize, setSize > 0, drives % setSize == 0 { return setSize }
        guard drives > Self.largestSet else { return drives }
        let each = max(1, drives / max(1, servers))
        func isSymmetric(_ size: Int, _ count: Int) -> Bool { count > size ? count % size == 0 : size % count == 0 }
        let sizes = (2...Self.largestSet).filter { drives % $0 == 0 }
        let possible = [servers, each].compactMap { count in sizes.last { isSymmetric($0, count) } }
        return possible.min() ?? sizes.first ?? 1
    }

    /// On how many drives an object must be, for plans that do not say it.
    package func dataShards(drives: Int, _ set: StatefulSet) -> Int {
        let size = smallestSet(drives: drives, servers: set.replicas)
        return size - (parity(ofSet: size) ?? 0)
    }
}
