//! Columns of text.

/// The lines, each cell as wide as the widest of its column.
pub(super) fn aligned<'a, const N: usize>(
    lines: impl IntoIterator<Item = &'a [String; N]> + Clone,
) -> String {
    let mut widths = [0_usize; N];
    for line in lines.clone() {
        for (width, cell) in widths.iter_mut().zip(line.iter()) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let written = |line: &[String; N]| {
        let cells = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.into_iter().map(written).collect()
}
