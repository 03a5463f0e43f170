//! The difference of texts as a patch that `patch -p1` and `git apply` take.

use std::fmt::Write as _;

/// Lines that are the same around each change.
const CONTEXT: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line<'t> {
    Same(&'t str),
    Removed(&'t str),
    Added(&'t str),
}

/// The patch that makes `new` of `old`; nothing stands for a file that does not exist yet. Empty
/// when nothing changes.
pub(super) fn patch(path: &str, old: Option<&str>, new: &str) -> String {
    let lines = compared(old.unwrap_or_default(), new);
    if lines.iter().all(|line| matches!(line, Line::Same(_))) {
        return String::new();
    }
    let mut text = match old {
        Some(_) => format!("--- a/{path}\n+++ b/{path}\n"),
        None => format!("--- /dev/null\n+++ b/{path}\n"),
    };
    hunks(&lines)
        .into_iter()
        .for_each(|(from, to)| write_hunk(&mut text, &lines, from, to));
    text
}

/// Lines by a longest common subsequence; what is the same at both ends is left out of the search.
fn compared<'t>(old: &'t str, new: &'t str) -> Vec<Line<'t>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (
        old.split_inclusive('\n').collect(),
        new.split_inclusive('\n').collect(),
    );
    let start = old
        .iter()
        .zip(&new)
        .take_while(|(one, other)| one == other)
        .count();
    let rest = |lines: &[&'t str]| lines.get(start..).unwrap_or_default().to_vec();
    let (old_rest, new_rest) = (rest(&old), rest(&new));
    let end = old_rest
        .iter()
        .rev()
        .zip(new_rest.iter().rev())
        .take_while(|(one, other)| one == other)
        .count();
    let middle = |lines: &[&'t str]| {
        lines
            .get(..lines.len().saturating_sub(end))
            .unwrap_or_default()
            .to_vec()
    };
    let (a, b) = (middle(&old_rest), middle(&new_rest));
    let width = b.len() + 1;
    let mut lengths = vec![0_usize; (a.len() + 1) * width];
    let at = |lengths: &[usize], row: usize, column: usize| {
        lengths
            .get(row * width + column)
            .copied()
            .unwrap_or_default()
    };
    for (row, one) in a.iter().enumerate().rev() {
        for (column, other) in b.iter().enumerate().rev() {
            let length = if one == other {
                at(&lengths, row + 1, column + 1) + 1
            } else {
                at(&lengths, row + 1, column).max(at(&lengths, row, column + 1))
            };
            if let Some(cell) = lengths.get_mut(row * width + column) {
                *cell = length;
            }
        }
    }
    let mut lines: Vec<Line<'_>> = old
        .iter()
        .take(start)
        .map(|line| Line::Same(line))
        .collect();
    let (mut row, mut column) = (0, 0);
    loop {
        match (a.get(row), b.get(column)) {
            (Some(one), Some(other)) if one == other => {
                lines.push(Line::Same(one));
                (row, column) = (row + 1, column + 1);
            }
            (Some(one), other)
                if other.is_none()
                    || at(&lengths, row + 1, column) >= at(&lengths, row, column + 1) =>
            {
                lines.push(Line::Removed(one));
                row += 1;
            }
            (_, Some(other)) => {
                lines.push(Line::Added(other));
                column += 1;
            }
            _ => break,
        }
    }
    lines.extend(
        old.iter()
            .skip(old.len() - end)
            .map(|line| Line::Same(line)),
    );
    lines
}

fn hunks(lines: &[Line<'_>]) -> Vec<(usize, usize)> {
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (number, _) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| !matches!(line, Line::Same(_)))
    {
        let (from, to) = (
            number.saturating_sub(CONTEXT),
            (number + CONTEXT + 1).min(lines.len()),
        );
        match hunks.last_mut() {
            Some((_, end)) if from <= *end => *end = to,
            _ => hunks.push((from, to)),
        }
    }
    hunks
}

fn write_hunk(text: &mut String, lines: &[Line<'_>], from: usize, to: usize) {
    let count = |lines: &[Line<'_>], left_out: fn(&Line<'_>) -> bool| {
        lines.iter().filter(|line| !left_out(line)).count()
    };
    let (before, hunk) = (
        lines.get(..from).unwrap_or_default(),
        lines.get(from..to).unwrap_or_default(),
    );
    let (is_added, is_removed) = (
        |line: &Line<'_>| matches!(line, Line::Added(_)),
        |line: &Line<'_>| matches!(line, Line::Removed(_)),
    );
    let (old, new) = (count(hunk, is_added), count(hunk, is_removed));
    // A range without lines begins at the line before it.
    let first = |before: usize, length: usize| if length == 0 { before } else { before + 1 };
    let (old_first, new_first) = (
        first(count(before, is_added), old),
        first(count(before, is_removed), new),
    );
    let _ = writeln!(text, "@@ -{old_first},{old} +{new_first},{new} @@");
    for line in hunk {
        let (mark, line) = match line {
            Line::Same(line) => (' ', line),
            Line::Removed(line) => ('-', line),
            Line::Added(line) => ('+', line),
        };
        let _ = write!(text, "{mark}{line}");
        if !line.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::patch;

    #[test]
    fn a_patch_has_the_changes_with_three_lines_around_them() {
        assert_eq!(patch("a", Some("1\n"), "1\n"), "");
        assert_eq!(
            patch("a", None, "x\ny\n"),
            "--- /dev/null\n+++ b/a\n@@ -0,0 +1,2 @@\n+x\n+y\n"
        );
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let new = "1\n2\n3\n4\nx\n5\n6\n7\n8\n";
        let expected = "--- a/a\n+++ b/a\n@@ -2,8 +2,8 @@\n 2\n 3\n 4\n+x\n 5\n 6\n 7\n 8\n-9\n";
        assert_eq!(patch("a", Some(old), new), expected);
        assert_eq!(
            patch("a", Some("x"), "x\ny\n"),
            "--- a/a\n+++ b/a\n@@ -1,1 +1,2 @@\n-x\n\\ No newline at end of file\n+x\n+y\n"
        );
    }
}
