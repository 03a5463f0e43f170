//! Which items of two lists belong together.

use std::collections::BTreeMap;

pub(super) type Pair<'a, T> = (Option<&'a T>, Option<&'a T>);

/// Pairs the items of two lists by a key, in the order of the keys. Items of the same key pair in
/// the order of their lists.
pub(super) fn paired<'a, T, K: Ord>(
    old: impl IntoIterator<Item = &'a T>,
    new: impl IntoIterator<Item = &'a T>,
    key: impl Fn(&T) -> K,
) -> Vec<Pair<'a, T>> {
    let mut pairs: BTreeMap<(K, usize), Pair<'a, T>> = BTreeMap::new();
    for (item, number) in numbered(old, &key) {
        pairs.entry((key(item), number)).or_default().0 = Some(item);
    }
    for (item, number) in numbered(new, &key) {
        pairs.entry((key(item), number)).or_default().1 = Some(item);
    }
    pairs.into_values().collect()
}

/// Items with how many of the same key came before.
fn numbered<'a, T, K: Ord>(
    items: impl IntoIterator<Item = &'a T>,
    key: &impl Fn(&T) -> K,
) -> Vec<(&'a T, usize)> {
    let mut seen: BTreeMap<K, usize> = BTreeMap::new();
    let number = |item: &'a T| {
        let count = seen.entry(key(item)).or_default();
        *count += 1;
        (item, *count)
    };
    items.into_iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::paired;

    #[test]
    fn items_pair_by_key_and_those_of_the_same_key_in_their_order() {
        let (old, new) = ([("b", 1), ("a", 2), ("b", 3)], [("b", 4), ("c", 5)]);
        let pairs = paired(&old, &new, |item| item.0).into_iter();
        let pairs: Vec<_> = pairs
            .map(|(old, new)| (old.map(|item| item.1), new.map(|item| item.1)))
            .collect();
        assert_eq!(
            pairs,
            [
                (Some(2), None),
                (Some(1), Some(4)),
                (Some(3), None),
                (None, Some(5))
            ]
        );
    }
}
