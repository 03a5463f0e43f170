//! The site file: what is the same for every bundle that comes to a site. The administrator writes
//! it once.
//!
//! It is read from where a person or the system says, never from where a bundle, a medium or a
//! project could put one, and only when nobody but root and the user may write it: it decides whose
//! signatures count. It holds no password.

use camino::{Utf8Path, Utf8PathBuf};

use rune_core::{
    command::CommandError,
    fsx,
    yaml::{self, Diagnostics, Findings, Mapping, Node, Problem},
};

const API_VERSION: &str = "rune-bundle/v1";
const KIND: &str = "Site";
const MAX_BYTES: u64 = 64 << 10;
const KEYS: [&str; 8] = [
    "apiVersion",
    "kind",
    "trust",
    "registry",
    "caFile",
    "authfile",
    "namespace",
    "receipts",
];

#[derive(Debug, Clone, Default)]
pub struct SiteFile {
    pub(crate) trust: Option<Utf8PathBuf>,
    /// The registry of the site, with a prefix if any.
    pub(crate) registry: Option<String>,
    pub(crate) ca_file: Option<Utf8PathBuf>,
    pub(crate) authfile: Option<Utf8PathBuf>,
    pub(crate) namespace: Option<String>,
    pub(crate) receipts: Option<Utf8PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum SiteProblem<'a> {
    #[error("{0} is empty")]
    Empty(&'a str),
    #[error("a site file holds no credentials")]
    Credentials,
}

impl Problem for SiteProblem<'_> {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Empty(_) => Some("remove the key, or give it a value".to_owned()),
            Self::Credentials => {
                Some("write the host alone, and log in with `rune-bundle login`".to_owned())
            }
        }
    }
}

impl SiteFile {
    pub fn read(path: &Utf8Path) -> Result<Self, CommandError> {
        let read = || -> Result<Self, CommandError> {
            fsx::check_only_ours(path)?;
            Ok(Self::parse(path, &fsx::read_to_string(path, MAX_BYTES)?)?)
        };
        read().map_err(|error| error.context(format!("cannot use the site file `{path}`")))
    }

    fn parse(path: &Utf8Path, text: &str) -> Result<Self, Diagnostics> {
        let mut findings = Findings::new(path);
        let site = match yaml::parse(path, text) {
            Ok(root) => Self::of(path, &root, &mut findings),
            Err(error) => {
                findings.add_syntax(&error);
                None
            }
        };
        Diagnostics::check([findings])?;
        site.ok_or_else(|| Diagnostics::unexplained(path))
    }

    fn of(path: &Utf8Path, root: &Node, findings: &mut Findings) -> Option<Self> {
        let map = Mapping::open(root, "a site file", &KEYS, findings)?;
        map.fixed("apiVersion", API_VERSION, findings);
        map.fixed("kind", KIND, findings);
        let mut word = |key: &str| {
            let node = map.optional(key)?;
            let what = format!("`{key}`");
            let text = yaml::text(node, &what, findings)?.trim();
            if text.is_empty() {
                findings.add(node.place, &SiteProblem::Empty(&what));
                return None;
            }
            // What stands before `@` in an address is a user and perhaps a password: it is not
            // repeated in a message.
            if key == "registry" && text.contains('@') {
                findings.add(node.place, &SiteProblem::Credentials);
                return None;
            }
            Some(text.to_owned())
        };
        let (registry, namespace) = (word("registry"), word("namespace"));
        let directory = path.parent().unwrap_or_else(|| Utf8Path::new(""));
        let mut file = |key: &str| Some(directory.join(word(key)?));
        let (trust, ca_file, authfile, receipts) = (
            file("trust"),
            file("caFile"),
            file("authfile"),
            file("receipts"),
        );
        Some(Self {
            trust,
            registry,
            ca_file,
            authfile,
            namespace,
            receipts,
        })
    }
}
