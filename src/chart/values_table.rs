//! The table of a chart's values in its README, made from `values.yaml`, its comments and the
//! schema.
//!
//! A comment that begins with `# --` directly above a key describes it, to the end of the comment.
//! Only what stands between the two marks of a README is made; the rest belongs to whoever writes
//! it.

use camino::Utf8Path;
use serde_json::Value as Json;

use super::ChartError;
use rune_core::yaml::{self, Node, Value};

const BEGIN: &str = "<!-- values: made by rune-bundle render -->\n";
const END: &str = "<!-- end of values -->\n";
const DESCRIPTION: &str = "# -- ";

/// The README with the table of these values between its marks; `None` when it has no marks.
pub(crate) fn readme_with_values(
    chart: &Utf8Path,
    readme: &str,
    values: &str,
    schema: Option<&str>,
) -> Result<Option<String>, ChartError> {
    let Some((before, rest)) = readme.split_once(BEGIN) else {
        return Ok(None);
    };
    let Some((_, after)) = rest.split_once(END) else {
        return Ok(None);
    };
    let root = yaml::parse(&chart.join("values.yaml"), values)?;
    let schema: Json = match schema {
        Some(text) => serde_json::from_str(text)
            .map_err(|error| ChartError::Schema(chart.join("values.schema.json"), error))?,
        None => Json::Null,
    };
    let mut table = "| value | type | default | |\n|---|---|---|---|\n".to_owned();
    let lines: Vec<&str> = values.lines().collect();
    Table {
        lines: &lines,
        schema: &schema,
        text: &mut table,
    }
    .rows(&root, "", Some(&schema));
    Ok(Some(format!("{before}{BEGIN}\n{table}\n{END}{after}")))
}

struct Table<'t> {
    lines: &'t [&'t str],
    schema: &'t Json,
    text: &'t mut String,
}

impl<'t> Table<'t> {
    fn rows(&mut self, node: &Node, path: &str, schema: Option<&'t Json>) {
        let Value::Mapping(entries) = &node.value else {
            return;
        };
        for (key, value) in entries {
            let path = if path.is_empty() {
                key.text.clone()
            } else {
                format!("{path}.{}", key.text)
            };
            let schema =
                schema.and_then(|schema| self.resolved(schema.get("properties")?.get(&key.text)?));
            let description = self.description(key.place.line);
            let has_keys = matches!(&value.value, Value::Mapping(entries) if !entries.is_empty());
            // A flow mapping is one value; what is spread over lines has a row for each of its own.
            let is_spread = has_keys && value.place.line > key.place.line;
            if !is_spread || !description.is_empty() {
                let kind = type_of(schema, value);
                let default = if is_spread {
                    String::new()
                } else {
                    format!("`{}`", written(value))
                };
                let cells = [format!("`{path}`"), kind, default, description]
                    .map(|cell| cell.replace('|', "\\|"));
                self.text.push_str(&format!("| {} |\n", cells.join(" | ")));
            }
            if is_spread {
                self.rows(value, &path, schema);
            }
        }
    }

    fn resolved(&self, schema: &'t Json) -> Option<&'t Json> {
        match schema.get("$ref").and_then(Json::as_str) {
            Some(reference) => self.schema.pointer(reference.strip_prefix('#')?),
            None => Some(schema),
        }
    }

    /// The description that ends in the line above; lines count from 1.
    fn description(&self, line: usize) -> String {
        let above = self.lines.get(..line.saturating_sub(1)).unwrap_or_default();
        let mut comment: Vec<&str> = above
            .iter()
            .rev()
            .map(|line| line.trim_start())
            .take_while(|line| line.starts_with('#'))
            .collect();
        comment.reverse();
        let begin = comment
            .iter()
            .rposition(|line| line.starts_with(DESCRIPTION));
        let described = begin
            .and_then(|begin| comment.get(begin..))
            .unwrap_or_default();
        described
            .iter()
            .map(|line| {
                line.trim_start_matches(DESCRIPTION)
                    .trim_start_matches('#')
                    .trim()
            })
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// What the schema allows, or else what the default is.
fn type_of(schema: Option<&Json>, value: &Node) -> String {
    if let Some(choices) = schema
        .and_then(|schema| schema.get("enum"))
        .and_then(Json::as_array)
    {
        return choices
            .iter()
            .map(|choice| format!("`{choice}`"))
            .collect::<Vec<_>>()
            .join(", ");
    }
    match schema.and_then(|schema| schema.get("type")) {
        Some(Json::String(kind)) => kind.clone(),
        Some(Json::Array(kinds)) => kinds
            .iter()
            .filter_map(Json::as_str)
            .collect::<Vec<_>>()
            .join(" or "),
        _ => match &value.value {
            Value::Null => "any",
            Value::Sequence(_) => "array",
            Value::Mapping(_) => "object",
            Value::Scalar {
                text,
                is_plain: true,
            } if matches!(text.as_str(), "true" | "false") => "boolean",
            Value::Scalar {
                text,
                is_plain: true,
            } if text.parse::<f64>().is_ok() => "number",
            Value::Scalar { .. } => "string",
        }
        .to_owned(),
    }
}

fn written(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Scalar {
            text,
            is_plain: true,
        } => text.clone(),
        Value::Scalar { text, .. } => Json::from(text.as_str()).to_string(),
        Value::Sequence(items) => format!(
            "[{}]",
            items.iter().map(written).collect::<Vec<_>>().join(", ")
        ),
        Value::Mapping(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Mapping(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", key.text, written(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::readme_with_values;

    const VALUES: &str = "# A heading that is not a description.\n\n# -- Whether it is on,\n# or \
                          off.\nenabled: true\nimage:\n  # note\n  # -- With a | in it.\n  \
                          tag: \"1.0\"\n  list: [a, \"b\"]\n# -- Whole.\nnested:\n  size: 8Gi\n  \
                          flow: { a: 1, b: {} }\nmode: one\n";
    const SCHEMA: &str = r##"{"properties": {"enabled": {"type": "boolean"}, "image": {"$ref": "#/definitions/image"}, "mode": {"enum": ["one", 2]}},
                           "definitions": {"image": {"properties": {"tag": {"type": ["string", "null"]}}}}}"##;

    #[test]
    fn every_value_has_a_row_and_the_rest_of_the_readme_stays() {
        let readme = "# demo\n<!-- values: made by rune-bundle render -->\nold\n<!-- end of \
                      values -->\nafter\n";
        let made = readme_with_values("demo".into(), readme, VALUES, Some(SCHEMA))
            .unwrap()
            .unwrap();
        let expected = "# demo\n<!-- values: made by rune-bundle render -->\n\n\
                        | value | type | default | |\n|---|---|---|---|\n\
                        | `enabled` | boolean | `true` | Whether it is on, or off. |\n\
                        | `image.tag` | string or null | `\"1.0\"` | With a \\| in it. |\n\
                        | `image.list` | array | `[a, \"b\"]` |  |\n\
                        | `nested` | object |  | Whole. |\n\
                        | `nested.size` | string | `8Gi` |  |\n\
                        | `nested.flow` | object | `{ a: 1, b: {} }` |  |\n\
                        | `mode` | `\"one\"`, `2` | `one` |  |\n\
                        \n<!-- end of values -->\nafter\n";
        assert_eq!(made, expected);
        assert_eq!(
            readme_with_values("demo".into(), &made, VALUES, Some(SCHEMA))
                .unwrap()
                .unwrap(),
            expected
        );
        assert_eq!(
            readme_with_values("demo".into(), "# no marks\n", VALUES, None).unwrap(),
            None
        );
    }

    #[test]
    fn a_schema_that_is_no_json_is_named() {
        let readme = "<!-- values: made by rune-bundle render -->\n<!-- end of values -->\n";
        let error = readme_with_values("charts/x".into(), readme, "a: 1\n", Some("{")).unwrap_err();
        assert!(
            error.to_string().contains("charts/x/values.schema.json"),
            "{error}"
        );
    }
}
