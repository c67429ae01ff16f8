import Foundation
import SSH

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Standard output and standard error, and whether a person sits there.
struct Terminal: Sendable {
    enum Style: String {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
    }

    let isJSON: Bool
    let isVerbose: Bool
    private let hasColor: Bool

    init(_ options: GlobalOptions) {
        isJSON = options.output == .json
        isVerbose = options.isVerbose
        let environment = ProcessInfo.processInfo.environment
        // https://no-color.org: set and not empty.
        let isRefused =
            options.noColor || environment["NO_COLOR"].map { !$0.isEmpty } == true || environment["TERM"] == "dumb"
        hasColor = !isRefused && isatty(options.output == .json ? STDERR_FILENO : STDOUT_FILENO) == 1
    }

    func paint(_ text: String, _ style: Style) -> String {
        hasColor ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// The verb's answer: standard output.
    func print(_ line: String) {
        write(line + "\n", to: STDOUT_FILENO)
    }

    /// Words for a person that are no answer: standard error.
    func say(_ line: String) {
        write(line + "\n", to: STDERR_FILENO)
    }

    /// Progress is the answer of a run in text; with JSON it would be in the way.
    func progress(_ line: String) {
        if isJSON { say(line) } else { print(line) }
    }

    /// One document, or one line, of JSON.
    func printJSON(_ value: some Encodable, pretty: Bool = true) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting =
            pretty ? [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes] : [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        encoder.keyEncodingStrategy = .convertToSnakeCase
        print(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    /// Both standard streams are a person's.
    var canAsk: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1 }

    /// Asks on the terminal itself, whatever the standard streams are, without an echo; `nil` where there is none.
    func askSecret(_ question: String) -> Secret? {
        let descriptor = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var old = termios()
        guard tcgetattr(descriptor, &old) == 0 else { return nil }
        var silent = old
        silent.c_lflag &= ~tcflag_t(ECHO)
        guard tcsetattr(descriptor, TCSAFLUSH, &silent) == 0 else { return nil }
        defer {
            _ = tcsetattr(descriptor, TCSAFLUSH, &old)
            write("\n", to: descriptor)
        }
        write(question, to: descriptor)
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while read(descriptor, &byte, 1) == 1, byte != UInt8(ascii: "\n") { bytes.append(byte) }
        return bytes.isEmpty ? nil : Secret(String(decoding: bytes, as: UTF8.self))
    }

    var width: Int {
        var size = winsize()
        if ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 20 { return Int(size.ws_col) }
        return 100
    }

    /// Written whole, so that lines of concurrent tasks do not mix; a reader that is gone (`| head`) is no fault.
    private func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { systemWrite(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                return
            }
            bytes = bytes.dropFirst(count)
        }
    }
}

/// write(2), by a name that does not clash with the method above.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
