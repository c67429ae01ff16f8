import Foundation
import Testing

@testable import masterswap

/// Just so much of a terminal that it understands what the live screen sends; anything else is a failure.
struct TinyTerminal {
    let width: Int
    private var cells: [[Character]] = [[]]
    private var row = 0
    private var column = 0

    init(width: Int) { self.width = width }

    var lines: [String] { cells.map { String($0) } }

    mutating func take(_ text: String) {
        var rest = text.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "\r": column = 0
            case "\n":
                (row, column) = (row + 1, 0)
                if row == cells.count { cells.append([]) }
            case "\u{1B}":
                let sequence = rest.prefix { !$0.properties.isAlphabetic }
                rest = rest.dropFirst(sequence.count)
                guard let last = rest.popFirst() else { return }
                obey(String(sequence), last)
            default:
                cells[row] = Array(cells[row].prefix(column)) + [Character(scalar)] + cells[row].dropFirst(column + 1)
                // Without its own line breaks, the cursor of a full line stands on the last character.
                column = min(column + 1, width - 1)
            }
        }
    }

    private mutating func obey(_ sequence: String, _ last: Unicode.Scalar) {
        switch (sequence, last) {
        case (_, "A"): row -= Int(sequence.dropFirst()) ?? 1
        case ("[", "K"): cells[row] = Array(cells[row].prefix(column))
        case ("[", "J"): cells = cells[..<row] + [Array(cells[row].prefix(column))]
        case ("[2", "J"): cells = [[]]
        case ("[", "H"): (row, column) = (0, 0)
        case ("[?7", "l"), ("[?7", "h"): break
        default: Issue.record("ESC \(sequence)\(last)")
        }
    }
}

@Suite struct LiveScreenTests {
    let size = LiveScreen.Size(width: 80, height: 24)

    /// What a terminal shows after this was drawn.
    func shown(_ work: (_ screen: LiveScreen, _ descriptor: Int32) -> Void) -> [String] {
        let pipe = Pipe()
        work(LiveScreen(), pipe.fileHandleForWriting.fileDescriptor)
        try? pipe.fileHandleForWriting.close()
        var terminal = TinyTerminal(width: size.width)
        terminal.take(String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self))
        return terminal.lines
    }

    @Test func linesAreDrawnInPlace() {
        let lines = shown { screen, descriptor in
            screen.draw(["one, long", "two", "three"], size: size, on: descriptor)
            screen.draw(["ONE", "TWO"], size: size, on: descriptor)
        }
        #expect(lines == ["ONE", "TWO", ""])
    }

    @Test func whatIsWrittenStandsAboveThem() {
        let lines = shown { screen, descriptor in
            screen.draw(["status"], size: size, on: descriptor)
            screen.write("a warning\n", to: descriptor)
            screen.draw(["status 2"], size: size, on: descriptor)
        }
        #expect(lines == ["a warning", "status 2", ""])
    }

    @Test func aFullLineKeepsItsLastCharacter() {
        let full = String(repeating: "=", count: size.width - 1) + "!"
        let lines = shown { screen, descriptor in
            screen.draw([full], size: size, on: descriptor)
            screen.draw([full, "x"], size: size, on: descriptor)
        }
        #expect(lines == [full, "x", ""])
    }

    @Test func theyCanBeTakenAwayOrLeft() {
        #expect(
            shown { screen, descriptor in
                screen.draw(["status"], size: size, on: descriptor)
                screen.clear()
                screen.write("answer\n", to: descriptor)
            } == ["answer", ""])
        #expect(
            shown { screen, descriptor in
                screen.draw(["status"], size: size, on: descriptor)
                screen.end()
                screen.write("answer\n", to: descriptor)
            } == ["status", "answer", ""])
    }

    @Test func anotherSizeBeginsAnew() {
        let lines = shown { screen, descriptor in
            screen.draw(["one", "two"], size: size, on: descriptor)
            screen.draw(["small"], size: .init(width: 40, height: 10), on: descriptor)
        }
        #expect(lines == ["small", ""])
    }
}

@Suite struct QuestionTests {
    @Test func aLineIsTheAnswer() async throws {
        let pipe = Pipe()
        try pipe.fileHandleForWriting.write(contentsOf: Data("lzx-ocboot-ha-test\nrest".utf8))
        let answer = try await Terminal.readLine(from: pipe.fileHandleForReading.fileDescriptor)
        #expect(answer == "lzx-ocboot-ha-test")
    }

    @Test func anEndIsNoAnswer() async throws {
        let pipe = Pipe()
        try pipe.fileHandleForWriting.close()
        #expect(try await Terminal.readLine(from: pipe.fileHandleForReading.fileDescriptor) == nil)
    }

    @Test func anInterruptEndsTheWaitForAnAnswer() async throws {
        let pipe = Pipe()
        let task = Task { try await Terminal.readLine(from: pipe.fileHandleForReading.fileDescriptor) }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
