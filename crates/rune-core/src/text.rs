//! Text that comes from elsewhere, as it may be shown.

/// The text with control and bidirectional characters escaped, so that whoever wrote it cannot
/// paint over what this program says.
pub fn shown(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if is_harmless(c) {
                vec![c]
            } else {
                c.escape_unicode().collect()
            }
        })
        .collect()
}

/// The same for a text of several lines: the line ends stay.
pub fn shown_lines(text: &str) -> String {
    text.split('\n').map(shown).collect::<Vec<_>>().join("\n")
}

/// The same for a text as somebody wrote it: tabs stay too.
pub fn shown_text(text: &str) -> String {
    text.split('\t')
        .map(shown_lines)
        .collect::<Vec<_>>()
        .join("\t")
}

pub fn without_error_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let number = part.split_once(')');
        match number.filter(|(number, _)| number.chars().all(|c| c.is_ascii_digit())) {
            Some((_, rest)) => shown.push_str(rest),
            None => shown.extend([" (os error ", part]),
        }
    }
    shown
}

/// A number of bytes for people, in decimal units.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} byte{}", if bytes == 1 { "" } else { "s" });
    }
    let mut divisor = 1_u128;
    let mut shown = String::new();
    for unit in UNITS {
        divisor *= 1000;
        let tenths = (u128::from(bytes) * 10 + divisor / 2) / divisor;
        shown = format!("{}.{} {unit}", tenths / 10, tenths % 10);
        // What would be shown as 1000 belongs to the next unit.
        if tenths < 10_000 {
            break;
        }
    }
    shown
}

/// The same with the exact number: `62.5 MB (62,499,328 bytes)`.
pub fn exact_size(bytes: u64) -> String {
    let size = size(bytes);
    if bytes < 1000 {
        return size;
    }
    let digits = bytes.to_string();
    let mut number = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            number.push(',');
        }
        number.push(digit);
    }
    format!("{size} ({number} bytes)")
}

fn is_harmless(c: char) -> bool {
    !(c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'))
}

#[cfg(test)]
mod tests {
    use super::{shown, shown_lines, shown_text, size, without_error_numbers};

    #[test]
    fn control_and_bidirectional_characters_are_escaped() {
        assert_eq!(
            shown("a\u{1b}[2Jb\u{202e}c\nü"),
            "a\\u{1b}[2Jb\\u{202e}c\\u{a}ü"
        );
        assert_eq!(
            shown("a\u{200b}b\u{2028}c\u{feff}"),
            "a\\u{200b}b\\u{2028}c\\u{feff}"
        );
    }

    #[test]
    fn numbers_of_system_errors_are_left_out() {
        assert_eq!(
            without_error_numbers(
                "no connection: Connection refused (os error 111) after 4 attempts"
            ),
            "no connection: Connection refused after 4 attempts"
        );
        assert_eq!(
            without_error_numbers("(os error x) (os error 2"),
            "(os error x) (os error 2"
        );
    }

    #[test]
    fn line_ends_stay_where_lines_are_wanted() {
        assert_eq!(shown_lines("a\n  b\u{7}\n"), "a\n  b\\u{7}\n");
        assert_eq!(shown_text("a\tb\n\u{1b}c"), "a\tb\n\\u{1b}c");
    }

    #[test]
    fn sizes_are_short_and_never_say_a_thousand() {
        let shown: Vec<String> = [
            0,
            1,
            999,
            1000,
            1234,
            999_949,
            999_950,
            1_000_000,
            12_345_678_901,
        ]
        .into_iter()
        .map(size)
        .collect();
        assert_eq!(
            shown,
            [
                "0 bytes",
                "1 byte",
                "999 bytes",
                "1.0 kB",
                "1.2 kB",
                "999.9 kB",
                "1.0 MB",
                "1.0 MB",
                "12.3 GB"
            ]
        );
    }
}
