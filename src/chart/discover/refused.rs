//! What Kubernetes refuses of an object after a digest went into a value of its chart.

use camino::Utf8Path;

use super::{MAX_NODES, documents, entries, items, scalar, text_of};
use rune_core::yaml::{self, Node};

/// Whether an object is named after a digest, or has a label with one: neither may contain `:`.
/// Many charts put the tag of an image there, and a tag can be `v1@sha256:…`.
pub(crate) fn has_digest_in_name_or_label(rendered: &str) -> bool {
    documents(rendered).any(|document| {
        yaml::parse_rendered(Utf8Path::new("what Helm rendered"), document, MAX_NODES)
            .is_ok_and(|root| is_refused(&root))
    })
}

fn is_refused(node: &Node) -> bool {
    let has_digest = |text: &str| text.contains("sha256:");
    entries(node).any(|(key, value)| match key {
        "labels" | "matchLabels" => {
            entries(value).any(|(_, label)| scalar(label).is_some_and(has_digest))
        }
        "metadata" => text_of(value, "name").is_some_and(has_digest) || is_refused(value),
        _ => is_refused(value),
    }) || items(node).any(|(_, item)| is_refused(item))
}

#[cfg(test)]
mod tests {
    use super::has_digest_in_name_or_label;

    #[test]
    fn digests_in_names_and_labels_are_refused_and_those_elsewhere_are_not() {
        for (text, expected) in [
            ("metadata: {labels: {version: \"v1@sha256:00\"}}", true),
            ("metadata: {name: \"migrate-v1@sha256:00\"}", true),
            (
                "spec: {template: {metadata: {labels: {a: b, version: \"v1@sha256:00\"}}}}",
                true,
            ),
            (
                "items: [{spec: {selector: {matchLabels: {v: \"v1@sha256:00\"}}}}]",
                true,
            ),
            (
                "metadata: {name: a, labels: {v: v1}, annotations: {image: \"v1@sha256:00\"}}",
                false,
            ),
            ("spec: {containers: [{image: \"a:v1@sha256:00\"}]}", false),
        ] {
            assert_eq!(has_digest_in_name_or_label(text), expected, "{text}");
        }
    }
}
