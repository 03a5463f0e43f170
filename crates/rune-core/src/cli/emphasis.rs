//! Words of a report that matter most, in colour on a terminal.

const BOLD: &str = "1";
const RED: &str = "1;31";
const GREEN: &str = "32";
const YELLOW: &str = "1;33";

/// What a line of a report may begin with that is not like the rest.
const WORDS: [(&str, &str); 11] = [
    ("NOT SIGNED", RED),
    ("UNVERIFIED", RED),
    ("problem", RED),
    ("not ready", RED),
    ("refused", RED),
    ("warning", YELLOW),
    ("note:", YELLOW),
    ("not loaded", YELLOW),
    ("waived", YELLOW),
    ("ok", GREEN),
    ("ready", GREEN),
];

/// Colours the words above, and the first line in bold where it has none of them.
pub(super) fn emphasised(text: &str) -> String {
    let mut painted = String::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let known = WORDS.iter().find(|(word, _)| {
            line.strip_prefix(word)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
        });
        match known {
            Some((word, color)) => {
                painted.push_str(&paint(color, word));
                painted.push_str(&line[word.len()..]);
            }
            None if number == 0 => {
                let bare = line.trim_end_matches('\n');
                painted.push_str(&paint(BOLD, bare));
                painted.push_str(&line[bare.len()..]);
            }
            None => painted.push_str(line),
        }
    }
    painted
}

pub(super) fn paint(color: &str, text: &str) -> String {
    format!("\x1b[{color}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::emphasised;

    #[test]
    fn words_at_the_beginning_of_a_line_are_painted_and_nothing_else_changes() {
        let painted = emphasised("demo 1.0 is intact\nok       x\nokay\nnote: ok\n  warning\n");
        assert_eq!(
            painted,
            "\x1b[1mdemo 1.0 is intact\x1b[0m\n\x1b[32mok\x1b[0m       \
             x\nokay\n\x1b[1;33mnote:\x1b[0m ok\n  warning\n"
        );
        assert_eq!(emphasised("NOT SIGNED\n"), "\x1b[1;31mNOT SIGNED\x1b[0m\n");
        assert_eq!(emphasised(""), "");
    }
}
