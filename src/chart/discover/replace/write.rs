//! Writing the changed scalars of a document, each in its own style where that is possible.

use camino::Utf8Path;

use super::{
    Edit, edited,
    plan::{Change, Plan},
};
use crate::chart::discover::MAX_NODES;
use rune_core::yaml::{self, Node, Place, Value};

#[derive(Clone, Copy)]
enum Manner {
    /// Its bytes with the changed ones in them.
    InPlace,
    Quoted,
}

pub(super) fn edits(text: &str, root: &Node, plan: &Plan) -> Option<Vec<Edit>> {
    let name = Utf8Path::new("a document");
    let ranges = yaml::scalar_ranges(name, text).ok()?;
    [Manner::InPlace, Manner::Quoted]
        .into_iter()
        .find_map(|manner| {
            let edit = |(place, change): (&Place, &Change)| {
                let range = ranges.get(place)?.clone();
                let new = written(text.get(range.clone())?, change, manner);
                Some((range, new))
            };
            let edits: Vec<Edit> = plan.iter().map(edit).collect::<Option<_>>()?;
            let read = yaml::parse_rendered(name, &edited(text, &edits), MAX_NODES).ok()?;
            is_as_planned(root, &read, plan).then_some(edits)
        })
}

fn written(raw: &str, change: &Change, manner: Manner) -> String {
    let in_place = match manner {
        Manner::InPlace => in_place(raw, change),
        Manner::Quoted => None,
    };
    in_place.unwrap_or_else(|| {
        let quoted = yaml::double_quoted(&change.new_text());
        // What ends a block scalar belongs to its bytes.
        let is_block = raw.starts_with(['|', '>']);
        let end = if is_block {
            raw.trim_end_matches(['\n', '\r', ' ', '\t']).len()
        } else {
            raw.len()
        };
        format!("{quoted}{}", raw.get(end..).unwrap_or_default())
    })
}

/// The bytes of a scalar with what changes in them, where that is written as it is read.
fn in_place(raw: &str, change: &Change) -> Option<String> {
    let edits = change.edits.iter().map(|(range, new)| {
        let old = change.text.get(range.clone())?;
        let before = change.text.get(..range.start)?.matches(old).count();
        let mut existing = raw.match_indices(old);
        if old.is_empty() || existing.clone().count() != change.text.matches(old).count() {
            return None;
        }
        let (start, _) = existing.nth(before)?;
        Some((start..start + old.len(), new.clone()))
    });
    Some(edited(raw, &edits.collect::<Option<Vec<Edit>>>()?))
}

/// Whether a document is another one with the planned changes.
fn is_as_planned(old: &Node, new: &Node, plan: &Plan) -> bool {
    let is_text = |place: Place, old: &str, new: &str| match plan.get(&place) {
        Some(change) => change.new_text() == new,
        None => old == new,
    };
    match (&old.value, &new.value) {
        (Value::Null, Value::Null) => true,
        (
            Value::Scalar {
                text: old_text,
                is_plain: was_plain,
            },
            Value::Scalar { text, is_plain },
        ) => {
            let is_same_style = was_plain == is_plain || plan.contains_key(&old.place);
            is_same_style && is_text(old.place, old_text, text)
        }
        (Value::Sequence(old), Value::Sequence(new)) => {
            let mut pairs = old.iter().zip(new);
            old.len() == new.len() && pairs.all(|(old, new)| is_as_planned(old, new, plan))
        }
        (Value::Mapping(old), Value::Mapping(new)) => {
            let mut pairs = old.iter().zip(new);
            old.len() == new.len()
                && pairs.all(|((old_key, old), (new_key, new))| {
                    is_text(old_key.place, &old_key.text, &new_key.text)
                        && is_as_planned(old, new, plan)
                })
        }
        _ => false,
    }
}
