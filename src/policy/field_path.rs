//! The paths that lead to a field of an object: `spec.images[].image`,
//! `data[app.yaml].agent.image`.
//!
//! Keys are separated by dots. A key with other characters than letters, digits, `-` and `_` stands
//! in brackets. Behind a key that holds a list, `[]` means every item, `[name]` the items with that
//! `name`, `[3]` the fourth. `[]` is every value of a mapping, too.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldStep<'p> {
    Key(&'p str),
    /// To every item of a list, or every value of a mapping.
    Every,
    /// To the value of a key of a mapping, or to the items of a list that have this name or number.
    Item(&'p str),
}

pub(crate) fn field_steps(path: &str) -> Option<Vec<FieldStep<'_>>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (item, behind) = inside.split_once(']')?;
            steps.push(if item.is_empty() {
                FieldStep::Every
            } else {
                FieldStep::Item(item)
            });
            rest = behind;
        } else {
            let from = if steps.is_empty() {
                rest
            } else {
                rest.strip_prefix('.')?
            };
            let end = from.find(['.', '[', ']']).unwrap_or(from.len());
            let (key, behind) = from
                .split_at_checked(end)
                .filter(|(key, _)| !key.is_empty())?;
            steps.push(FieldStep::Key(key));
            rest = behind;
        }
    }
    Some(steps).filter(|steps| !steps.is_empty())
}

/// How long a path may become, in bytes: objects that nest without end do not make paths without
/// end.
pub(crate) const MAX_FIELD_PATH: usize = 2048;

/// The path of the value of a key below a path; a path that is too long already stays as it is.
pub(crate) fn below_key(path: &str, key: &str) -> String {
    if path.len().saturating_add(key.len()) > MAX_FIELD_PATH {
        return path.to_owned();
    }
    let is_plain = !key.is_empty()
        && key
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_'));
    match (is_plain, path.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
        (false, _) => format!("{path}[{key}]"),
    }
}

/// The path of an item of a list below a path.
pub(crate) fn below_item(path: &str, number: usize) -> String {
    if path.len() > MAX_FIELD_PATH {
        return path.to_owned();
    }
    format!("{path}[{number}]")
}

#[cfg(test)]
mod tests {
    use super::{
        FieldStep::{Every, Item, Key},
        below_item, below_key, field_steps,
    };

    #[test]
    fn paths_are_read_as_they_are_written_in_findings() {
        assert_eq!(
            field_steps("spec.images[].image"),
            Some(vec![Key("spec"), Key("images"), Every, Key("image")])
        );
        assert_eq!(
            field_steps("data[a.yaml].agent[0][x]"),
            Some(vec![
                Key("data"),
                Item("a.yaml"),
                Key("agent"),
                Item("0"),
                Item("x")
            ])
        );
        let path = below_key(
            &below_item(&below_key(&below_key("", "metadata"), "helm.sh/images"), 3),
            "image",
        );
        assert_eq!(path, "metadata[helm.sh/images][3].image");
        assert_eq!(field_steps(&path).unwrap().len(), 4);
        for bad in ["", ".", "a.", "a[", "a]b", "a..b", ".a"] {
            assert_eq!(field_steps(bad), None, "{bad}");
        }
    }
}
