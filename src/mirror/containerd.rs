//! containerd's `hosts.toml`, one for each source registry.
//!
//! `server` is where containerd goes after the hosts; left out, it would be the source registry. So it is the same place again,
//! with the same settings: containerd takes a file only if it has a `[host]`.
//!
//! Source: containerd, `docs/hosts.md`.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{Configuration, ConfigurationFile, Destination, quoted};

pub(super) fn configuration(sources: &BTreeSet<&str>, destination: &Destination) -> Configuration {
    let text = hosts_toml(destination);
    let file = |source: &&str| ConfigurationFile { path: format!("{source}/hosts.toml").into(), text: text.clone() };
    Configuration {
        place: "/etc/containerd/certs.d",
        files: sources.iter().map(file).collect(),
        left_out: Vec::new(),
        notes: vec![
            "containerd reads these files at every pull, when `config_path` in its config.toml names their directory".to_owned(),
            "the source registries are not asked any more: what the registry lacks cannot be pulled".to_owned(),
        ],
    }
}

fn hosts_toml(destination: &Destination) -> String {
    let mut settings = Vec::new();
    let mut url = destination.url();
    if let Some(prefix) = &destination.prefix {
        let _ = write!(url, "/v2/{prefix}");
        settings.push("override_path = true".to_owned());
    }
    settings.extend(destination.ca_file.iter().map(|path| format!("ca = {}", quoted(path.as_str()))));
    let (settings, url) = (settings.iter().map(|line| format!("{line}\n")).collect::<String>(), quoted(&url));
    format!("server = {url}\n{settings}\n[host.{url}]\ncapabilities = [\"pull\", \"resolve\"]\n{settings}")
}

#[cfg(test)]
mod tests {
    use super::hosts_toml;
    use crate::mirror::Destination;

    #[test]
    fn a_registry_of_its_own_needs_no_settings() {
        let expected = "server = \"https://registry.lan:5000\"\n\n\
                        [host.\"https://registry.lan:5000\"]\ncapabilities = [\"pull\", \"resolve\"]\n";
        assert_eq!(hosts_toml(&"registry.lan:5000".parse().unwrap()), expected);
    }

    #[test]
    fn prefix_and_certificate_are_settings_of_both_places() {
        let destination = Destination { ca_file: Some("/etc/ca.crt".into()), ..("registry.lan/a/b".parse().unwrap()) };
        let settings = "override_path = true\nca = \"/etc/ca.crt\"\n";
        let expected = format!(
            "server = \"https://registry.lan/v2/a/b\"\n{settings}\n\
             [host.\"https://registry.lan/v2/a/b\"]\ncapabilities = [\"pull\", \"resolve\"]\n{settings}"
        );
        assert_eq!(hosts_toml(&destination), expected);
    }
}
