//! What is wrong with a template: file, line, column, the line itself with a caret, and a hint.

use std::{fmt, ops::Range};

use serde_json::Value;

#[derive(Debug)]
pub struct TemplateError {
    name: String,
    line: usize,
    column: usize,
    message: String,
    excerpt: String,
    help: Option<String>,
}

impl TemplateError {
    /// Finds the place of an engine's error in the source. The context serves to say what there is
    /// instead of an undefined name.
    pub(super) fn new(name: &str, source: &str, error: &minijinja::Error, context: &Value) -> Self {
        let mut range = error.range().filter(|range| {
            source.is_char_boundary(range.start) && source.is_char_boundary(range.end)
        });
        let mut message = error.kind().to_string();
        let mut help = None;
        if error.kind() == minijinja::ErrorKind::UndefinedError {
            if let Some((expression, found)) = undefined(source, error) {
                let missing = Missing::find(&expression, context);
                message = format!("`{}` is not defined", missing.path);
                help = missing.help();
                range = found.or(range);
            }
        } else if let Some(detail) = error.detail() {
            message = format!("{message}: {detail}");
        }
        let (line, column) = range
            .as_ref()
            .map_or((error.line().unwrap_or(0), 0), |range| {
                place(source, range.start)
            });
        Self {
            name: name.to_owned(),
            line,
            column,
            message,
            excerpt: excerpt(source, line, column, range),
            help,
        }
    }

    pub(super) fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}:{}: {}{}",
            self.name, self.line, self.column, self.message, self.excerpt
        )
    }
}

impl std::error::Error for TemplateError {}

/// Which expression is undefined, and where it stands. The engine names it in words, and points at
/// its last operator or filter only.
fn undefined(source: &str, error: &minijinja::Error) -> Option<(String, Option<Range<usize>>)> {
    let start = error.range()?.start;
    let before = source.get(..start)?;
    let tag = before.rfind("<@").max(before.rfind("<%"))?;
    let named = error.detail().and_then(|detail| detail.split('`').nth(1));
    // A filter is told the value alone: then it is what stands between the delimiter and the first
    // `|`.
    let operand = source
        .get(tag + 2..)?
        .split(['|', '@', '%'])
        .next()
        .map(str::trim);
    let expression = named.or(operand)?;
    let from = source
        .get(tag..)?
        .find(expression)
        .map(|offset| tag + offset);
    Some((
        expression.to_owned(),
        from.map(|from| from..from + expression.len()),
    ))
}

fn place(source: &str, offset: usize) -> (usize, usize) {
    let before = source.get(..offset).unwrap_or(source);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before.get(start..).unwrap_or_default().chars().count() + 1,
    )
}

fn excerpt(source: &str, line: usize, column: usize, range: Option<Range<usize>>) -> String {
    let Some(text) = line
        .checked_sub(1)
        .and_then(|index| source.lines().nth(index))
    else {
        return String::new();
    };
    let Some(range) = range else {
        return format!("\n  | {text}");
    };
    let rest = text.chars().count().saturating_sub(column - 1).max(1);
    let width = source
        .get(range)
        .map_or(1, |part| {
            part.lines().next().unwrap_or_default().chars().count()
        })
        .clamp(1, rest);
    format!(
        "\n  | {text}\n  | {}{}",
        " ".repeat(column - 1),
        "^".repeat(width)
    )
}

/// The first part of a dotted expression that the context does not have.
struct Missing {
    path: String,
    known: Vec<String>,
}

impl Missing {
    fn find(expression: &str, context: &Value) -> Self {
        let mut path = String::new();
        let mut value = context;
        let parts = expression
            .split(['.', '[', ']'])
            .map(|part| part.trim().trim_matches(['"', '\'']))
            .filter(|part| !part.is_empty());
        for part in parts {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(part);
            match value.get(part) {
                Some(next) => value = next,
                None => {
                    return Self {
                        path,
                        known: value
                            .as_object()
                            .map(|map| map.keys().cloned().collect())
                            .unwrap_or_default(),
                    };
                }
            }
        }
        Self {
            path: expression.trim().to_owned(),
            known: Vec::new(),
        }
    }

    fn help(&self) -> Option<String> {
        let parent = self
            .path
            .rsplit_once('.')
            .map_or("the context", |(parent, _)| parent);
        (!self.known.is_empty()).then(|| format!("{parent} has: {}", self.known.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use crate::chart::Renderer;
    use rune_core::failure::Failure as _;

    fn report(source: &str, context: &Value) -> (String, Option<String>) {
        let templates =
            BTreeMap::from([("templates/values.yaml.j2".to_owned(), source.to_owned())]);
        let error = Renderer::new(templates)
            .and_then(|renderer| renderer.render("templates/values.yaml.j2", context))
            .unwrap_err();
        (error.to_string(), error.help())
    }

    #[test]
    fn an_undefined_name_is_named_with_its_place_and_what_there_is_instead() {
        let context = json!({ "images": { "postgres": { "tag": "17" }, "rune": {} } });
        let (text, help) = report("a: 1\nb: <@ images.postgrs.tag @>\n", &context);
        let expected = "templates/values.yaml.j2:2:7: `images.postgrs` is not defined\n  | b: <@ \
                        images.postgrs.tag @>\n  |       ^^^^^^^^^^^^^^";
        assert!(text.starts_with("templates/values.yaml.j2:2:"), "{text}");
        assert_eq!(text, expected);
        assert_eq!(help.as_deref(), Some("images has: postgres, rune"));
    }

    #[test]
    fn an_undefined_top_level_name_and_a_missing_field_are_named() {
        let (text, help) = report("<@ image @>", &json!({ "images": {} }));
        assert!(text.contains("`image` is not defined"), "{text}");
        assert_eq!(help.as_deref(), Some("the context has: images"));
        let (text, _) = report(
            "<@ images.rune.digest | raw @>",
            &json!({ "images": { "rune": { "tag": "1" } } }),
        );
        assert!(
            text.contains("`images.rune.digest` is not defined"),
            "{text}"
        );
    }

    #[test]
    fn a_syntax_error_shows_line_and_caret() {
        let (text, _) = report("a\nb: <@ x +\n", &json!({}));
        assert!(text.starts_with("templates/values.yaml.j2:"), "{text}");
        assert!(text.contains("syntax error"), "{text}");
    }
}
