import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The lines at the end of the terminal that are drawn again in place. Whatever else is written meanwhile goes above them.
///
/// The cursor rests under the lines and is never hidden, and no mode of the terminal outlives a write: there is nothing to restore,
/// however the program ends.
final class LiveScreen: Sendable {
    struct Size: Equatable {
        var width: Int
        var height: Int
    }

    private struct State {
        var lines: [String] = []
        var size: Size?
        var descriptor = STDOUT_FILENO
    }

    private let state = Mutex(State())

    /// The terminal's; `nil` where the descriptor is none.
    static func size(of descriptor: Int32) -> Size? {
        var size = winsize()
        guard isatty(descriptor) == 1, ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0,
            size.ws_row > 0
        else { return nil }
        return Size(width: Int(size.ws_col), height: Int(size.ws_row))
    }

    /// Draws these in place of those before.
    func draw(_ lines: [String], size: Size, on descriptor: Int32 = STDOUT_FILENO) {
        state.withLock { state in
            // After a change of size the position of the old lines is not known.
            let start = state.size == nil || state.size == size ? Self.home(state.lines) : "\u{1B}[H\u{1B}[2J"
            Descriptor.write(start + Self.text(lines) + "\u{1B}[J", to: descriptor)
            state = State(lines: lines, size: size, descriptor: descriptor)
        }
    }

    /// Writes above the lines, which are drawn again after it.
    func write(_ text: String, to descriptor: Int32) {
        state.withLock { state in
            guard !state.lines.isEmpty else { return Descriptor.write(text, to: descriptor) }
            Descriptor.write(Self.erase(state.lines), to: state.descriptor)
            Descriptor.write(text, to: descriptor)
            Descriptor.write(Self.text(state.lines), to: state.descriptor)
        }
    }

    /// Takes the lines away.
    func clear() {
        state.withLock { state in
            Descriptor.write(Self.erase(state.lines), to: state.descriptor)
            state = State()
        }
    }

    /// Leaves the lines where they are, as what they say last.
    func end() {
        state.withLock { $0 = State() }
    }

    /// Line by line: a screen that is erased from its first line to its end at once is kept as history by tmux.
    private static func erase(_ lines: [String]) -> String {
        home(lines) + String(repeating: "\u{1B}[K\n", count: lines.count) + home(lines)
    }

    /// To the first of the lines.
    private static func home(_ lines: [String]) -> String {
        lines.isEmpty ? "" : "\r\u{1B}[\(lines.count)A"
    }

    /// Each over what stood there, so that nothing flickers; without the terminal's own line breaks, because a character that is
    /// wider than was thought must not add a line. The rest of a line is erased before it is written: after it, the cursor of a full
    /// line stands on its last character.
    private static func text(_ lines: [String]) -> String {
        lines.isEmpty ? "" : "\u{1B}[?7l" + lines.map { "\u{1B}[K" + $0 + "\n" }.joined() + "\u{1B}[?7h"
    }
}

enum Descriptor {
    /// Written whole, so that lines of concurrent tasks do not mix; a reader that is gone (`| head`) is no fault.
    static func write(_ text: String, to descriptor: Int32) {
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
