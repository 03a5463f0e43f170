//! Which value a chart wants to be given, from what Helm said.

use camino::Utf8Path;

use crate::chart::ChartTree;

/// The longest name of a value that is shown.
const MAX_BYTES: usize = 120;

/// The values that Helm missed, as keys separated by dots; none when what it said does not tell.
pub(super) fn missing_values(message: &str, chart: &ChartTree) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    let mut add = |value: String| {
        let is_good = |value: &str| {
            !value.is_empty() && value.len() <= MAX_BYTES && value.bytes().all(is_key_byte)
        };
        if is_good(&value) && !values.contains(&value) {
            values.push(value);
        }
    };
    from_schema(message).into_iter().for_each(&mut add);
    if let Some(value) = last_value(message) {
        add(value);
    } else if let Some(value) = from_place(message, chart) {
        add(value);
    }
    values
}

const fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/')
}

/// `- storage: bucketName is required` of Helm 3, `at '/storage': missing property 'bucketName'` of
/// Helm 4.
fn from_schema(message: &str) -> Vec<String> {
    let mut values = Vec::new();
    for line in message
        .lines()
        .map(|line| line.trim().trim_start_matches("- "))
    {
        if let Some((place, name)) = line
            .strip_suffix(" is required")
            .and_then(|line| line.split_once(": "))
        {
            let parent = place.strip_prefix("(root)").unwrap_or(place);
            values.push(if parent.is_empty() {
                name.to_owned()
            } else {
                format!("{parent}.{name}")
            });
        }
        if let Some((place, names)) = line
            .strip_prefix("at '")
            .and_then(|line| line.split_once("': missing propert"))
        {
            let parent = place.trim_start_matches('/').replace('/', ".");
            let names = names.split('\'').skip(1).step_by(2);
            values.extend(names.map(|name| {
                if parent.is_empty() {
                    name.to_owned()
                } else {
                    format!("{parent}.{name}")
                }
            }));
        }
    }
    values
}

/// The last `.Values.a.b` in a text.
fn last_value(text: &str) -> Option<String> {
    let (_, rest) = text.rsplit_once(".Values.")?;
    let end = rest
        .find(|character: char| !(character.is_ascii_alphanumeric() || "_.".contains(character)))
        .unwrap_or(rest.len());
    rest.get(..end)
        .map(|value| value.trim_end_matches('.').to_owned())
}

/// The value on the line of a template that Helm names: `(chart/templates/a.yaml:3:14)`.
fn from_place(message: &str, chart: &ChartTree) -> Option<String> {
    let mut found = None;
    for part in message
        .split(['(', ' ', '\n'])
        .filter(|part| part.contains("templates/"))
    {
        let mut numbers = part.trim_end_matches(['>', ')', ':']).split(':');
        let (Some(path), Some(line), column) = (numbers.next(), numbers.next(), numbers.next())
        else {
            continue;
        };
        let (Ok(line), Some((_, path))) = (line.parse::<usize>(), path.split_once('/')) else {
            continue;
        };
        let column = column
            .and_then(|column| column.trim_end_matches(')').parse::<usize>().ok())
            .unwrap_or(0);
        let bytes = chart
            .iter()
            .find(|(file, _)| is_same_file(file, path))
            .map(|(_, bytes)| bytes);
        let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let Some(line) = text.and_then(|text| text.lines().nth(line.saturating_sub(1))) else {
            continue;
        };
        // What stands behind the place, or else anywhere on the line.
        let first = |text: &str| {
            text.split_once(".Values.").and_then(|(_, rest)| {
                last_value(&format!(".Values.{}", rest.split(".Values.").next()?))
            })
        };
        found = line
            .get(column.min(line.len())..)
            .and_then(first)
            .or_else(|| first(line))
            .or(found);
    }
    found
}

/// Helm names the files of a subchart by its name, whatever its directory or archive is called.
fn is_same_file(file: &Utf8Path, named: &str) -> bool {
    let ends = |path: &str| {
        path.rsplit_once("templates/")
            .map(|(_, rest)| rest.to_owned())
    };
    file.as_str() == named
        || (ends(file.as_str()).is_some()
            && ends(file.as_str()) == ends(named)
            && file.as_str().matches("charts/").count() == named.matches("charts/").count())
}

#[cfg(test)]
mod tests {
    use super::missing_values;
    use crate::chart::ChartTree;

    fn chart() -> ChartTree {
        let template = "a: 1\nname: {{ required \"set a name\" .Values.app.name | quote }}\n";
        ChartTree::new([("templates/a.yaml".into(), template.as_bytes().to_vec())].into())
    }

    #[test]
    fn what_helm_misses_is_named_in_each_of_its_ways_to_say_so() {
        for (message, expected) in [
            (
                "execution error at (shop/templates/a.yaml:2:9): set a name",
                vec!["app.name"],
            ),
            (
                "values don't meet the specifications of the schema(s) in the following \
                 chart(s):\n      shop:\n      - (root): host is required\n      - db: user is \
                 required",
                vec!["host", "db.user"],
            ),
            (
                "the following chart(s):\n      shop:\n      - at '/db': missing properties \
                 'user', 'name'\n      - at '': missing property 'host'",
                vec!["db.user", "db.name", "host"],
            ),
            (
                "template: shop/templates/a.yaml:1:3: executing \"x\" at <.Values.db.host.name>: \
                 nil pointer evaluating interface {}.name",
                vec!["db.host.name"],
            ),
            ("parse error", vec![]),
        ] {
            assert_eq!(missing_values(message, &chart()), expected, "{message}");
        }
    }
}
