//! What can be wrong in a bundle manifest beside the shape of its YAML.

use camino::Utf8PathBuf;

use crate::{
    evidence::AdvisoryKind,
    oci::{Platform, ReferenceError},
    policy::LicenseError,
    registry::WebUrlError,
};
use rune_core::{
    failure::Failure as _,
    yaml::{Problem, suggestion},
};

/// A mistake in a manifest. Displays what is wrong; the hint says what to write instead.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManifestProblem {
    #[error("`{0}` is not a SemVer version")]
    Version(String),
    #[error("`{name}` is not a good name for {what}")]
    Name { what: &'static str, name: String },
    #[error("`{0}` is not a good file name for a program")]
    BinaryName(String),
    #[error("`{0}` cannot be the name of an advisory")]
    AdvisoryName(String),
    #[error("an image is named `{0}` too")]
    ImageName(String),
    #[error("unknown kind of advisory `{0}`")]
    AdvisoryKind(String),
    #[error("there are two {what} `{name}`, the first in line {first}")]
    Duplicate {
        what: &'static str,
        name: String,
        first: usize,
    },
    #[error("there is no component `{name}`")]
    UnknownComponent { name: String, known: Vec<String> },
    #[error("the manifest has no chart `{path}`")]
    UnknownChart { path: String, known: Vec<String> },
    #[error("no profile `{name}` is for this chart")]
    UnknownProfile { name: String, known: Vec<String> },
    #[error("there is no release `{name}`")]
    UnknownRelease { name: String, known: Vec<String> },
    #[error("the name of the release is longer than Helm takes")]
    LongRelease,
    #[error("release `{0}` comes after itself")]
    Circle(String),
    #[error("the list of charts is empty")]
    NoCharts,
    #[error("unknown platform `{0}`")]
    UnknownPlatform(String),
    #[error("the list of platforms is empty")]
    NoPlatforms,
    #[error("platform `{0}` is not among those that the bundle includes")]
    PlatformNotCarried(String),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error("tag `{tag}` is denied by the policy: {reason}")]
    DeniedTag { tag: String, reason: String },
    #[error(
        "`{reference}` and `{other}` (line {first}) are both named `{destination}` at the \
         destination"
    )]
    Collision {
        reference: String,
        other: String,
        destination: String,
        first: usize,
    },
    #[error("{what} has both `{one}` and `{other}`")]
    Both {
        what: &'static str,
        one: &'static str,
        other: &'static str,
    },
    #[error("{what} gives neither `{one}` nor `{other}`")]
    Neither {
        what: &'static str,
        one: &'static str,
        other: &'static str,
    },
    #[error("an image that rune-bundle builds has no digest yet")]
    BuiltWithDigest,
    #[error("an image that rune-bundle builds needs at least one program")]
    BuiltFromNothing,
    #[error("two programs of an image are called `{0}`")]
    BuiltTwice(String),
    #[error("the programs are not called as those for {platform}")]
    BuiltDifferently {
        platform: Platform,
        names: Vec<String>,
    },
    #[error(transparent)]
    License(#[from] LicenseError),
    #[error("`{0}` is not a path within the project")]
    Path(String),
    #[error("`{0}` is not a path that a bundle can have")]
    BundlePath(String),
    #[error("{what} `{path}` does not exist")]
    Missing {
        what: &'static str,
        path: Utf8PathBuf,
        hint: String,
    },
    #[error("{what} `{path}` is {found}")]
    Kind {
        what: &'static str,
        path: Utf8PathBuf,
        found: &'static str,
    },
    #[error("`{word}` is not {what}")]
    UnknownWord {
        what: &'static str,
        word: String,
        known: Vec<String>,
    },
    #[error("`{0}` is not an amount")]
    Quantity(String),
    #[error("`{0}` is not a digest of the form sha256:<64 lower-case hex digits>")]
    Digest(String),
    #[error("a chart gives none of `path`, `reference` and `repository`")]
    NoChartSource,
    #[error("`reference` is not the place of a chart in a registry")]
    ChartReference,
    #[error("`name` is not the name of a chart")]
    ChartName,
    #[error("`{0}` is not an exact version of a chart")]
    ChartVersion(String),
    #[error("`{key}` belongs to {belongs}")]
    KeyOfOtherSource {
        key: &'static str,
        belongs: &'static str,
    },
    #[error("{what} is not an address on the web: {problem}")]
    Url {
        what: &'static str,
        problem: WebUrlError,
    },
    #[error("`{0}` is not a SHA-256 of 64 hex digits")]
    Sha256(String),
}

const KNOWN_PLATFORMS: &[(&str, &[&str])] = &[
    (
        "linux",
        &[
            "amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "mips64le", "loong64",
        ],
    ),
    ("windows", &["amd64", "arm64"]),
    ("darwin", &["amd64", "arm64"]),
];

/// What the kernel and others call a processor that Go, and so OCI, has another name for.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("x86_64", "amd64"),
    ("x86-64", "amd64"),
    ("x64", "amd64"),
    ("aarch64", "arm64"),
    ("armv8", "arm64"),
    ("armv7", "arm"),
    ("armv7l", "arm"),
    ("i386", "386"),
    ("i686", "386"),
    ("x86", "386"),
    ("ppc64el", "ppc64le"),
];

pub(super) fn is_known_platform(os: &str, architecture: &str) -> bool {
    KNOWN_PLATFORMS
        .iter()
        .any(|(known, architectures)| *known == os && architectures.contains(&architecture))
}

impl Problem for ManifestProblem {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Version(text) => match text
                .strip_prefix('v')
                .filter(|rest| semver::Version::parse(rest).is_ok())
            {
                Some(rest) => format!("write `{rest}`, without the v"),
                None => "write major.minor.patch, such as 0.1.0".to_owned(),
            },
            Self::Name { .. } => "use 1 to 63 of a-z, 0-9 and -, and no - at either end".to_owned(),
            Self::BinaryName(_) | Self::AdvisoryName(_) => {
                "use 1 to 64 of A-Z, a-z, 0-9, ., _, + and -".to_owned()
            }
            Self::AdvisoryKind(found) => {
                suggestion(found, &AdvisoryKind::ALL.map(AdvisoryKind::name))
            }
            Self::Duplicate { .. } | Self::ImageName(_) => "give each its own name".to_owned(),
            Self::UnknownComponent { name, known } if !known.is_empty() => suggestion(name, known),
            Self::UnknownComponent { .. } => {
                "declare it under `components`, or remove the key".to_owned()
            }
            Self::UnknownChart { path, known } if !known.is_empty() => suggestion(path, known),
            Self::UnknownChart { .. } => {
                "add it to `charts` of the manifest, or remove it here".to_owned()
            }
            Self::UnknownProfile { name, known } | Self::UnknownRelease { name, known }
                if !known.is_empty() =>
            {
                suggestion(name, known)
            }
            Self::UnknownWord { word, known, .. } => suggestion(word, known),
            Self::Quantity(_) => {
                "write a number with a unit of Kubernetes, such as 20, 500m or 8Gi".to_owned()
            }
            Self::UnknownProfile { .. } => {
                "leave `profile` out, or add a profile for the chart".to_owned()
            }
            Self::UnknownRelease { .. } => "name one of `releases`".to_owned(),
            Self::LongRelease => "use at most 53 characters".to_owned(),
            Self::Circle(_) => {
                "remove one of the names under `after` that lead back to it".to_owned()
            }
            Self::NoCharts => {
                "name the charts that the profile installs by their `path`, `reference` or \
                 `name`, or remove the key for all charts"
                    .to_owned()
            }
            Self::UnknownPlatform(name) => meant_platform(name),
            Self::NoPlatforms => {
                "write `all`, or at least one platform such as linux/amd64".to_owned()
            }
            Self::PlatformNotCarried(_) => "add it to `platforms`, or remove it here".to_owned(),
            Self::Reference(error) => return error.help(),
            Self::DeniedTag { .. } => {
                "write the tag of a version; the lock pins what it means".to_owned()
            }
            Self::Collision { .. } => {
                "images are named there by repository and tag, without the registry they come \
                 from; keep one of them"
                    .to_owned()
            }
            Self::Both { .. } => "keep one of them".to_owned(),
            Self::Neither { .. } | Self::NoChartSource => "give one of them".to_owned(),
            Self::BuiltWithDigest => "write a tag only".to_owned(),
            Self::BuiltFromNothing => "write binaries: { linux/amd64: path/to/program }".to_owned(),
            Self::BuiltTwice(_) => {
                "programs have the names of their files in the image; rename one of them".to_owned()
            }
            Self::BuiltDifferently { names, .. } => {
                format!(
                    "name the files {} in a directory of their own, such as dist/linux-arm64/",
                    names.join(", ")
                )
            }
            Self::License(error) => match error.meant() {
                Some(ids) => format!("write an SPDX identifier: {ids}"),
                None => {
                    "write an SPDX expression, such as Apache-2.0 or MIT AND PostgreSQL".to_owned()
                }
            },
            Self::Path(_) => {
                "write it relative to the project directory, with / and without . or .. in it"
                    .to_owned()
            }
            Self::BundlePath(_) => {
                "write files/<name>; each part of A-Z, a-z, 0-9, ., _, + and -, at most 100 in \
                 all, unique without regard to case"
                    .to_owned()
            }
            Self::Missing { hint, .. } => hint.clone(),
            Self::ChartReference => {
                "write oci://host/path/chart; the version has a key of its own".to_owned()
            }
            Self::ChartName => "write the name that the index of the repository has".to_owned(),
            Self::ChartVersion(_) => {
                "write one version, such as 1.2.3, no range; `helm show chart` and `helm search \
                 repo --versions` list them"
                    .to_owned()
            }
            Self::KeyOfOtherSource { .. } => "remove it here".to_owned(),
            Self::Url {
                problem: WebUrlError::UserInfo,
                ..
            } => {
                "remove it; credentials of the host are stored with `rune-bundle login`".to_owned()
            }
            Self::Url { .. } => {
                "write https://host/path; a file of the project has its path".to_owned()
            }
            Self::Sha256(_) => {
                "write what `sha256sum FILE` prints, or what the publisher of the file says"
                    .to_owned()
            }
            Self::Kind { .. } => return None,
            Self::Digest(_) => {
                "write the bundle digest that `rune-bundle inspect` shows".to_owned()
            }
        })
    }
}

/// The platforms of an architecture that was written alone, or what is near.
fn meant_platform(name: &str) -> String {
    let known = known_platforms();
    let (os, architecture) = name.split_once('/').unwrap_or(("", name));
    let architecture = OTHER_NAMES
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(architecture))
        .map_or(architecture, |(_, ours)| ours);
    let meant = known.iter().find(|platform| {
        platform.split_once('/').is_some_and(|(known_os, known)| {
            known == architecture && (os.is_empty() || os == known_os)
        })
    });
    match meant {
        Some(platform) => format!("did you mean `{platform}`?"),
        None => suggestion(name, &known),
    }
}

fn known_platforms() -> Vec<String> {
    let of = |(os, architectures): &(&str, &[&str])| -> Vec<String> {
        architectures
            .iter()
            .map(|architecture| format!("{os}/{architecture}"))
            .collect()
    };
    KNOWN_PLATFORMS.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::meant_platform;

    #[test]
    fn a_processor_by_the_name_of_the_kernel_leads_to_that_of_oci() {
        for (written, platform) in [
            ("amd64", "linux/amd64"),
            ("x86_64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("aarch64", "linux/arm64"),
            ("windows/x64", "windows/amd64"),
            ("linux/amd46", "linux/amd64"),
        ] {
            let hint = format!("did you mean `{platform}`?");
            assert_eq!(meant_platform(written), hint, "{written}");
        }
    }
}
