//! Cuts a text of SQL into statements.
//!
//! A `;` ends a statement only where the engine would say so: not in strings, quoted names,
//! comments and dollar quotes, not in the body of a trigger or of a function. It does not check the
//! SQL otherwise.

use super::dialect::Dialect;

/// One statement, without its `;`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its text.
    pub sql: String,
    /// The line it begins on, from 1.
    pub line: usize,
    /// Its first words in upper case: what it does.
    pub leading_words: Vec<String>,
}

/// A text that ends in the middle of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {what} that begins on line {line} does not end")]
#[expect(missing_docs, reason = "the messages say it")]
pub struct SplitError {
    pub what: &'static str,
    /// Where it begins, from 1.
    pub line: usize,
}

/// Cuts `text` into statements; empty ones are left out.
///
/// # Errors
/// When a string, quoted name, comment, dollar quote or body does not end.
pub fn split(text: &str, dialect: Dialect) -> Result<Vec<Statement>, SplitError> {
    Splitter {
        rest: text,
        dialect,
        line: 1,
        statements: Vec::new(),
        current: Current::default(),
    }
    .run()
}

/// How many words are read to tell what a statement does.
const WORDS: usize = 6;

struct Splitter<'a> {
    rest: &'a str,
    dialect: Dialect,
    line: usize,
    statements: Vec<Statement>,
    current: Current,
}

#[derive(Default)]
struct Current {
    sql: String,
    /// Where its first token is; 0 before that.
    line: usize,
    leading_words: Vec<String>,
    /// Parentheses that are open, in PostgreSQL: rules have lists of statements in them.
    parentheses: usize,
    /// `BEGIN ATOMIC` and `CASE` that are open in the body of a PostgreSQL function.
    blocks: usize,
    /// The last two tokens, for the `; END ;` that ends a SQLite trigger and for `BEGIN ATOMIC`.
    before: String,
    last: String,
}

impl Current {
    fn is_trigger(&self) -> bool {
        let leading_words: Vec<&str> = self.leading_words.iter().map(String::as_str).collect();
        matches!(
            leading_words.as_slice(),
            ["CREATE", "TRIGGER", ..] | ["CREATE", "TEMP" | "TEMPORARY", "TRIGGER", ..]
        )
    }

    fn is_routine(&self) -> bool {
        let leading_words: Vec<&str> = self.leading_words.iter().map(String::as_str).collect();
        matches!(
            leading_words.as_slice(),
            ["CREATE", "FUNCTION" | "PROCEDURE", ..]
                | ["CREATE", "OR", "REPLACE", "FUNCTION" | "PROCEDURE", ..]
        )
    }

    fn see(&mut self, token: &str) {
        self.before = std::mem::replace(&mut self.last, token.to_owned());
    }
}

impl<'a> Splitter<'a> {
    fn run(mut self) -> Result<Vec<Statement>, SplitError> {
        while let Some(character) = self.rest.chars().next() {
            self.step(character)?;
        }
        let body = self.current.is_trigger() && self.current.sql.contains(';');
        if self.current.line > 0 && (body || self.current.blocks > 0) {
            return Err(SplitError {
                what: "body of the statement",
                line: self.current.line,
            });
        }
        self.end_statement();
        Ok(self.statements)
    }

    fn step(&mut self, character: char) -> Result<(), SplitError> {
        let is_postgres = self.dialect == Dialect::Postgres;
        match character {
            '-' if self.rest.starts_with("--") => {
                let length = self.rest.find('\n').unwrap_or(self.rest.len());
                self.take(length);
            }
            '/' if self.rest.starts_with("/*") => {
                let length = self.comment_length()?;
                self.take(length);
            }
            '\'' => self.quoted('\'', "string", is_postgres && self.is_escape_string())?,
            '"' => self.quoted('"', "quoted name", false)?,
            '`' if !is_postgres => self.quoted('`', "quoted name", false)?,
            '[' if !is_postgres => {
                let length = self.rest.find(']').ok_or(SplitError {
                    what: "quoted name",
                    line: self.line,
                })?;
                self.token(length + 1, "\"");
            }
            '$' if is_postgres && self.dollar_tag().is_some() => {
                let tag = self.dollar_tag().unwrap_or_default();
                let body = self.rest.get(tag.len()..).unwrap_or_default();
                let length = body.find(tag).ok_or(SplitError {
                    what: "dollar-quoted string",
                    line: self.line,
                })?;
                self.token(tag.len() * 2 + length, "'");
            }
            ';' => self.semicolon(),
            _ if character.is_alphanumeric() || matches!(character, '_' | '$') => self.word(),
            _ if character.is_whitespace() => self.take(character.len_utf8()),
            _ => {
                if is_postgres && character == '(' {
                    self.current.parentheses += 1;
                } else if is_postgres && character == ')' {
                    self.current.parentheses = self.current.parentheses.saturating_sub(1);
                }
                self.token(character.len_utf8(), "");
            }
        }
        Ok(())
    }

    /// Moves `length` bytes over without reading them.
    fn take(&mut self, length: usize) {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .unwrap_or((self.rest, ""));
        self.line += taken.matches('\n').count();
        self.current.sql.push_str(taken);
        self.rest = rest;
    }

    /// Moves a token over; `seen` is how it is remembered.
    fn token(&mut self, length: usize, seen: &str) {
        if self.current.line == 0 {
            self.current.line = self.line;
        }
        self.current.see(seen);
        self.take(length);
    }

    fn word(&mut self) {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
        let length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let word = self.rest.get(..length).unwrap_or_default().to_uppercase();
        self.token(length, &word);
        let current = &mut self.current;
        if current.leading_words.len() < WORDS {
            current.leading_words.push(word.clone());
        }
        if self.dialect == Dialect::Postgres && current.is_routine() {
            match word.as_str() {
                "ATOMIC" if current.before == "BEGIN" => current.blocks += 1,
                "CASE" if current.blocks > 0 => current.blocks += 1,
                "END" => current.blocks = current.blocks.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn semicolon(&mut self) {
        let current = &self.current;
        let is_inside = match self.dialect {
            Dialect::Sqlite => {
                current.is_trigger() && !(current.before == ";" && current.last == "END")
            }
            Dialect::Postgres => current.parentheses > 0 || current.blocks > 0,
        };
        if is_inside {
            self.token(1, ";");
            return;
        }
        self.rest = self.rest.get(1..).unwrap_or_default();
        self.end_statement();
    }

    fn end_statement(&mut self) {
        let current = std::mem::take(&mut self.current);
        if current.line > 0 {
            self.statements.push(Statement {
                sql: current.sql.trim().to_owned(),
                line: current.line,
                leading_words: current.leading_words,
            });
        }
    }

    fn quoted(
        &mut self,
        quote: char,
        what: &'static str,
        has_escapes: bool,
    ) -> Result<(), SplitError> {
        let mut characters = self.rest.char_indices().skip(1).peekable();
        while let Some((position, character)) = characters.next() {
            if has_escapes && character == '\\' {
                characters.next();
            } else if character == quote {
                // A doubled quote is one character of the text.
                if characters.next_if(|(_, next)| *next == quote).is_none() {
                    self.token(position + 1, "'");
                    return Ok(());
                }
            }
        }
        Err(SplitError {
            what,
            line: self.line,
        })
    }

    /// Whether the string that begins here is `E'…'`, in which a backslash escapes.
    fn is_escape_string(&self) -> bool {
        self.current.last == "E" && self.current.sql.ends_with(['e', 'E'])
    }

    fn comment_length(&self) -> Result<usize, SplitError> {
        let mut depth = 0_usize;
        let mut position = 0;
        while let Some(rest) = self.rest.get(position..).filter(|rest| !rest.is_empty()) {
            if rest.starts_with("/*") && (depth == 0 || self.dialect == Dialect::Postgres) {
                depth += 1;
                position += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                position += 2;
                if depth == 0 {
                    return Ok(position);
                }
            } else {
                position += rest.chars().next().map_or(1, char::len_utf8);
            }
        }
        Err(SplitError {
            what: "comment",
            line: self.line,
        })
    }

    /// The opening `$tag$` of a dollar quote, if one begins here; a word that holds a `$` never
    /// comes this way.
    fn dollar_tag(&self) -> Option<&'a str> {
        let inner = self.rest.strip_prefix('$')?;
        let length = inner.find('$')?;
        let tag = inner.get(..length)?;
        let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_')
            && !tag.starts_with(|c: char| c.is_ascii_digit());
        if is_tag {
            self.rest.get(..length + 2)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dialect, SplitError, split};

    fn statements(text: &str, dialect: Dialect) -> Vec<String> {
        split(text, dialect)
            .unwrap()
            .into_iter()
            .map(|statement| statement.sql)
            .collect()
    }

    fn both(text: &str) -> Vec<String> {
        let found = statements(text, Dialect::Sqlite);
        assert_eq!(found, statements(text, Dialect::Postgres), "{text}");
        found
    }

    #[test]
    fn semicolons_in_strings_names_and_comments_do_not_cut() {
        assert_eq!(both("SELECT 1; SELECT 2 ;"), ["SELECT 1", "SELECT 2"]);
        assert_eq!(both("SELECT ';', 'it''s;';"), ["SELECT ';', 'it''s;'"]);
        assert_eq!(
            both("SELECT \"a;\"\"b;\" -- c; d\n, /* e; */ 1; SELECT 2"),
            ["SELECT \"a;\"\"b;\" -- c; d\n, /* e; */ 1", "SELECT 2"]
        );
        assert_eq!(
            both("-- only; a comment\n /* and; another */ ;;\n"),
            [""; 0]
        );
    }

    #[test]
    fn each_dialect_has_quotes_of_its_own() {
        assert_eq!(
            statements("SELECT [a;b], `c;d`; SELECT 2", Dialect::Sqlite),
            ["SELECT [a;b], `c;d`", "SELECT 2"]
        );
        assert_eq!(
            statements("SELECT a[1]; SELECT 2", Dialect::Postgres),
            ["SELECT a[1]", "SELECT 2"]
        );
        assert_eq!(
            statements(
                r"SELECT E'\';', e'\\'; SELECT '\'; SELECT 3",
                Dialect::Postgres
            )
            .len(),
            3
        );
        assert_eq!(
            statements(r"SELECT '\'; SELECT 2", Dialect::Sqlite).len(),
            2
        );
        assert_eq!(
            statements("SELECT /* a /* b; */ ; */ 1; SELECT 2", Dialect::Postgres).len(),
            2
        );
        assert_eq!(
            statements("SELECT /* a /* b; */ 1; SELECT 2", Dialect::Sqlite).len(),
            2
        );
    }

    #[test]
    fn dollar_quotes_end_with_their_own_tag() {
        let text = "DO $x$ BEGIN PERFORM $$;$$; END $x$; SELECT $1, a$b$c; SELECT $$;$$";
        let found = statements(text, Dialect::Postgres);
        assert_eq!(
            found,
            [
                "DO $x$ BEGIN PERFORM $$;$$; END $x$",
                "SELECT $1, a$b$c",
                "SELECT $$;$$"
            ]
        );
    }

    #[test]
    fn a_sqlite_trigger_is_one_statement() {
        let trigger = "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN\n SELECT CASE WHEN 1 THEN 2 \
                       END;\n DELETE FROM b; END";
        assert_eq!(
            statements(&format!("{trigger}; SELECT 1;"), Dialect::Sqlite),
            [trigger, "SELECT 1"]
        );
    }

    #[test]
    fn a_postgres_body_is_one_statement() {
        let function = "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN \
                        true THEN 1 END; SELECT 2; END";
        assert_eq!(
            statements(&format!("{function}; SELECT 1"), Dialect::Postgres),
            [function, "SELECT 1"]
        );
        let rule = "CREATE RULE r AS ON INSERT TO a DO ALSO (DELETE FROM b; DELETE FROM c)";
        assert_eq!(
            statements(&format!("{rule}; SELECT 1"), Dialect::Postgres),
            [rule, "SELECT 1"]
        );
    }

    #[test]
    fn statements_know_their_line_and_first_words() {
        let found = split(
            "-- head\n\nSELECT 1;\n\n  create  index x\n on y (z);",
            Dialect::Sqlite,
        )
        .unwrap();
        assert_eq!(
            found
                .iter()
                .map(|statement| statement.line)
                .collect::<Vec<_>>(),
            [3, 5]
        );
        assert_eq!(found[1].leading_words[..3], ["CREATE", "INDEX", "X"]);
    }

    #[test]
    fn what_does_not_end_is_an_error_with_its_line() {
        for (text, what) in [
            ("\nSELECT 'x", "string"),
            ("\nSELECT \"x;", "quoted name"),
            ("\n/* x", "comment"),
            (
                "\nCREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b;",
                "body of the statement",
            ),
        ] {
            assert_eq!(
                split(text, Dialect::Sqlite),
                Err(SplitError { what, line: 2 }),
                "{text}"
            );
        }
        assert_eq!(
            split("DO $$ x; $", Dialect::Postgres),
            Err(SplitError {
                what: "dollar-quoted string",
                line: 1
            })
        );
        assert!(split("SELECT E'x\\'", Dialect::Postgres).is_err());
    }
}
