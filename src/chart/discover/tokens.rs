//! Cutting text into the words that could be image references.

/// The longest placeholder that is taken for one, in bytes.
const MAX_PLACEHOLDER: usize = 200;

const MAX_ADDRESS: usize = 46;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) text: &'t str,
    /// The word before it in the same line; empty when there is none.
    pub(super) before: &'t str,
}

/// Every word of a text: runs of the characters of references and addresses, and of placeholders.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let (mut rest, mut before) = (text, "");
    std::iter::from_fn(move || {
        loop {
            let first = rest.chars().next()?;
            let length = length_of_word(rest);
            if length == 0 {
                if first == '\n' {
                    before = "";
                }
                // `\n` as it is written within a quoted text.
                let escaped = rest
                    .strip_prefix('\\')
                    .and_then(|rest| rest.chars().next())
                    .filter(|letter| "nrt\"'\\".contains(*letter));
                let skipped = first.len_utf8() + escaped.map_or(0, char::len_utf8);
                rest = rest.get(skipped..)?;
                continue;
            }
            let (word, behind) = rest.split_at_checked(length)?;
            rest = behind;
            return Some(Token {
                text: word,
                before: std::mem::replace(&mut before, word),
            });
        }
    })
}

/// How long the word is that a text begins with; 0 when it begins with a separator.
fn length_of_word(text: &str) -> usize {
    let mut length = 0;
    while let Some(rest) = text.get(length..).filter(|rest| !rest.is_empty()) {
        let step = match rest.as_bytes().first() {
            Some(byte) if byte.is_ascii_alphanumeric() || b"._-/:@+%~*".contains(byte) => 1,
            // An IPv6 address stands at the beginning, or behind a scheme.
            Some(b'[')
                if length == 0
                    || text
                        .get(..length)
                        .is_some_and(|before| before.ends_with('/')) =>
            {
                address(rest)
            }
            // At the beginning it is a tag of XML.
            Some(b'<')
                if !text
                    .get(..length)
                    .is_some_and(|before| before.ends_with(['/', ':', '-', '.'])) =>
            {
                0
            }
            _ => placeholder(rest).unwrap_or(0),
        };
        if step == 0 {
            break;
        }
        length += step;
    }
    length
}

/// The length of `[…]` with an IPv6 address in it.
fn address(text: &str) -> usize {
    let inside = text.get(1..).unwrap_or_default();
    match inside
        .bytes()
        .take(MAX_ADDRESS)
        .position(|byte| byte == b']')
    {
        Some(end)
            if inside
                .get(..end)
                .is_some_and(|address| address.contains(':')) =>
        {
            let is_address = inside
                .bytes()
                .take(end)
                .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
            if is_address { end + 2 } else { 0 }
        }
        _ => 0,
    }
}

/// The length of the placeholder that a text begins with: `$(A)`, `${A}`, `{{ .A }}`, `$A`, `%s`,
/// `<A>`.
pub(super) fn placeholder(text: &str) -> Option<usize> {
    let within = |open: &str, close: &str| {
        let inside = text.strip_prefix(open)?;
        let limit = inside.len().min(MAX_PLACEHOLDER);
        let inside = inside
            .get(..limit)
            .or_else(|| inside.get(..inside.floor_char_boundary(limit)))?;
        let end = inside.find(close).filter(|end| {
            !inside
                .get(..*end)
                .is_some_and(|inside| inside.contains(['\n', '"']))
        })?;
        Some(open.len() + end + close.len())
    };
    match text.as_bytes() {
        [b'$', b'(', ..] => within("$(", ")"),
        [b'$', b'{', ..] => within("${", "}"),
        [b'{', b'{', ..] => within("{{", "}}"),
        // As in formats of C and Go.
        [b'%', b's' | b'd' | b'v', rest @ ..] => {
            (!rest.first().is_some_and(u8::is_ascii_alphanumeric)).then_some(2)
        }
        [b'$', first, ..] if first.is_ascii_alphabetic() || *first == b'_' => {
            let name = text
                .get(1..)?
                .bytes()
                .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
                .count();
            Some(name + 1)
        }
        [b'<', first, ..] if first.is_ascii_alphabetic() => {
            let length = within("<", ">")?;
            let name = text.get(1..length.saturating_sub(1))?;
            let is_name = name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            is_name.then_some(length)
        }
        _ => None,
    }
}
