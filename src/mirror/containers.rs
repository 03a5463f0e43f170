//! A file of `registries.conf.d`, which CRI-O, podman, buildah and skopeo read.
//!
//! The rule says another location, not a mirror: that would be followed by the source registry.
//!
//! Source: containers-registries.conf(5).

use std::collections::BTreeSet;

use super::{Configuration, ConfigurationFile, Destination, quoted};

pub(super) fn configuration(sources: &BTreeSet<&str>, destination: &Destination) -> Configuration {
    let insecure = if destination.is_plain {
        "insecure = true\n"
    } else {
        ""
    };
    let rules: Vec<String> = sources
        .iter()
        .map(|source| {
            format!(
                "[[registry]]\nprefix = {}\nlocation = {}\n{insecure}",
                quoted(source),
                quoted(&destination.location())
            )
        })
        .collect();
    let mut notes = vec![
        "CRI-O takes it up with `systemctl reload crio`; podman and skopeo read it every time"
            .to_owned(),
    ];
    notes.extend(
        destination
            .ca_file
            .iter()
            .map(|path| certificate(path.as_str(), "/etc/containers/certs.d", &destination.host)),
    );
    Configuration {
        place: "/etc/containers",
        files: vec![ConfigurationFile {
            path: "registries.conf.d/50-rune-bundle.conf".into(),
            text: rules.join("\n"),
        }],
        left_out: Vec::new(),
        notes,
    }
}

/// What to do where the place of a certificate is fixed.
pub(super) fn certificate(path: &str, place: &str, host: &str) -> String {
    format!(
        "copy `{path}` to `{place}/{host}/ca.crt`: this configuration cannot name a certificate"
    )
}
