//! A manifest in its project directory, with the policy that holds for it.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use semver::Version;

use super::{
    BundleManifest,
    problem::ManifestProblem,
    read::{self, Draft, NamedFile, NamedReference, Role},
};
use crate::policy::{self, Policy, Verdict};
use rune_core::{
    failure::{Failure, FailureKind},
    fsx::{self, PathError},
    yaml::{Diagnostics, Findings, Place},
};

const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// The directory that manifests lie in; its parent is then the project directory.
const MANIFEST_DIRECTORY: &str = "bundle-manifests";

#[derive(Debug, Clone)]
pub struct Project {
    directory: Utf8PathBuf,
    manifest_path: Utf8PathBuf,
    manifest: BundleManifest,
    policy: Policy,
    programs: Programs,
    /// Where the manifest names what policy and lock evaluate, by what they call it.
    places: BTreeMap<String, Place>,
}

/// Whether the programs that a manifest names must exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programs {
    Required,
    /// They need not: nothing reads them, and a fresh clone has none.
    NotNeeded,
}

#[derive(Debug, thiserror::Error, Failure)]
pub enum ManifestError {
    #[error("cannot use the bundle manifest")]
    #[failure(inner)]
    File(#[source] PathError),
    #[error(transparent)]
    Diagnostics(#[from] Diagnostics),
}

impl Project {
    pub fn load(
        manifest_path: &Utf8Path,
        directory: Option<&Utf8Path>,
        programs: Programs,
    ) -> Result<Self, ManifestError> {
        let text =
            fsx::read_to_string(manifest_path, MAX_MANIFEST_BYTES).map_err(ManifestError::File)?;
        let directory =
            directory.map_or_else(|| project_directory(manifest_path), Utf8Path::to_owned);
        let Draft {
            manifest,
            mut findings,
            files,
            references,
            charts,
            policy,
        } = read::read(manifest_path, &text);
        let (policy, policy_findings) = read_policy(&directory, policy, &mut findings);
        for file in &files {
            if file.role != Role::Binary || programs == Programs::Required {
                check_file(&directory, file, &mut findings);
            }
        }
        // With a version that cannot be read every waiver counts as running: the version is a
        // finding of its own.
        let version = manifest
            .as_ref()
            .map_or(Version::new(0, 0, 0), |manifest| manifest.version.clone());
        for NamedReference {
            place,
            subject,
            reference,
            ..
        } in &references
        {
            let decision = policy::evaluate_tag(&policy, &version, subject, reference);
            if let Some(decision) = decision.filter(|decision| decision.verdict == Verdict::Denied)
            {
                let tag = reference.tag().unwrap_or_default().to_owned();
                findings.add(
                    *place,
                    &ManifestProblem::DeniedTag {
                        tag,
                        reason: decision.reason,
                    },
                );
            }
        }
        let is_clean = findings.is_empty();
        Diagnostics::check([findings, policy_findings])?;
        match manifest {
            Some(manifest) if is_clean => Ok(Self {
                directory,
                manifest_path: manifest_path.to_owned(),
                manifest,
                policy,
                programs,
                places: references
                    .into_iter()
                    .map(|named| (named.subject, named.place))
                    .chain(charts)
                    .collect(),
            }),
            // A manifest that could not be made has a finding that says why.
            _ => Err(ManifestError::Diagnostics(Diagnostics::unexplained(
                manifest_path,
            ))),
        }
    }

    pub(crate) fn directory(&self) -> &Utf8Path {
        &self.directory
    }

    pub const fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether the programs were looked for when it was loaded.
    pub(crate) const fn programs(&self) -> Programs {
        self.programs
    }

    pub(crate) fn manifest_path(&self) -> &Utf8Path {
        &self.manifest_path
    }

    /// Where the lock lies: beside the manifest, under its name.
    pub fn lock_path(&self) -> Utf8PathBuf {
        self.manifest_path.with_extension("lock")
    }

    /// Where the manifest names what policy and lock evaluate; its beginning when it names it in
    /// passing only.
    pub(crate) fn place_of(&self, subject: &str) -> Place {
        let beginning = Place { line: 1, column: 1 };
        self.places.get(subject).copied().unwrap_or(beginning)
    }

    /// The policy file; nothing when the built-in policy holds.
    pub(crate) fn policy_path(&self) -> Option<Utf8PathBuf> {
        Some(self.path(self.manifest.policy.as_ref()?))
    }

    pub fn path(&self, relative: impl AsRef<Utf8Path>) -> Utf8PathBuf {
        self.directory.join(relative)
    }
}

fn project_directory(manifest_path: &Utf8Path) -> Utf8PathBuf {
    let own = manifest_path.parent().unwrap_or(manifest_path);
    let directory = if own.file_name() == Some(MANIFEST_DIRECTORY) {
        own.parent().unwrap_or(own)
    } else {
        own
    };
    if directory.as_str().is_empty() {
        ".".into()
    } else {
        directory.to_owned()
    }
}

/// The policy that the manifest names, or the built-in one when it names none or the named one is
/// not there.
fn read_policy(
    directory: &Utf8Path,
    named: Option<(Place, Utf8PathBuf)>,
    findings: &mut Findings,
) -> (Policy, Findings) {
    if let Some((place, path)) = named {
        let full = directory.join(&path);
        match Policy::load(&full) {
            Ok(read) => return read,
            Err(error) if error.kind() == FailureKind::NotFound => {
                findings.add(place, &missing("the policy", &path, directory));
            }
            Err(_) => findings.add(
                place,
                &ManifestProblem::Kind {
                    what: "the policy",
                    path,
                    found: "not a readable text file",
                },
            ),
        }
    }
    Policy::read_built_in()
}

fn check_file(directory: &Utf8Path, file: &NamedFile, findings: &mut Findings) {
    let (what, is_directory) = match file.role {
        Role::ChartDirectory => ("the chart", true),
        Role::Migrations => ("the migrations directory", true),
        Role::ChartArchive => ("the packed chart", false),
        Role::Values => ("the values file", false),
        Role::Binary => ("the program", false),
        Role::Extra => ("the file", false),
        Role::Advisory => ("the advisory", false),
    };
    let full = directory.join(&file.path);
    let path = file.path.clone();
    if !fsx::exists(&full) {
        findings.add(file.place, &missing(what, &path, directory));
    } else if fsx::is_dir(&full) != is_directory {
        let found = if is_directory {
            "a file, not a directory"
        } else {
            "a directory, not a file"
        };
        findings.add(file.place, &ManifestProblem::Kind { what, path, found });
    } else if file.role == Role::ChartDirectory && !fsx::exists(&full.join("Chart.yaml")) {
        findings.add(
            file.place,
            &missing("the chart file", &path.join("Chart.yaml"), directory),
        );
    }
}

fn missing(what: &'static str, path: &Utf8Path, directory: &Utf8Path) -> ManifestProblem {
    let hint = match what {
        "the program" => format!("build it first; it is looked for in `{directory}`"),
        _ => format!("it is looked for in `{directory}`; correct the path, or set --project"),
    };
    ManifestProblem::Missing {
        what,
        path: path.to_owned(),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::project_directory;

    #[test]
    fn the_project_is_around_the_manifests_directory() {
        let cases = [
            ("bundle-manifests/rune.yaml", "."),
            ("/p/bundle-manifests/rune.yaml", "/p"),
            ("rune.yaml", "."),
            ("/p/other/rune.yaml", "/p/other"),
            ("../bundle-manifests/rune.yaml", ".."),
        ];
        for (manifest, expected) in cases {
            assert_eq!(
                project_directory(Utf8Path::new(manifest)),
                expected,
                "{manifest}"
            );
        }
    }
}
