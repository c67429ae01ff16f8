/// Columns under a header, as wide as their widest cell; the last one takes what it needs.
struct Table {
    var header: [String]
    var rows: [[String]] = []

    init(_ header: [String]) {
        self.header = header
    }

    var lines: [String] {
        let widths = widths
        return cells.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += column == row.count - 1 ? cell : Columns.pad(cell, to: widths[column] + 2)
            }
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }
    }

    /// As many tables as a screen needs, each with the first column before its share of the others.
    /// - Parameter width: of the screen; `nil` where there is none, and with it no need.
    func split(to width: Int?) -> [Table] {
        guard let width, header.count > 1 else { return [self] }
        let widths = widths
        var groups: [[Int]] = [[0]]
        var used = widths[0]
        for column in header.indices.dropFirst() {
            if groups[groups.count - 1].count > 1, used + 2 + widths[column] > width {
                groups.append([0])
                used = widths[0]
            }
            groups[groups.count - 1].append(column)
            used += 2 + widths[column]
        }
        return groups.map { columns in
            var table = Table(columns.map { header[$0] })
            table.rows = rows.map { row in columns.map { row[$0] } }
            return table
        }
    }

    private var widths: [Int] {
        header.indices.map { column in cells.map { Columns.width($0[column]) }.max() ?? 0 }
    }

    /// A name with a newline in it must not make a row of its own.
    private var cells: [[String]] {
        ([header] + rows).map {
            $0.map { $0.split(separator: /\R/, omittingEmptySubsequences: false).joined(separator: "\\n") }
        }
    }
}
