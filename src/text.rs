//! Text that comes from elsewhere, as it may be shown.

/// The text with control and bidirectional characters escaped, so that whoever wrote it cannot paint over what this program says.
pub fn shown(text: &str) -> String {
    text.chars().flat_map(|c| if is_harmless(c) { vec![c] } else { c.escape_unicode().collect() }).collect()
}

/// The same for a text of several lines: the line ends stay.
pub fn shown_lines(text: &str) -> String {
    text.split('\n').map(shown).collect::<Vec<_>>().join("\n")
}

fn is_harmless(c: char) -> bool {
    !(c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'))
}

#[cfg(test)]
mod tests {
    use super::{shown, shown_lines};

    #[test]
    fn control_and_bidirectional_characters_are_escaped() {
        assert_eq!(shown("a\u{1b}[2Jb\u{202e}c\nü"), "a\\u{1b}[2Jb\\u{202e}c\\u{a}ü");
        assert_eq!(shown("a\u{200b}b\u{2028}c\u{feff}"), "a\\u{200b}b\\u{2028}c\\u{feff}");
    }

    #[test]
    fn line_ends_stay_where_lines_are_wanted() {
        assert_eq!(shown_lines("a\n  b\u{7}\n"), "a\n  b\\u{7}\n");
    }
}
