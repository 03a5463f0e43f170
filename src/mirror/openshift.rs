//! Mirror sets of OpenShift: one for images that are named by their digest, one for those that are
//! named by their tag alone.
//!
//! They hold for the whole cluster. So they name the repositories of the bundle and not the
//! registries of these, from which other things of the cluster may come.
//!
//! Source: the API of OpenShift, `config.openshift.io/v1`.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{Configuration, ConfigurationFile, Destination, quoted};
use crate::oci::Reference;

pub(super) fn configuration(
    bundle: &str,
    images: &[&Reference],
    destination: &Destination,
) -> Configuration {
    let repositories: BTreeSet<(&str, &str)> = images
        .iter()
        .map(|image| (image.registry(), image.repository()))
        .collect();
    let sets = [
        ("ImageDigestMirrorSet", "imageDigestMirrors"),
        ("ImageTagMirrorSet", "imageTagMirrors"),
    ];
    let sets = sets.map(|(kind, field)| {
        let mut text = format!(
            "apiVersion: config.openshift.io/v1\nkind: {kind}\nmetadata:\n  name: {}\nspec:\n  \
             {field}:\n",
            object_name(bundle)
        );
        for (registry, repository) in &repositories {
            let source = quoted(&format!("{registry}/{repository}"));
            let mirror = quoted(&format!("{}/{repository}", destination.location()));
            let _ = write!(
                text,
                "    - source: {source}\n      mirrors:\n        - {mirror}\n      \
                 mirrorSourcePolicy: NeverContactSource\n"
            );
        }
        text
    });
    let host = &destination.host;
    let mut notes = vec![
        "`oc apply` takes it; the Machine Config Operator then changes the nodes, one after the \
         other"
            .to_owned(),
    ];
    notes.extend(destination.ca_file.iter().map(|path| {
        let key = host.replace(':', "..");
        format!(
            "`{path}` belongs into a ConfigMap of the namespace openshift-config, under the key \
             `{key}`, which spec.additionalTrustedCA of image.config.openshift.io/cluster names"
        )
    }));
    if destination.is_plain {
        notes.push(format!(
            "add {host} to spec.registrySources.insecureRegistries of \
             image.config.openshift.io/cluster"
        ));
    }
    Configuration {
        place: "",
        files: vec![ConfigurationFile {
            path: "mirror-sets.yaml".into(),
            text: sets.join("---\n"),
        }],
        left_out: Vec::new(),
        notes,
    }
}

/// The name of a bundle as objects may be called.
fn object_name(bundle: &str) -> String {
    let plain = |character: char| match character {
        'a'..='z' | '0'..='9' | '.' => character,
        'A'..='Z' => character.to_ascii_lowercase(),
        _ => '-',
    };
    bundle.chars().map(plain).collect()
}
