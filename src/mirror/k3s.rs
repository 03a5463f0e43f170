//! `registries.yaml` of k3s and RKE2.
//!
//! Source: the documentation of k3s, "Private Registry Configuration".

use std::collections::BTreeSet;

use super::{Configuration, ConfigurationFile, Destination, quoted};

pub(super) fn configuration(sources: &BTreeSet<&str>, destination: &Destination) -> Configuration {
    let mut text = "mirrors:\n".to_owned();
    for source in sources {
        text.push_str(&format!(
            "  {}:\n    endpoint:\n      - {}\n",
            quoted(source),
            quoted(&destination.url())
        ));
        if let Some(prefix) = &destination.prefix {
            text.push_str(&format!(
                "    rewrite:\n      {}: {}\n",
                quoted("^(.*)$"),
                quoted(&format!("{prefix}/$1"))
            ));
        }
    }
    if let Some(path) = &destination.ca_file {
        text.push_str(&format!(
            "configs:\n  {}:\n    tls:\n      ca_file: {}\n",
            quoted(&destination.host),
            quoted(path.as_str())
        ));
    }
    Configuration {
        place: "/etc/rancher/k3s",
        files: vec![ConfigurationFile {
            path: "registries.yaml".into(),
            text,
        }],
        left_out: Vec::new(),
        notes: vec![
            "for RKE2 the directory is /etc/rancher/rke2; restart the service on each node, it \
             reads the file when it starts"
                .to_owned(),
            "what the registry lacks is then looked for at the source, unless k3s runs with \
             --disable-default-registry-endpoint"
                .to_owned(),
        ],
    }
}
