import SSH
import Testing

struct KnownHostsTests {
    @Test func emptyFilesKnowNobody() {
        #expect(KnownHosts(parsing: "", file: "f").entries.isEmpty)
    }
}
