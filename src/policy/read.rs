//! Reading a policy file, every mistake at once.

use camino::Utf8Path;
use semver::Version;

use super::{DeniedLicense, DeniedSource, Glob, ImagePlaces, Policy, ReferrerRules, Rule, Waiver};
use rune_core::{
    digest::Digest,
    duration::DurationError,
    fsx::{self, PathError},
    yaml::{self, Diagnostics, Findings, Mapping, Node, Place, Problem, suggestion},
};

mod attestations;
mod images;
mod referrers;
mod signatures;

const API_VERSION: &str = "rune-bundle/v1";
const KIND: &str = "Policy";

/// The built-in policy: the file of this project.
const BUILT_IN: &str = include_str!("../../bundle-manifests/policy.yaml");

const MAX_POLICY_BYTES: u64 = 1 << 20;

/// Far more than a public key has.
const MAX_KEY_FILE_BYTES: u64 = 64 << 10;

#[derive(Debug, thiserror::Error)]
enum PolicyProblem<'a> {
    #[error("unknown {what} `{found}`")]
    Unknown {
        what: &'a str,
        found: &'a str,
        known: Vec<&'static str>,
    },
    #[error("{what} is empty")]
    Empty { what: &'a str },
    #[error("`{0}` is not a SemVer version")]
    Version(&'a str),
    #[error("`{0}` is not the path of a field")]
    FieldPath(&'a str),
    #[error("a field has {0}")]
    FieldForm(&'static str),
    #[error("`{0}` is not one image")]
    Image(&'a str),
    #[error("`{0}` is not a repository")]
    Repository(&'a str),
    #[error("`{0}` is not a number of these keys")]
    Threshold(&'a str),
    #[error("the key file cannot be used: {0}")]
    KeyFile(&'a str),
    #[error("the key cannot be used: {0}")]
    Key(&'a str),
    #[error("`{0}` does not belong to a rule with `identity`")]
    OfKeys(&'a str),
    #[error("`{0}` does not belong to a rule without `identity`")]
    OfIdentity(&'a str),
    #[error("`{0}` does not belong to a rule with `require`")]
    OfRequire(&'a str),
    #[error("`subject` and `subjectPattern` exclude each other")]
    TwoSubjects,
    #[error("`{0}` is not a regular expression")]
    SubjectPattern(&'a str),
    #[error("the trusted root cannot be used: {0}")]
    TrustedRootFile(&'a str),
    #[error("the trusted root cannot be used: `{file}`: {problem}")]
    TrustedRoot { file: &'a str, problem: &'a str },
    #[error("`{file}` is trusted from {first}, and the clock of this machine is before that")]
    Clock { file: &'a str, first: &'a str },
    #[error("`{0}` is not a duration")]
    MinAge(&'a str, DurationError),
}

impl Problem for PolicyProblem<'_> {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { found, known, .. } => Some(suggestion(found, known)),
            Self::Empty { .. } => None,
            Self::Threshold(_) => {
                Some("write how many of `keys` must have signed, at most all of them".to_owned())
            }
            Self::OfKeys(_) => Some(
                "write one rule with `keys` and one with `identity`: both must be met".to_owned(),
            ),
            Self::OfIdentity(_) => {
                Some("add `identity: { issuer: …, subject: … }`".to_owned())
            }
            Self::OfRequire(_) => Some(
                "write one rule with `require` and one with `predicateType`: both must be met"
                    .to_owned(),
            ),
            Self::TwoSubjects => Some("keep one of them".to_owned()),
            Self::SubjectPattern(_) => Some(
                "write the whole identity, with a backslash before each dot: \
                 https://github\\.com/acme/shop/.*"
                    .to_owned(),
            ),
            Self::Clock { .. } => Some("set the clock of this machine".to_owned()),
            Self::TrustedRoot { .. } => Some(
                "give the file `trusted_root.json` of the Sigstore instance that signs, or what \
                 `cosign trusted-root create` writes"
                    .to_owned(),
            ),
            Self::MinAge(_, error) => Some(error.to_string()),
            Self::KeyFile(_) | Self::TrustedRootFile(_) => {
                Some("paths are relative to the directory of this file".to_owned())
            }
            Self::Key(_) => Some(
                "give an ECDSA P-256 or P-384, Ed25519 or RSA public key as PEM, such as the `.pub` \
                 file of cosign"
                    .to_owned(),
            ),
            Self::FieldPath(_) => Some(
                "write keys separated by dots, others in brackets: spec.images[].image, \
                 data[app.yaml].image"
                    .to_owned(),
            ),
            Self::FieldForm(_) => Some(
                "write one of `template` with {} in it, or `repository` with `tag` or `digest`"
                    .to_owned(),
            ),
            Self::Image(_) => Some(
                "write registry/repository or registry/repository:tag, without * and digest"
                    .to_owned(),
            ),
            Self::Repository(_) => Some("write registry/repository, without a tag".to_owned()),
            Self::Version(_) => Some(
                "write the first bundle version for which the waiver no longer holds, such as 0.3.0"
                    .to_owned(),
            ),
        }
    }
}

impl Policy {
    pub fn built_in() -> Result<Self, Diagnostics> {
        let (policy, findings) = Self::read_built_in();
        Diagnostics::check([findings])?;
        Ok(policy)
    }

    /// The built-in policy and the mistakes in it, of which there are none in a build that passed
    /// its tests.
    pub(crate) fn read_built_in() -> (Self, Findings) {
        Self::read(Utf8Path::new("the built-in policy"), BUILT_IN)
    }

    /// Reads a policy file and the key files beside it that it names; mistakes in it are findings.
    pub(crate) fn load(path: &Utf8Path) -> Result<(Self, Findings), PathError> {
        Ok(Self::read_beside(path, &Self::read_text(path)?))
    }

    pub(crate) fn read_text(path: &Utf8Path) -> Result<String, PathError> {
        fsx::read_to_string(path, MAX_POLICY_BYTES)
    }

    pub(crate) fn read_beside(path: &Utf8Path, text: &str) -> (Self, Findings) {
        let directory = fsx::parent(path);
        let read_key = |file: &str| {
            fsx::read_to_string(&directory.join(file), MAX_KEY_FILE_BYTES)
                .map_err(|error| format!("{error}: {}", error.source))
        };
        Self::read_with(path, text, &read_key)
    }

    /// Reads the text of a policy file that names no key files. `path` only says where mistakes
    /// are. When there are any, what could be read is of no use but to look for more mistakes
    /// elsewhere.
    pub fn read(path: &Utf8Path, text: &str) -> (Self, Findings) {
        let no_file = |file: &str| Err(format!("`{file}` is not read here"));
        Self::read_with(path, text, &no_file)
    }

    fn read_with(path: &Utf8Path, text: &str, read_key: ReadKey<'_>) -> (Self, Findings) {
        let mut findings = Findings::new(path);
        let mut policy = Self::empty(Digest::of(text.as_bytes()));
        match yaml::parse(path, text) {
            Ok(root) => Reader {
                findings: &mut findings,
                read_key,
            }
            .policy(&root, &mut policy),
            Err(error) => findings.add_syntax(&error),
        }
        (policy, findings)
    }

    const fn empty(digest: Digest) -> Self {
        Self {
            digest,
            allowed_licenses: Vec::new(),
            denied_licenses: Vec::new(),
            allows_unstated_licenses: false,
            allowed_sources: Vec::new(),
            denied_sources: Vec::new(),
            denied_tags: Vec::new(),
            attestations: Vec::new(),
            signatures: Vec::new(),
            sboms: Vec::new(),
            packages: Vec::new(),
            referrers: ReferrerRules {
                repositories: Vec::new(),
                is_new_drift: false,
            },
            image_places: ImagePlaces {
                variables: Vec::new(),
                options: Vec::new(),
                fields: Vec::new(),
                ignored: Vec::new(),
                left_out_tests: Vec::new(),
            },
            tag_pins: Vec::new(),
            waivers: Vec::new(),
        }
    }
}

type ReadKey<'a> = &'a dyn Fn(&str) -> Result<String, String>;

struct Reader<'f> {
    findings: &'f mut Findings,
    read_key: ReadKey<'f>,
}

impl Reader<'_> {
    fn policy(&mut self, root: &Node, policy: &mut Policy) {
        let known = &[
            "apiVersion",
            "kind",
            "licenses",
            "sources",
            "tags",
            "attestations",
            "signatures",
            "sboms",
            "packages",
            "referrers",
            "images",
            "pins",
            "waivers",
        ];
        let Some(map) = Mapping::open(root, "a policy", known, self.findings) else {
            return;
        };
        map.fixed("apiVersion", API_VERSION, self.findings);
        map.fixed("kind", KIND, self.findings);
        if let Some(map) = self.section(&map, "licenses", &["allow", "deny", "unstated"]) {
            policy.allowed_licenses =
                self.list(&map, "allow", |reader, node| reader.word(node, "a licence"));
            policy.denied_licenses = self.list(&map, "deny", |reader, node| {
                let map = Mapping::open(
                    node,
                    "a denied licence",
                    &["license", "reason"],
                    reader.findings,
                )?;
                let (license, reason) = (
                    reader.required(&map, "license"),
                    reader.required(&map, "reason"),
                );
                Some(DeniedLicense {
                    license: license?,
                    reason: reason?,
                })
            });
            policy.allows_unstated_licenses = self.unstated(&map);
        }
        if let Some(map) = self.section(&map, "sources", &["allow", "deny"]) {
            policy.allowed_sources = self.list(&map, "allow", |reader, node| {
                reader.word(node, "a source").map(|text| Glob::new(&text))
            });
            policy.denied_sources = self.list(&map, "deny", |reader, node| {
                let map = Mapping::open(
                    node,
                    "a denied source",
                    &["match", "reason"],
                    reader.findings,
                )?;
                let (pattern, reason) = (
                    reader.required(&map, "match"),
                    reader.required(&map, "reason"),
                );
                Some(DeniedSource {
                    pattern: Glob::new(&pattern?),
                    reason: reason?,
                })
            });
        }
        if let Some(map) = self.section(&map, "tags", &["deny"]) {
            policy.denied_tags = self.list(&map, "deny", |reader, node| reader.word(node, "a tag"));
        }
        policy.attestations = self.list(&map, "attestations", Self::attestation);
        policy.signatures = self.list(&map, "signatures", Self::signature_rule);
        policy.sboms = self.list(&map, "sboms", Self::sbom_rule);
        policy.packages = self.list(&map, "packages", Self::package_rule);
        if let Some(map) = self.section(&map, "referrers", &["repositories", "added"]) {
            policy.referrers = self.referrer_rules(&map);
        }
        if let Some(map) = self.section(
            &map,
            "images",
            &["variables", "options", "fields", "ignore", "leaveOutTests"],
        ) {
            policy.image_places = self.image_places(&map);
        }
        policy.tag_pins = self.list(&map, "pins", Self::tag_pin);
        policy.waivers = self.list(&map, "waivers", Self::waiver);
    }

    fn unstated(&mut self, licenses: &Mapping<'_>) -> bool {
        let Some(node) = licenses.optional("unstated") else {
            return false;
        };
        match self.word(node, "`unstated`").as_deref() {
            Some("allow") => true,
            Some("deny") | None => false,
            Some(other) => {
                self.unknown(node.place, "word", other, vec!["allow", "deny"]);
                false
            }
        }
    }

    fn waiver(&mut self, node: &Node) -> Option<Waiver> {
        let map = Mapping::open(
            node,
            "a waiver",
            &["rule", "match", "reason", "until"],
            self.findings,
        )?;
        let rule = map.required("rule", self.findings).and_then(|node| {
            let found = self.word(node, "a rule")?;
            let rule = Rule::ALL.into_iter().find(|rule| rule.name() == found);
            if rule.is_none() {
                self.unknown(
                    node.place,
                    "rule",
                    &found,
                    Rule::ALL.map(Rule::name).to_vec(),
                );
            }
            rule
        });
        let (pattern, reason) = (self.required(&map, "match"), self.required(&map, "reason"));
        let until = map.required("until", self.findings).and_then(|node| {
            let found = self.word(node, "`until`")?;
            let version = Version::parse(&found).ok();
            if version.is_none() {
                self.findings
                    .add(node.place, &PolicyProblem::Version(&found));
            }
            version
        });
        Some(Waiver {
            rule: rule?,
            pattern: Glob::new(&pattern?),
            reason: reason?,
            until: until?,
            place: node.place,
        })
    }

    fn section<'n>(
        &mut self,
        map: &Mapping<'n>,
        key: &'static str,
        known: &'static [&'static str],
    ) -> Option<Mapping<'n>> {
        map.optional(key)
            .and_then(|node| Mapping::open(node, key, known, self.findings))
    }

    fn list<T>(
        &mut self,
        map: &Mapping<'_>,
        key: &'static str,
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = map.optional(key) else {
            return Vec::new();
        };
        let items = yaml::items(node, key, self.findings);
        items.iter().filter_map(|item| read(self, item)).collect()
    }

    fn required(&mut self, map: &Mapping<'_>, key: &'static str) -> Option<String> {
        map.required(key, self.findings)
            .and_then(|node| self.word(node, key))
    }

    fn word(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = yaml::text(node, what, self.findings)?.trim();
        if text.is_empty() {
            self.findings
                .add(node.place, &PolicyProblem::Empty { what });
            return None;
        }
        Some(text.to_owned())
    }

    fn unknown(&mut self, place: Place, what: &str, found: &str, known: Vec<&'static str>) {
        self.findings
            .add(place, &PolicyProblem::Unknown { what, found, known });
    }
}
