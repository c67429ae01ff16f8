import Testing

@testable import masterswap

/// A table that is wider than the screen comes in parts, each of them readable by itself.
@Suite struct TableTests {
    private func table() -> Table {
        var table = Table(["HOST", "ADDRESS", "ROLE", "SYSTEM"])
        table.rows = [
            ["lzx-ocboot-ha-test", "10.127.100.234", "master", "CentOS Linux 7 (Core)"],
            ["lzx-ocboot-ha-test-4", "10.127.100.224", "spare", "-"],
        ]
        return table
    }

    @Test(arguments: [30, 40, 45, 60]) func everyPartFitsAndBeginsWithTheFirstColumn(width: Int) {
        let parts = table().split(to: width)
        #expect(parts.count > 1)
        for part in parts {
            #expect(part.header.first == "HOST")
            #expect(part.rows.map(\.first) == ["lzx-ocboot-ha-test", "lzx-ocboot-ha-test-4"])
            // One column beside the first may be wider than the screen by itself.
            #expect(part.header.count == 2 || part.lines.allSatisfy { $0.count <= width }, "\(part.lines)")
        }
        #expect(parts.flatMap { $0.header.dropFirst() } == ["ADDRESS", "ROLE", "SYSTEM"], "none is lost or told twice")
    }

    @Test(arguments: ["- ", "a-rule-with-a-long-name: "]) func nothingIsToldTwiceOrLostWhereALineIsBroken(mark: String)
    {
        let text = "two  blanks,   three, and words until the line has to be broken somewhere, more than once"
        let lines = Terminal(width: 60).lines(mark, text)
        #expect(lines.count > 1)
        #expect(lines.allSatisfy { $0.count <= 60 })
        let words = { (text: String) in text.split(separator: " ").map(String.init) }
        #expect(words(lines.joined(separator: " ")) == words(mark + text))
    }

    @Test func itIsWholeWhereItFitsAndWhereThereIsNoScreen() {
        #expect(table().split(to: 80).map(\.lines) == [table().lines])
        #expect(table().split(to: nil).map(\.lines) == [table().lines])
    }
}

@Suite struct SafeOutputTests {
    @Test(arguments: [
        ("plain", "plain"), ("\u{1B}[31mred\u{1B}[0m é", "\u{1B}[31mred\u{1B}[0m é"),
        ("a\u{1B}]0;title\u{7}b", "a\\x1b]0;title\\x07b"), ("\u{1B}[2J", "\\x1b[2J"), ("a\rb", "a\\x0db"),
    ]) func onlyColoursReachTheTerminal(text: String, expected: String) {
        #expect(Terminal.safe(text) == expected)
    }

    @Test func aCellIsOneLine() {
        var table = Table(["A"])
        table.rows = [["x\ny"], ["x\r\ny"], ["z"]]
        #expect(table.lines == ["A", "x\\ny", "x\\ny", "z"])
        table = Table(["A", "B"])
        table.rows = [["x\ny", "b"]]
        #expect(table.lines == ["A     B", "x\\ny  b"], "the columns stay under each other")
    }
}
