/// Columns under a header, as wide as their widest cell; the last one takes what it needs.
struct Table {
    var header: [String]
    var rows: [[String]] = []

    init(_ header: [String]) {
        self.header = header
    }

    var lines: [String] {
        let all = [header] + rows
        let widths = header.indices.map { column in all.map { Columns.width($0[column]) }.max() ?? 0 }
        return all.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += column == row.count - 1 ? cell : Columns.pad(cell, to: widths[column] + 2)
            }
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }
    }
}
