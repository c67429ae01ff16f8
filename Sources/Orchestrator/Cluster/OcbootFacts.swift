import Foundation
import Inventories
import SSH

/// What stands in ocboot's directory on a master, and what it needs to run. It is read; of ocboot itself nothing is run but `run.py -h`.
public struct OcbootFacts: Sendable, Hashable {
    /// How run.py takes a configuration file.
    public enum CommandLine: Sendable, Hashable {
        /// `run.py CONFIG`: up to 3.8. Another number of arguments is a usage error.
        case configuration
        /// `run.py CONFIG [--stack STACK]`: 3.9.
        case optionalStack
        /// `run.py STACK CONFIG`: from 3.10 on. The names of the stacks that it takes.
        case stack([String])
    }

    /// The program of the inventory's command, or run.py, is there and may be run.
    public var hasProgram: Bool
    /// The content of VERSION: the release whose images it installs unless it is told otherwise.
    public var release: String?
    /// `nil` where there is no run.py to read it from.
    public var commandLine: CommandLine?
    /// It has roles for k3s, and takes them unless it is told `--k8s-v115`.
    public var hasK3s: Bool
    public var takesK8sV115: Bool
    /// It passes the variable SKIP_TAGS on to Ansible.
    public var takesTags: Bool
    /// Why `run.py -h` ends with an error, in its last words; `nil` where it does not, and where it was not asked.
    public var startProblem: String?
    /// Of ansible-playbook: `2.9.27`, `2.15.13`; `nil` where there is none.
    public var ansible: String?
    /// The collections that its roles use from ansible-core 2.10 on are installed.
    public var hasCollections: Bool
    public var hasYAML: Bool

    public init(
        hasProgram: Bool = true, release: String? = nil, commandLine: CommandLine? = .configuration,
        hasK3s: Bool = false,
        takesK8sV115: Bool = false, takesTags: Bool = false, startProblem: String? = nil, ansible: String? = "2.9.27",
        hasCollections: Bool = true, hasYAML: Bool = true
    ) {
        self.hasProgram = hasProgram
        self.release = release
        self.commandLine = commandLine
        self.hasK3s = hasK3s
        self.takesK8sV115 = takesK8sV115
        self.takesTags = takesTags
        self.startProblem = startProblem
        self.ansible = ansible
        self.hasCollections = hasCollections
        self.hasYAML = hasYAML
    }

    /// Shell text that prints a line for each fact: its name, and its value where it has one.
    ///
    /// `run.py -h` is run only where run.py reads its arguments by argparse, which ends there: 3.8 would take `-h` for a file.
    static func script(_ ocboot: Inventory.Ocboot) -> String {
        let program = ocboot.command?.first ?? "./run.py"
        let test =
            program.contains("/")
            ? "[ -x \(ShellQuoting.quote(program)) ]" : "command -v \(ShellQuoting.quote(program)) >/dev/null"
        return """
            cd \(ShellQuoting.quote(ocboot.directory)) 2>/dev/null || exit 44
            \(test) && echo program
            [ -f VERSION ] && echo "release $(head -n 1 VERSION)"
            [ -d onecloud/roles/k3s ] && echo k3s
            [ -f lib/cmd.py ] && grep -q SKIP_TAGS lib/cmd.py && echo tags
            PATH=/usr/local/bin:$HOME/.local/bin:$PATH
            if [ -f run.py ]; then
                grep -q -e --k8s-v115 run.py && echo k8s-v115
                if grep -q "['\\"]STACK['\\"]" run.py; then
                    echo "stack $(sed -n "s/.*choices=\\[\\(['\\"]full['\\"][^]]*\\)\\].*/\\1/p" run.py | head -n 1 | tr -d "'\\"" | tr "," " ")"
                elif grep -q -e --stack run.py; then echo optional-stack
                else echo configuration; fi
                if grep -q argparse run.py; then
                    help=$(timeout 20 python3 ./run.py -h 2>&1 </dev/null) || echo "start $(printf '%s' "$help" | tail -n 1)"
                fi
            fi
            timeout 20 ansible-playbook --version 2>/dev/null </dev/null | sed -n '1s/^ansible-playbook *\\(\\[core\\)\\{0,1\\} *\\([0-9.]*\\).*/ansible \\2/p'
            timeout 20 ansible-galaxy collection list 2>/dev/null </dev/null | grep -q -e ansible.posix && echo collections
            python3 -c 'import yaml' 2>/dev/null && echo yaml
            true
            """
    }

    /// - Returns: `nil` where the directory is not there, or could not be read.
    package init?(_ section: SectionedScript.Section?) {
        guard let section, section.succeeded else { return nil }
        self.init(
            hasProgram: false, commandLine: nil, ansible: nil, hasCollections: false, hasYAML: false)
        for line in section.lines {
            let words = line.split(separator: " ", maxSplits: 1).map(String.init)
            let value = words.count > 1 ? words[1].trimmingCharacters(in: .whitespaces) : ""
            switch words.first {
            case "program": hasProgram = true
            case "release": release = value.isEmpty ? nil : value
            case "k3s": hasK3s = true
            case "tags": takesTags = true
            case "k8s-v115": takesK8sV115 = true
            // The names come without what stands between them.
            case "stack": commandLine = .stack(Self.stacks(value))
            case "optional-stack": commandLine = .optionalStack
            case "configuration": commandLine = .configuration
            case "start": startProblem = value.isEmpty ? "it says nothing" : value
            case "ansible": ansible = value.isEmpty ? nil : value
            case "collections": hasCollections = true
            case "yaml": hasYAML = true
            default: break
            }
        }
    }

    private static func stacks(_ text: String) -> [String] { text.split(separator: " ").map(String.init) }
}
