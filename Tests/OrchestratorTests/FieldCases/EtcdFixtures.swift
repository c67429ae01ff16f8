import Testing

@testable import Cluster
@testable import Drafting
@testable import Execution
@testable import Inventories
@testable import Planning
@testable import Reporting

/// What etcdctl really printed: three members in a network namespace, plain HTTP, etcd from Debian 11 (3.3.25), 12 (3.4.23), 13 (3.5.16)
/// and testing (3.5.30), each program with its own server. Standard output, but for `health`, which older ones print to standard error.
enum EtcdFixtures {
    struct Version: Sendable, CustomTestStringConvertible {
        var version: String
        /// With the third member killed: `endpoint status --cluster -w json`, `endpoint health --cluster`.
        var status: String
        var health: String
        /// With the others killed, too, where the member still answers: `endpoint status --cluster -w json`.
        var withoutQuorum: String?
        /// With a quota of 2 MB that was reached: `alarm list -w json`, `endpoint health --cluster`.
        var alarms: String
        var healthWithAlarm: String
        /// With nothing wrong: `alarm list -w json`.
        var noAlarms: String

        var testDescription: String { version }
    }

    static let all = [
        Version(
            version: "3.3.25",
            status: #"""
                [{"Endpoint":"http://10.66.0.11:2379","Status":{"header":{"cluster_id":12289927714701355458,"member_id":5533983980613105030,"revision":2,"raft_term":2},"version":"3.3.25","dbSize":20480,"leader":5533983980613105030,"raftIndex":11,"raftTerm":2}},{"Endpoint":"http://10.66.0.12:2379","Status":{"header":{"cluster_id":12289927714701355458,"member_id":18008891310642949295,"revision":2,"raft_term":2},"version":"3.3.25","dbSize":20480,"leader":5533983980613105030,"raftIndex":11,"raftTerm":2}}]
                """#,
            health: #"""
                http://10.66.0.11:2379 is healthy: successfully committed input: took = 1.898361ms
                http://10.66.0.12:2379 is healthy: successfully committed input: took = 2.010402ms
                http://10.66.0.13:2379 is unhealthy: failed to commit input: context deadline exceeded
                Error: unhealthy cluster
                """#,
            withoutQuorum: #"""
                [{"Endpoint":"http://10.66.0.11:2379","Status":{"header":{"cluster_id":12289927714701355458,"member_id":5533983980613105030,"revision":2,"raft_term":2},"version":"3.3.25","dbSize":20480,"raftIndex":17,"raftTerm":2}}]
                """#,
            alarms: #"""
                {"alarms":[{"memberID":18008891310642949295,"alarm":1},{"memberID":2091071764689448954,"alarm":1},{"memberID":5533983980613105030,"alarm":1}]}
                """#,
            healthWithAlarm: #"""
                http://10.66.0.11:2379 is healthy: successfully committed input: took = 5.660204ms
                http://10.66.0.13:2379 is healthy: successfully committed input: took = 5.920812ms
                http://10.66.0.12:2379 is healthy: successfully committed input: took = 5.905988ms
                """#,
            noAlarms: #"""
                {}
                """#
        ),
        Version(
            version: "3.4.23",
            status: #"""
                [{"Endpoint":"http://10.66.0.11:2379","Status":{"header":{"cluster_id":12289927714701355458,"member_id":5533983980613105030,"revision":2,"raft_term":4},"version":"3.4.23","dbSize":20480,"leader":18008891310642949295,"raftIndex":12,"raftTerm":4,"raftAppliedIndex":12,"dbSizeInUse":16384}},{"Endpoint":"http://10.66.0.12:2379","Status":{"header":{"cluster_id":12289927714701355458,"member_id":18008891310642949295,"revision":2,"raft_term":4},"version":"3.4.23","dbSize":20480,"leader":18008891310642949295,"raftIndex":12,"raftTerm":4,"raftAppliedIndex":12,"dbSizeInUse":16384}}]
                """#,
            health: #"""
                http://10.66.0.11:2379 is healthy: successfully committed input: took = 1.315248153s
                http://10.66.0.12:2379 is healthy: successfully committed input: took = 1.317317757s
                http://10.66.0.13:2379 is unhealthy: failed to commit input: context deadline exceeded
                Error: unhealthy cluster
                """#,
            withoutQuorum: #"""
                [{"Endpoint":"http://10.66.0.11:2379","Status":{"header":{"cluster_id":12289927714701355458,"member_id":5533983980613105030,"revision":2,"raft_term":4},"version":"3.4.23","dbSize":20480,"raftIndex":18,"raftTerm":4,"raftAppliedIndex":18,"errors":["etcdserver: no leader"],"dbSizeInUse":16384}}]
                """#,
            alarms: #"""
                {"alarms":[{"memberID":5533983980613105030,"alarm":1}]}
                """#,
            healthWithAlarm: #"""
                http://10.66.0.13:2379 is healthy: successfully committed input: took = 4.716908ms
                http://10.66.0.12:2379 is healthy: successfully committed input: took = 5.804215ms
                http://10.66.0.11:2379 is healthy: successfully committed input: took = 3.493412ms
                """#,
            noAlarms: #"""
                {}
                """#
        ),
        Version(
            version: "3.5.16",
            status: #"""
                [{"Endpoint":"http://10.66.0.11:2379","Status":{"header":{"cluster_id":12289927714701355458,"member_id":5533983980613105030,"revision":2,"raft_term":2},"version":"3.5.16","dbSize":20480,"leader":5533983980613105030,"raftIndex":19,"raftTerm":2,"raftAppliedIndex":19,"dbSizeInUse":16384}},{"Endpoint":"http://10.66.0.12:2379","Status":{"header":{"cluster_id":12289927714701355458,"member_id":18008891310642949295,"revision":2,"raft_term":2},"version":"3.5.16","dbSize":20480,"leader":5533983980613105030,"raftIndex":19,"raftTerm":2,"raftAppliedIndex":19,"dbSizeInUse":16384}}]
                """#,
            health: #"""
                http://10.66.0.11:2379 is healthy: successfully committed input: took = 2.791303ms
                http://10.66.0.12:2379 is healthy: successfully committed input: took = 12.02215ms
                http://10.66.0.13:2379 is unhealthy: failed to commit input: context deadline exceeded
                Error: unhealthy cluster
                """#,
            withoutQuorum: nil,
            alarms: #"""
                {"header":{"cluster_id":12289927714701355458,"member_id":5533983980613105030,"revision":4,"raft_term":2},"alarms":[{"memberID":5533983980613105030,"alarm":1}]}
                """#,
            healthWithAlarm: #"""
                http://10.66.0.12:2379 is unhealthy: failed to commit input: Active Alarm(s): NOSPACE 
                http://10.66.0.13:2379 is unhealthy: failed to commit input: Active Alarm(s): NOSPACE 
                http://10.66.0.11:2379 is unhealthy: failed to commit input: Active Alarm(s): NOSPACE 
                Error: unhealthy cluster
                """#,
            noAlarms: #"""
                {"header":{"cluster_id":12289927714701355458,"member_id":5533983980613105030,"revision":2,"raft_term":2}}
                """#
        ),
        Version(
            version: "3.5.30",
            status: #"""
                [{"Endpoint":"http://10.66.0.11:2379","Status":{"header":{"cluster_id":12289927714701355458,"member_id":5533983980613105030,"revision":2,"raft_term":2},"version":"3.5.30","dbSize":20480,"leader":18008891310642949295,"raftIndex":18,"raftTerm":2,"raftAppliedIndex":18,"dbSizeInUse":16384}},{"Endpoint":"http://10.66.0.12:2379","Status":{"header":{"cluster_id":12289927714701355458,"member_id":18008891310642949295,"revision":2,"raft_term":2},"version":"3.5.30","dbSize":20480,"leader":18008891310642949295,"raftIndex":18,"raftTerm":2,"raftAppliedIndex":18,"dbSizeInUse":16384}}]
                """#,
            health: #"""
                http://10.66.0.12:2379 is healthy: successfully committed input: took = 4.428251ms
                http://10.66.0.11:2379 is healthy: successfully committed input: took = 6.057514ms
                http://10.66.0.13:2379 is unhealthy: failed to commit input: context deadline exceeded
                Error: unhealthy cluster
                """#,
            withoutQuorum: nil,
            alarms: #"""
                {"header":{"cluster_id":12289927714701355458,"member_id":5533983980613105030,"revision":4,"raft_term":2},"alarms":[{"memberID":5533983980613105030,"alarm":1}]}
                """#,
            healthWithAlarm: #"""
                http://10.66.0.12:2379 is unhealthy: failed to commit input: Active Alarm(s): NOSPACE 
                http://10.66.0.13:2379 is unhealthy: failed to commit input: Active Alarm(s): NOSPACE 
                http://10.66.0.11:2379 is unhealthy: failed to commit input: Active Alarm(s): NOSPACE 
                Error: unhealthy cluster
                """#,
            noAlarms: #"""
                {"header":{"cluster_id":12289927714701355458,"member_id":5533983980613105030,"revision":2,"raft_term":2}}
                """#
        ),
    ]

    /// etcd 3.4.23 with five members and a learner that has started, and one that has not: `member list -w json`.
    static let startedLearner = #"""
        {"header":{"cluster_id":15520803896020870738,"member_id":5533983980613105030,"raft_term":2},"members":[{"ID":2091071764689448954,"name":"m3","peerURLs":["http://10.66.0.13:2380"],"clientURLs":["http://10.66.0.13:2379"]},{"ID":2704523727505119402,"name":"m6","peerURLs":["http://10.66.0.16:2380"],"clientURLs":["http://10.66.0.16:2379"],"isLearner":true},{"ID":5533983980613105030,"name":"m1","peerURLs":["http://10.66.0.11:2380"],"clientURLs":["http://10.66.0.11:2379"]},{"ID":10890379755014405222,"name":"m4","peerURLs":["http://10.66.0.14:2380"],"clientURLs":["http://10.66.0.14:2379"]},{"ID":15523812264944552503,"name":"m5","peerURLs":["http://10.66.0.15:2380"],"clientURLs":["http://10.66.0.15:2379"]},{"ID":18008891310642949295,"name":"m2","peerURLs":["http://10.66.0.12:2380"],"clientURLs":["http://10.66.0.12:2379"]}]}
        """#
    static let unstartedLearner = #"""
        {"header":{"cluster_id":15520803896020870738,"member_id":5533983980613105030,"raft_term":2},"members":[{"ID":2091071764689448954,"name":"m3","peerURLs":["http://10.66.0.13:2380"],"clientURLs":["http://10.66.0.13:2379"]},{"ID":2704523727505119402,"peerURLs":["http://10.66.0.16:2380"],"isLearner":true},{"ID":5533983980613105030,"name":"m1","peerURLs":["http://10.66.0.11:2380"],"clientURLs":["http://10.66.0.11:2379"]},{"ID":10890379755014405222,"name":"m4","peerURLs":["http://10.66.0.14:2380"],"clientURLs":["http://10.66.0.14:2379"]},{"ID":15523812264944552503,"name":"m5","peerURLs":["http://10.66.0.15:2380"],"clientURLs":["http://10.66.0.15:2379"]},{"ID":18008891310642949295,"name":"m2","peerURLs":["http://10.66.0.12:2380"],"clientURLs":["http://10.66.0.12:2379"]}]}
        """#
}
