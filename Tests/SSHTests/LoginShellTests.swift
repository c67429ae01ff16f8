import Foundation
import TestSupport
import Testing

@testable import SSH

/// A shell that people log in with, as sshd runs it: `SHELL -c LINE`.
enum LoginShells {
    static let all: [[String]] = [
        ["/bin/sh"], ["/bin/bash"], ["/bin/dash"], ["/usr/bin/zsh"], ["/usr/bin/fish"], ["/usr/bin/tcsh"],
        ["/bin/busybox", "sh"], ["/usr/bin/ksh"],
    ].filter { FileManager.default.isExecutableFile(atPath: $0[0]) }
}

struct LoginShellTests {
    private func run(_ shell: [String], _ arguments: [String], input: Data = Data()) throws -> (Int32, Data) {
        let line = RemoteShell(arguments, timeout: .seconds(5), become: .none)
        let (status, output) = try LocalProcess.output(
            of: shell[0], shell[1...] + ["-c", line.line], input: Data(line.prologue) + input)
        // The marker comes before what the command prints.
        let mark = Data("\(line.marker)\n".utf8)
        return (status, output.starts(with: mark) ? Data(output.dropFirst(mark.count)) : output)
    }

    /// What one or the other of them takes for something else.
    @Test(arguments: LoginShells.all)
    func argumentsArriveUnchanged(shell: [String]) throws {
        let arguments = [
            "a\\'b", "c:\\\\dir", "%self", "!x", "!!", "a!b'c", "a=b", "=ls", "~", "~root", "$HOME", "${HOME}", "`id`",
            "$(id)", "new\nline\n", "\n", "tab\t", "\r", "é漢字🙂", "*", "{a,b}", "\"", "\\n", "#c", "^x^y", "a b", "",
            "|;&<>()", "%b", "\\0101", "\\", "\\\\", "'", "''", "\\'", "';id;'", "-n", "@x", "\u{1}\u{7F}", "\\\n!'",
        ]
        let (status, output) = try run(shell, ["printf", "%s\\0"] + arguments)
        #expect(status == 0)
        #expect(output == arguments.reduce(into: Data()) { $0 += Data($1.utf8) + [0] })
    }

    @Test(arguments: LoginShells.all)
    func randomArgumentsArriveUnchanged(shell: [String]) throws {
        var random = SystemRandomNumberGenerator()
        let special = Array("'\"\\$`!*?[]{}()<>|&;#~=%^-+,.:/@ \t\n\r\u{1B}\u{7F}aZ0né漢🙂".unicodeScalars)
        let arguments = (0..<1000).map { _ in
            String(
                String.UnicodeScalarView(
                    (0..<Int.random(in: 0...6)).map { _ in special.randomElement(using: &random)! }))
        }
        #expect(RemoteShell(["printf", "%s\\0"] + arguments, timeout: .seconds(5), become: .none).prologue.isEmpty)
        let (status, output) = try run(shell, ["printf", "%s\\0"] + arguments)
        #expect(status == 0)
        #expect(output == arguments.reduce(into: Data()) { $0 += Data($1.utf8) + [0] })
    }

    /// A script that is too long for a request, and so comes by standard input before the command's own.
    @Test(arguments: LoginShells.all)
    func aLongScriptRuns(shell: [String]) throws {
        let script = "printf '%s:' \"$1\"; cat # " + String(repeating: "it's long! \\", count: 4000)
        let (status, output) = try run(shell, ["sh", "-c", script, "sh", "it's\\n"], input: Data("input".utf8))
        #expect(status == 0)
        #expect(String(decoding: output, as: UTF8.self) == "it's\\n:input")
    }

    @Test(arguments: LoginShells.all)
    func theStatusIsTheCommands(shell: [String]) throws {
        #expect(try run(shell, ["sh", "-c", "exit 3"]).0 == 3)
        #expect(try run(shell, ["sh", "-c", "kill -9 $$"]).0 == 137)
        #expect(try run(shell, ["no such program"]).0 == 127)
    }

    @Test func theLineIsOfCharactersThatAllReadAlike() {
        let commands: [RemoteShell] = [.none, .sudo(password: nil), .sudo(password: Secret("x"))].flatMap { become in
            [
                RemoteShell(["a'\\!\n\u{1}é"], timeout: .seconds(1), become: become),
                RemoteShell([String(repeating: "'\\", count: 20_000)], timeout: .seconds(1), become: become),
                RemoteShell(["x"], timeout: .seconds(1), become: .none).killing(become: become),
            ]
        }
        for line in commands.map({ Array($0.line.utf8) }) {
            #expect(line.allSatisfy { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "!") })
            for (byte, next) in zip(line, line.dropFirst()) where byte == UInt8(ascii: "\\") {
                #expect(next == UInt8(ascii: "0") || next == UInt8(ascii: "n"))
            }
            #expect(line.count < 40_000)
        }
    }
}
