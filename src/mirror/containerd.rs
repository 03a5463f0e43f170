//! containerd's `hosts.toml`, one for each source registry.
//!
//! `server` is where containerd goes after the hosts; left out, it would be the source registry. So
//! it is the same place again, with the same settings: containerd takes a file only if it has a
//! `[host]`.
//!
//! The directory of a registry with a port has no colon in its name, which FAT, exFAT and NTFS do
//! not take: for `host:5000` containerd looks into `host_5000_` before `host:5000`.
//!
//! Source: containerd, `docs/hosts.md`, and `core/remotes/docker/config`.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{Configuration, ConfigurationFile, Destination, quoted};

pub(super) fn configuration(sources: &BTreeSet<&str>, destination: &Destination) -> Configuration {
    let text = hosts_toml(destination);
    let file = |source: &&str| ConfigurationFile {
        path: format!("{}/hosts.toml", directory_of(source)).into(),
        text: text.clone(),
    };
    Configuration {
        place: "/etc/containerd/certs.d",
        files: sources.iter().map(file).collect(),
        left_out: Vec::new(),
        notes: vec![
            "containerd reads these files at every pull, when `config_path` in its config.toml \
             names their directory"
                .to_owned(),
            "the source registries are not asked any more: what the registry lacks cannot be \
             pulled"
                .to_owned(),
        ],
    }
}

fn directory_of(registry: &str) -> String {
    match registry.rsplit_once(':') {
        Some((host, port)) => format!("{host}_{port}_"),
        None => registry.to_owned(),
    }
}

fn hosts_toml(destination: &Destination) -> String {
    let mut settings = Vec::new();
    let mut url = destination.url();
    if let Some(prefix) = &destination.prefix {
        let _ = write!(url, "/v2/{prefix}");
        settings.push("override_path = true".to_owned());
    }
    settings.extend(
        destination
            .ca_file
            .iter()
            .map(|path| format!("ca = {}", quoted(path.as_str()))),
    );
    let (settings, url) = (
        settings
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
        quoted(&url),
    );
    format!(
        "server = {url}\n{settings}\n[host.{url}]\ncapabilities = \
         [\"pull\", \"resolve\"]\n{settings}"
    )
}

#[cfg(test)]
mod tests {
    use super::{directory_of, hosts_toml};
    use crate::mirror::Destination;

    #[test]
    fn the_directory_of_a_registry_has_no_colon_for_its_port() {
        let directories = [
            ("ghcr.io", "ghcr.io"),
            ("registry.lan:5000", "registry.lan_5000_"),
            ("[fd00::1]:5000", "[fd00::1]_5000_"),
        ];
        for (registry, expected) in directories {
            assert_eq!(directory_of(registry), expected);
        }
    }

    #[test]
    fn a_registry_of_its_own_needs_no_settings() {
        let expected = "server \
                        = \"https://registry.lan:5000\"\n\n[host.\"https://registry.lan:5000\"]\ncapabilities \
                        = [\"pull\", \"resolve\"]\n";
        assert_eq!(hosts_toml(&"registry.lan:5000".parse().unwrap()), expected);
    }

    #[test]
    fn prefix_and_certificate_are_settings_of_both_places() {
        let destination = Destination {
            ca_file: Some("/etc/ca.crt".into()),
            ..("registry.lan/a/b".parse().unwrap())
        };
        let settings = "override_path = true\nca = \"/etc/ca.crt\"\n";
        let expected = format!(
            "server \
             = \"https://registry.lan/v2/a/b\"\n{settings}\n[host.\"https://registry.lan/v2/a/b\"]\ncapabilities \
             = [\"pull\", \"resolve\"]\n{settings}"
        );
        assert_eq!(hosts_toml(&destination), expected);
    }
}
