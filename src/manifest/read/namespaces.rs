//! How a manifest wants namespaces to be created.

use std::collections::BTreeMap;

use super::Reader;
use crate::manifest::{Direction, Namespace, PodSecurity, problem::ManifestProblem};
use rune_core::yaml::{self, Mapping, Node};

const LEVELS: [(&str, PodSecurity); 3] = [
    ("privileged", PodSecurity::Privileged),
    ("baseline", PodSecurity::Baseline),
    ("restricted", PodSecurity::Restricted),
];
const DIRECTIONS: [(&str, Direction); 2] = [
    ("ingress", Direction::Ingress),
    ("egress", Direction::Egress),
];

impl Reader {
    pub(super) fn namespaces(&mut self, map: &Mapping<'_>) -> Vec<Namespace> {
        let name = |namespace: &Namespace| {
            let name = namespace.name.clone();
            name.unwrap_or_else(|| "every other namespace".to_owned())
        };
        self.named_list(map, "namespaces", "namespaces", Self::namespace, name)
    }

    fn namespace(&mut self, node: &Node) -> Option<Namespace> {
        let keys = &["name", "podSecurity", "quota", "defaultDeny"];
        let map = Mapping::open(node, "a namespace", keys, &mut self.findings)?;
        let name = match map.optional("name") {
            Some(node) => Some(self.name(node, "a namespace")?),
            None => None,
        };
        let pod_security = map
            .optional("podSecurity")
            .and_then(|node| self.word(node, "a pod security level", &LEVELS));
        let quota = map.optional("quota").map(|node| self.quota(node));
        let default_deny = self.list(&map, "defaultDeny", |reader, node| {
            reader.word(node, "a direction", &DIRECTIONS)
        });
        Some(Namespace {
            name,
            pod_security,
            quota: quota.unwrap_or_default(),
            default_deny,
        })
    }

    fn quota(&mut self, node: &Node) -> BTreeMap<String, String> {
        let entries = yaml::named_items(node, "`quota`", &mut self.findings).unwrap_or_default();
        let mut quota = BTreeMap::new();
        for (resource, _, value) in entries {
            let Some(amount) = yaml::text(value, "an amount", &mut self.findings) else {
                continue;
            };
            if is_quantity(amount) {
                quota.insert(resource.to_owned(), amount.to_owned());
            } else {
                let problem = ManifestProblem::Quantity(amount.to_owned());
                self.add(value.place, &problem);
            }
        }
        quota
    }

    fn word<T: Copy>(
        &mut self,
        node: &Node,
        what: &'static str,
        known: &[(&'static str, T)],
    ) -> Option<T> {
        let text = yaml::text(node, what, &mut self.findings)?;
        let found = known.iter().find(|(word, _)| *word == text);
        let result = found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let known = known.iter().map(|(word, _)| (*word).to_owned());
            ManifestProblem::UnknownWord {
                what,
                word: text.to_owned(),
                known: known.collect(),
            }
        });
        self.parsed(node.place, result)
    }
}

/// Whether a text is an amount of a resource.
///
/// Source: the grammar of `resource.Quantity` in the Kubernetes API reference, without signs and
/// exponents.
fn is_quantity(text: &str) -> bool {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(number.len()..).unwrap_or_default();
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = match number.split_once('.') {
        Some((whole, rest)) => is_digits(whole) && is_digits(rest),
        None => is_digits(number),
    };
    let units = [
        "", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    is_number && units.contains(&unit)
}

#[cfg(test)]
mod tests {
    use super::is_quantity;

    #[test]
    fn amounts_are_those_of_kubernetes() {
        for good in ["20", "4", "0.5", "500m", "8Gi", "1.5G", "100k"] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in ["", "8GB", "-1", "Gi", "1.", ".5", "4 Gi", "1e3"] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }
}
