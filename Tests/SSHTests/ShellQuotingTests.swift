import Foundation
import TestSupport
import Testing

@testable import SSH

struct ShellQuotingTests {
    @Test func plainWordsStayAsTheyAre() {
        #expect(ShellQuoting.join(["ls", "-l", "/etc/a_b-c.d"]) == "ls -l /etc/a_b-c.d")
        #expect(ShellQuoting.quote("") == "''")
        #expect(ShellQuoting.quote("it's") == "'it'\\''s'")
        #expect(ShellQuoting.quote("'\u{301}; id").unicodeScalars.starts(with: "''\\''".unicodeScalars))
        #expect(ShellQuoting.quote("~") == "'~'")
        #expect(ShellQuoting.quote("$(id)") == "'$(id)'")
    }

    /// Random argument vectors, written by a shell as it understood them, each argument ended by a NUL. In few processes: a
    /// script has thousands of lines.
    @Test(arguments: ["/bin/dash", "/bin/bash", "/bin/sh"])
    func argumentsComeBackAsTheyWere(shell: String) throws {
        guard FileManager.default.isExecutableFile(atPath: shell) else { return }
        var random = SystemRandomNumberGenerator()
        for _ in 0..<10 {
            var script = ""
            var expected = Data()
            for _ in 0..<4000 {
                let arguments = (0..<Int.random(in: 1...3, using: &random)).map { _ in argument(&random) }
                // The first word is the format; `printf '%s\0'` repeats it for each of the others.
                script += "printf '%s\\0' \(ShellQuoting.join(arguments))\n"
                for argument in arguments { expected += Data(argument.utf8) + [0] }
            }
            let (status, output) = try LocalProcess.output(
                of: shell, ["-s"], input: Data(script.utf8))
            #expect(status == 0)
            #expect(output == expected)
        }
    }

    /// Mostly what shells care for, some of all of Unicode, never a NUL.
    private func argument(_ random: inout SystemRandomNumberGenerator) -> String {
        let special = Array("'\"\\$`!*?[]{}()<>|&;#~=%^-+,.:/@ \t\n\r\u{1B}\u{7F}aZ0é漢🙂".unicodeScalars)
        var text = ""
        for _ in 0..<Int.random(in: 0...12, using: &random) {
            if Bool.random(using: &random) {
                text.unicodeScalars.append(special.randomElement(using: &random)!)
            } else if let scalar = Unicode.Scalar(UInt32.random(in: 1...0x10FFFF, using: &random)) {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
