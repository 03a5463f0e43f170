//! Docker's `daemon.json`. It has mirrors of Docker Hub alone, and of it whole: no other registry,
//! no prefix.
//!
//! Source: the documentation of Docker, "Registry as a pull through cache", and of `dockerd`.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Configuration, ConfigurationFile, Destination, MirrorError, containers::certificate};

const HUB: &str = "docker.io";

pub(super) fn configuration(
    sources: &BTreeSet<&str>,
    destination: &Destination,
) -> Result<Configuration, MirrorError> {
    if let Some(prefix) = &destination.prefix {
        return Err(MirrorError::DockerPrefix(prefix.clone()));
    }
    let left_out: Vec<String> = sources
        .iter()
        .filter(|source| **source != HUB)
        .map(|source| (*source).to_owned())
        .collect();
    if left_out.len() == sources.len() {
        return Err(MirrorError::DockerSources(left_out));
    }
    let settings = if destination.is_plain {
        json!({"registry-mirrors": [destination.url()], "insecure-registries": [destination.host]})
    } else {
        json!({"registry-mirrors": [destination.url()]})
    };
    let mut notes = vec![
        "Docker takes it up with `systemctl reload docker`, and asks Docker Hub for what the \
         registry lacks"
            .to_owned(),
    ];
    notes.extend(
        destination
            .ca_file
            .iter()
            .map(|path| certificate(path.as_str(), "/etc/docker/certs.d", &destination.host)),
    );
    Ok(Configuration {
        place: "/etc/docker",
        files: vec![ConfigurationFile {
            path: "daemon.json".into(),
            text: format!("{settings:#}\n"),
        }],
        left_out,
        notes,
    })
}
