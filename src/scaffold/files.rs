//! The files of a new project, written as one directory or not at all.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use cap_std::fs::{OpenOptions, OpenOptionsExt as _};
use semver::Version;

use super::{ScaffoldError, manifest_text, plan::Plan, policy_text};
use rune_core::fsx::{Action, PathError, StagingDirectory};

const POLICY: &str = "bundle-manifests/policy.yaml";

#[derive(Debug, Clone)]
pub(super) struct ChartFiles {
    pub(super) chart: Utf8PathBuf,
    pub(super) profile: String,
    pub(super) values: Vec<String>,
    pub(super) check_values: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct NewProject {
    files: BTreeMap<Utf8PathBuf, File>,
    pub(crate) manifest: Utf8PathBuf,
    pub(crate) policy: Utf8PathBuf,
    pub(crate) templates: Vec<Utf8PathBuf>,
}

#[derive(Debug, Clone)]
struct File {
    bytes: Vec<u8>,
    is_private: bool,
}

impl NewProject {
    pub(crate) fn of(plan: &Plan, name: &str, version: &Version) -> Self {
        let manifest = Utf8PathBuf::from(format!("bundle-manifests/{name}.yaml"));
        // `policy` is a good name for a bundle, too.
        let policy = if manifest == POLICY {
            Utf8PathBuf::from("policy.yaml")
        } else {
            POLICY.into()
        };
        let mut project = Self {
            files: BTreeMap::new(),
            manifest,
            policy,
            templates: Vec::new(),
        };
        let is_only = plan.charts.len() == 1;
        let mut charts = Vec::new();
        for chart in &plan.charts {
            let label = &chart.label;
            let package = &chart.given.package;
            let path = Utf8PathBuf::from(format!(
                "charts/{label}-{}.tgz",
                package.metadata.version.as_str()
            ));
            project.add(path.clone(), package.bytes.clone());
            let number = |number: usize| {
                if number == 0 {
                    String::new()
                } else {
                    format!("-{}", number + 1)
                }
            };
            let mut values = Vec::new();
            for (at, (_, text)) in chart.given.profiles.iter().flatten().enumerate() {
                let path = format!("values/{label}.given{}.yaml", number(at));
                project.add(path.as_str().into(), text.clone().into_bytes());
                values.push(path);
            }
            if !chart.template.is_empty() {
                let path = format!("templates/values/{label}.yaml.j2");
                project.add(path.as_str().into(), template(&chart.template).into_bytes());
                project.templates.push(path.as_str().into());
                values.push(path);
            }
            let mut check_values = Vec::new();
            for (at, (_, text)) in chart.given.check_values.iter().enumerate() {
                let path = format!("values/{label}.check{}.yaml", number(at));
                project.files.insert(
                    path.as_str().into(),
                    File {
                        bytes: text.clone().into_bytes(),
                        is_private: true,
                    },
                );
                check_values.push(path);
            }
            let profile = if is_only {
                "default".to_owned()
            } else {
                label.clone()
            };
            charts.push(ChartFiles {
                chart: path,
                profile,
                values,
                check_values,
            });
        }
        let text = manifest_text::manifest(plan, name, version, project.policy.as_str(), &charts);
        project.add(project.manifest.clone(), text.into_bytes());
        project.add(
            project.policy.clone(),
            policy_text::policy(plan, version).into_bytes(),
        );
        project
    }

    fn add(&mut self, path: Utf8PathBuf, bytes: Vec<u8>) {
        self.files.insert(
            path,
            File {
                bytes,
                is_private: false,
            },
        );
    }

    pub(crate) fn write(&self, directory: &Utf8Path) -> Result<(), ScaffoldError> {
        check_free(directory)?;
        let staging = StagingDirectory::create(directory)?;
        for (path, file) in &self.files {
            let at = |error| PathError::of(Action::Write, &directory.join(path))(error);
            if let Some(parent) = path.parent().filter(|parent| !parent.as_str().is_empty()) {
                staging.handle().create_dir_all(parent).map_err(at)?;
            }
            let mode = if file.is_private { 0o600 } else { 0o644 };
            let mut opened = staging
                .handle()
                .open_with(
                    path,
                    OpenOptions::new().write(true).create_new(true).mode(mode),
                )
                .map_err(at)?;
            std::io::Write::write_all(&mut opened, &file.bytes).map_err(at)?;
        }
        Ok(staging.finish()?)
    }
}

pub(crate) fn check_free(directory: &Utf8Path) -> Result<(), ScaffoldError> {
    if rune_core::fsx::exists(directory) || rune_core::fsx::is_link(directory) {
        return Err(ScaffoldError::Exists(directory.to_owned()));
    }
    Ok(())
}

pub(super) fn template(body: &str) -> String {
    format!(
        "# Pins the images of the chart by the digests of the lock, which `rune-bundle build` \
         fills in.\n{body}"
    )
}
