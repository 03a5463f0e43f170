//! How much of a server's message is shown: what the server itself says, and of what a site's
//! functions say their names alone.
//!
//! A function that a site has put on RUNE's tables may raise any text, and often one with the row
//! that it refuses.

use tokio_postgres::error::{DbError, SqlState};

use rune_core::text::shown;

const MOST_CHARACTERS: usize = 300;
/// How many characters of a function's name are shown.
const MOST_NAME_CHARACTERS: usize = 100;

/// The message as it may be shown. `touches_rows` unless the statement cannot have met a row.
pub(super) fn message(error: &DbError, touches_rows: bool) -> String {
    if touches_rows && let Some(function) = site_function(error.routine(), error.where_()) {
        return format!("{function} of this site raised an error");
    }
    if touches_rows && quotes_values(error.code()) {
        return bounded(before_quote(error.message()), MOST_CHARACTERS);
    }
    bounded(error.message(), MOST_CHARACTERS)
}

/// A text escaped, and cut where it is long.
pub(super) fn bounded(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => shown(text.get(..end).unwrap_or_default()) + "…",
        None => shown(text),
    }
}

/// The function of a site that raised an error, or met one. The context tells, and its words are in
/// the server's language; the name of the language that the function is written in is not.
fn site_function(routine: Option<&str>, context: Option<&str>) -> Option<String> {
    const IN_ENGLISH: [&str; 5] = [
        "PL/pgSQL function ",
        "PL/Python function ",
        "PL/Perl function ",
        "PL/Tcl function ",
        "SQL function ",
    ];
    let line = context
        .unwrap_or_default()
        .lines()
        .find(|line| line.contains("PL/") || line.starts_with("SQL function "));
    let Some(line) = line else {
        return (routine == Some("exec_stmt_raise")).then(|| "a function".to_owned());
    };
    let name = IN_ENGLISH
        .iter()
        .find_map(|prefix| line.strip_prefix(prefix))
        .and_then(name);
    Some(name.map_or_else(
        || "a function".to_owned(),
        |name| format!("function `{}`", bounded(name, MOST_NAME_CHARACTERS)),
    ))
}

/// The name at the start of a text: in quotes, or up to its list of types, with it.
fn name(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted.split_once('"').map(|(name, _)| name);
    }
    let end = text.find(')')?;
    text.get(..=end)
}

/// Whether the server's own message of this kind has a cell of a row in it. What it says of
/// encodings has single characters.
fn quotes_values(code: &SqlState) -> bool {
    code.code().starts_with("22")
        && ![
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            SqlState::UNTRANSLATABLE_CHARACTER,
        ]
        .contains(code)
}

/// What comes before the first quoted piece.
fn before_quote(text: &str) -> &str {
    text.split(['"', '«', '»', '„', '“', '”', '「', '\''])
        .next()
        .unwrap_or_default()
        .trim_end_matches([' ', ':', '：', '\u{a0}'])
}

#[cfg(test)]
mod tests {
    use super::{before_quote, bounded, site_function};

    #[test]
    fn a_function_is_named_and_what_it_says_is_not_repeated() {
        for (context, name) in [
            (
                "PL/pgSQL function public.no(integer,text) line 3 at RAISE",
                "function `public.no(integer,text)`",
            ),
            (
                "PL/pgSQL function no() line 1 at RAISE\nCOPY jobs, line 1",
                "function `no()`",
            ),
            (
                "COPY jobs, line 1, column kind: \"PL\"\nPL/Python function \"no\"",
                "function `no`",
            ),
            ("SQL function \"no\" statement 1", "function `no`"),
            ("PL/pgSQL-Funktion no() Zeile 1 bei RAISE", "a function"),
            (
                "PL/pgSQL function no\u{1b}[2J() line 1",
                "function `no\\u{1b}[2J()`",
            ),
        ] {
            assert_eq!(
                site_function(None, Some(context)).as_deref(),
                Some(name),
                "{context}"
            );
        }
        assert_eq!(
            site_function(Some("exec_stmt_raise"), None).as_deref(),
            Some("a function")
        );
        assert_eq!(
            site_function(Some("ExecConstraints"), Some("COPY jobs, line 1")),
            None
        );
        assert_eq!(site_function(None, None), None);
    }

    #[test]
    fn a_message_ends_before_a_value_and_is_never_long() {
        assert_eq!(
            before_quote("invalid input syntax for type integer: \"a b\""),
            "invalid input syntax for type integer"
        );
        assert_eq!(
            before_quote("ungültige Eingabesyntax für Typ integer: »a«"),
            "ungültige Eingabesyntax für Typ integer"
        );
        assert_eq!(bounded("abcd", 4), "abcd");
        assert_eq!(bounded("äbcde", 4), "äbcd…");
    }
}
