//! The template engine, set up so that a rendering is a pure function of the template and its
//! context.
//!
//! Values come out as JSON, which YAML reads as it is: a string is quoted, a boolean is `true`,
//! nothing is ever `None`. The filter `raw` writes a string or a number without quotes. There is no
//! loader, no clock, no environment, and fuel ends what would not end.

use std::{collections::BTreeMap, sync::Arc};

use minijinja::{
    Environment, ErrorKind, Output, State, UndefinedBehavior, Value,
    syntax::SyntaxConfig,
    value::{Serde, ValueKind},
};
use serde::Serialize;

use super::{ChartError, TemplateError};

/// Steps of the engine per template; the project's own need a few thousand.
const FUEL: u64 = 1_000_000;

#[derive(Debug)]
pub struct Renderer {
    environment: Environment<'static>,
    sources: BTreeMap<String, Arc<str>>,
}

impl Renderer {
    /// Parses templates. The names are what errors say, so they are best paths that a person can
    /// open.
    pub fn new(templates: BTreeMap<String, String>) -> Result<Self, ChartError> {
        let mut environment = Environment::new();
        environment.set_syntax(syntax()?);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_formatter(write_json);
        environment.set_fuel(Some(FUEL));
        environment.set_debug(true);
        environment.add_filter("raw", raw);
        environment.remove_global("debug");
        let mut sources = BTreeMap::new();
        for (name, source) in templates {
            environment
                .add_template_owned(name.clone(), source.clone())
                .map_err(|error| {
                    TemplateError::new(&name, &source, &error, &serde_json::Value::Null)
                })?;
            sources.insert(name, source.into());
        }
        Ok(Self {
            environment,
            sources,
        })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }

    pub fn render<T: Serialize>(&self, name: &str, context: &T) -> Result<String, ChartError> {
        let source = self
            .sources
            .get(name)
            .ok_or_else(|| ChartError::NoTemplate(name.to_owned()))?;
        self.environment
            .get_template(name)
            .and_then(|template| template.render(Value::from(Serde(context))))
            .map_err(|error| {
                let context = serde_json::to_value(context).unwrap_or_default();
                TemplateError::new(name, source, &error, &context).into()
            })
    }
}

/// Delimiters that mean nothing to Helm, whose own are `{{ }}`.
fn syntax() -> Result<SyntaxConfig, ChartError> {
    SyntaxConfig::builder()
        .variable_delimiters("<@", "@>")
        .block_delimiters("<%", "%>")
        .comment_delimiters("<#", "#>")
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()
        .map_err(|error| TemplateError::new("", "", &error, &serde_json::Value::Null).into())
}

/// Writes a value as JSON, or as it is when `raw` has marked it.
fn write_json(
    output: &mut Output<'_>,
    _state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    if value.is_safe()
        && let Some(text) = value.as_str()
    {
        return output.write_str(text).map_err(minijinja::Error::from);
    }
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    let json = serde_json::to_string(value).map_err(|error| {
        minijinja::Error::new(ErrorKind::BadSerialization, "it has no JSON form").with_source(error)
    })?;
    output.write_str(&json).map_err(minijinja::Error::from)
}

fn raw(value: &Value) -> Result<Value, minijinja::Error> {
    match value.kind() {
        ValueKind::String | ValueKind::Number => Ok(Value::from_safe_string(value.to_string())),
        ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
        other => Err(minijinja::Error::new(
            ErrorKind::InvalidOperation,
            format!("raw takes a string or a number, not a {other}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::Renderer;
    use crate::chart::ChartError;
    use rune_core::failure::{Failure as _, FailureKind};

    fn render(source: &str, context: &Value) -> Result<String, ChartError> {
        Renderer::new(BTreeMap::from([("t.j2".to_owned(), source.to_owned())]))?
            .render("t.j2", context)
    }

    #[test]
    fn values_come_out_as_json_and_raw_takes_the_quotes_off() {
        let context = json!({ "s": "17\"\n", "t": true, "n": null, "l": ["a", 1], "i": 3 });
        let text = render(
            "<@ s @> <@ t @> <@ n @> <@ l @> <@ i @> <@ i | raw @> <@ \"x\" | raw @>\n",
            &context,
        )
        .unwrap();
        assert_eq!(text, "\"17\\\"\\n\" true null [\"a\",1] 3 3 x\n");
    }

    #[test]
    fn helm_syntax_and_newlines_pass_through() {
        let source = "a: {{ .Values.x | default \"{% y %}\" }} {# z #}\n<% if true %>\n  b\n<% \
                      endif %>\nc\n\n";
        assert_eq!(
            render(source, &json!({})).unwrap(),
            "a: {{ .Values.x | default \"{% y %}\" }} {# z #}\n  b\nc\n\n"
        );
    }

    #[test]
    fn raw_refuses_what_has_no_plain_text() {
        for expression in ["none | raw", "[1] | raw", "true | raw"] {
            assert_eq!(
                render(&format!("<@ {expression} @>"), &json!({}))
                    .unwrap_err()
                    .kind(),
                FailureKind::Input,
                "{expression}"
            );
        }
    }

    #[test]
    fn what_would_not_end_runs_out_of_fuel() {
        let error = render(
            "<% for a in range(9999) %><% for b in range(9999) %>x<% endfor %><% endfor %>",
            &json!({}),
        )
        .unwrap_err();
        assert!(error.to_string().contains("fuel"), "{error}");
    }

    #[test]
    fn nothing_outside_the_context_can_be_reached() {
        for expression in ["env", "now()", "debug()", "lipsum()", "random()"] {
            assert_eq!(
                render(&format!("<@ {expression} @>"), &json!({}))
                    .unwrap_err()
                    .kind(),
                FailureKind::Input,
                "{expression}"
            );
        }
        assert!(render("<% include 'x' %>", &json!({})).is_err());
    }

    #[test]
    fn an_unknown_template_is_not_found() {
        let renderer = Renderer::new(BTreeMap::new()).unwrap();
        assert_eq!(
            renderer.render("none.j2", &json!({})).unwrap_err().kind(),
            FailureKind::NotFound
        );
    }
}
