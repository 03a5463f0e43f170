//! What the cluster keeps beside a release: which bundle is installed.
//!
//! A `ConfigMap` in the namespace of the release, written by this program alone: there is nothing
//! secret in it, and who may read the release may see it. It says what is installed, what was
//! installed before, and, while something is being installed, what; so an installation that was cut
//! off counts when the next one is checked, and `rollback` knows where to go.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
};
use semver::Version;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Cluster, ClusterError, Conflict, RunningImages};
use crate::canonical_json;
use rune_core::{digest::Digest, failure::Failure};

pub(super) const PROGRAM: &str = "rune-bundle";
/// The key under which it says what is installed.
const INSTALLED: &str = "installed.json";
/// The key under which it says what is being installed.
const ATTEMPT: &str = "attempt.json";
/// The key under which it says what was installed before, the last first.
const EARLIER: &str = "earlier.json";
/// The key under which it says what was rolled back last.
const LEFT: &str = "left.json";
/// How many earlier installations are kept: as many revisions as Helm keeps.
const MAX_EARLIER: usize = 10;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Installed {
    pub(crate) bundle: String,
    pub(crate) version: Version,
    pub(crate) digest: Digest,
    /// The charts, `name-version`.
    pub(crate) charts: Vec<String>,
    pub(crate) profile: Option<String>,
    /// The schema version that its migrations reach.
    pub(crate) schema_version: Option<u32>,
    pub(crate) receipt: Option<Digest>,
    /// Name and version of the program that installed it.
    pub(crate) tool: String,
    /// The revision of the release, as Helm counts them; earlier versions of this program did not
    /// record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    /// By which digests the images may run that pods name by their tag alone.
    #[serde(default, skip_serializing_if = "RunningImages::is_empty")]
    pub(crate) images: RunningImages,
    /// The names of the chart's tests that the bundle leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) left_out_tests: Vec<String>,
    /// The versions that the definitions of its `crds/` serve, by the name of each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) definitions: BTreeMap<String, Vec<String>>,
    /// The releases of the same installation, itself included, in the order of installation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) set: Vec<SetMember>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetMember {
    pub(crate) namespace: String,
    pub(crate) release: String,
    pub(crate) revision: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attempt {
    pub(crate) bundle: String,
    pub(crate) version: Version,
    pub(crate) digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema_version: Option<u32>,
    /// The revision that runs again when it fails, 0 when nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InstallRecord {
    pub(crate) installed: Option<Installed>,
    /// What is being installed, or was when somebody was cut off.
    pub(crate) attempt: Option<Attempt>,
    pub(crate) earlier: Vec<Installed>,
    pub(crate) left: Option<Installed>,
    /// By which the API server knows that nobody else has written it meanwhile.
    resource_version: Option<String>,
}

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum InstallRecordError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(
        "the ConfigMap `{name}` in namespace {namespace} is not as this program writes it: {reason}"
    )]
    #[failure(Input: "a newer rune-bundle may have written it: use that one; or find out who \
        changed it")]
    Foreign {
        name: String,
        namespace: String,
        reason: String,
    },
}

/// What a bundle is to what is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum InstallKind {
    First,
    Upgrade,
    Same,
    /// It is older, and that is allowed.
    Downgrade,
}

impl InstallRecord {
    pub(crate) fn name(release: &str) -> String {
        format!("{PROGRAM}.{release}")
    }

    pub(crate) async fn read(cluster: &Cluster, release: &str) -> Result<Self, InstallRecordError> {
        let name = Self::name(release);
        let doing = format!("read what is installed from the ConfigMap `{name}`");
        let Some(map) = cluster
            .api::<ConfigMap>()
            .get_opt(&name)
            .await
            .map_err(cluster.failed(doing))?
        else {
            return Ok(Self::default());
        };
        Self::of(map)
    }

    fn of(map: ConfigMap) -> Result<Self, InstallRecordError> {
        let foreign = |reason: String| InstallRecordError::Foreign {
            name: map.name_any(),
            namespace: map.namespace().unwrap_or_default(),
            reason,
        };
        let empty = BTreeMap::new();
        let data = map.data.as_ref().unwrap_or(&empty);
        Ok(Self {
            installed: part(data, INSTALLED).map_err(foreign)?,
            attempt: part(data, ATTEMPT).map_err(foreign)?,
            earlier: part(data, EARLIER).map_err(foreign)?.unwrap_or_default(),
            left: part(data, LEFT).map_err(foreign)?,
            resource_version: map.metadata.resource_version,
        })
    }

    /// Every release with a record, by namespace and name: of the cluster's namespace, or of all.
    pub(crate) async fn list(
        cluster: &Cluster,
        in_all_namespaces: bool,
    ) -> Result<BTreeMap<(String, String), Self>, InstallRecordError> {
        let api: Api<ConfigMap> = if in_all_namespaces {
            Api::all(cluster.client())
        } else {
            cluster.api()
        };
        let parameters =
            ListParams::default().labels(&format!("app.kubernetes.io/managed-by={PROGRAM}"));
        let maps = api
            .list(&parameters)
            .await
            .map_err(cluster.failed("list what is installed"))?;
        let mut releases = BTreeMap::new();
        for map in maps {
            let namespace = map.namespace().unwrap_or_default();
            let name = map.name_any();
            if let Some(release) = name.strip_prefix(&format!("{PROGRAM}.")) {
                releases.insert((namespace, release.to_owned()), Self::of(map)?);
            }
        }
        Ok(releases)
    }

    /// Notes that something is installed now; what was before is kept as the way back.
    pub(crate) fn install(&mut self, installed: Installed) {
        self.attempt = None;
        self.left = None;
        let before = self.installed.replace(installed);
        // Without its revision there is no way back to it.
        let before = before.filter(|before| before.revision.is_some());
        self.earlier.splice(0..0, before);
        self.earlier.truncate(MAX_EARLIER);
    }

    /// Whether this was finished by an installation that was cut off before it had finished
    /// `other`, a release of the same set.
    pub(crate) fn is_ahead_of(&self, other: &Self, namespace: &str, release: &str) -> bool {
        let in_progress = other.attempt.as_ref().and_then(|attempt| attempt.before);
        let (Some(installed), Some(before)) = (&self.installed, in_progress) else {
            return false;
        };
        let is_it =
            |member: &&SetMember| member.namespace == namespace && member.release == release;
        let member = installed.set.iter().find(is_it);
        member.is_some_and(|member| member.revision > before)
    }

    /// Makes what is installed an attempt again, so that the way back of a set that was cut off is
    /// the same for all of its releases.
    pub(crate) fn reopen(&mut self) {
        let before = (!self.earlier.is_empty()).then(|| self.earlier.remove(0));
        let revision = before.as_ref().and_then(|before| before.revision);
        let installed = std::mem::replace(&mut self.installed, before);
        self.attempt = installed.map(|installed| Attempt {
            bundle: installed.bundle,
            version: installed.version,
            digest: installed.digest,
            schema_version: installed.schema_version,
            before: Some(revision.unwrap_or_default()),
        });
    }

    /// The bundle whose installation was cut off, or is going on; a rollback does not count.
    pub(crate) fn begun_install(&self) -> Option<&Attempt> {
        self.attempt
            .as_ref()
            .filter(|attempt| attempt.before.is_some())
    }

    /// Notes that what was installed before runs again, as a revision of its own; nothing when
    /// there was nothing before.
    pub(crate) fn go_back(&mut self, revision: Option<u64>) {
        self.attempt = None;
        self.left = self.installed.take();
        let before = (!self.earlier.is_empty()).then(|| self.earlier.remove(0));
        self.installed = before.map(|before| Installed { revision, ..before });
    }

    /// The highest schema version that was installed or begun to be.
    pub(crate) fn schema_version(&self) -> Option<u32> {
        let installed = self
            .installed
            .as_ref()
            .and_then(|current| current.schema_version);
        let attempt = self
            .attempt
            .as_ref()
            .and_then(|current| current.schema_version);
        installed.max(attempt)
    }

    /// Evaluates a bundle by what is there, installed or begun.
    pub(crate) fn evaluate(
        &self,
        bundle: &str,
        version: &Version,
        digest: Digest,
        may_downgrade: bool,
    ) -> Result<InstallKind, Conflict> {
        let installed = self
            .installed
            .as_ref()
            .map(|current| (&current.bundle, &current.version, current.digest, false));
        let in_progress = self
            .attempt
            .as_ref()
            .map(|current| (&current.bundle, &current.version, current.digest, true));
        for (name, current, other, is_attempt) in installed.into_iter().chain(in_progress) {
            let bundle = bundle.to_owned();
            if *name != bundle {
                return Err(Conflict::OtherBundle {
                    bundle,
                    current: name.clone(),
                });
            }
            match version.cmp_precedence(current) {
                std::cmp::Ordering::Less if !may_downgrade => {
                    return Err(Conflict::Downgrade {
                        bundle,
                        version: version.clone(),
                        current: current.clone(),
                        is_attempt,
                    });
                }
                std::cmp::Ordering::Equal if other != digest => {
                    let (current, digest) = (other.to_string(), digest.to_string());
                    return Err(Conflict::OtherDigest {
                        bundle,
                        version: version.clone(),
                        current,
                        digest,
                        is_attempt,
                    });
                }
                _ => {}
            }
        }
        Ok(
            match installed.map(|(_, current, ..)| version.cmp_precedence(current)) {
                None => InstallKind::First,
                Some(std::cmp::Ordering::Less) => InstallKind::Downgrade,
                Some(std::cmp::Ordering::Equal) => InstallKind::Same,
                Some(std::cmp::Ordering::Greater) => InstallKind::Upgrade,
            },
        )
    }

    /// Everything that is kept, to be read by people.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "installed": self.installed,
            "attempt": self.attempt,
            "earlier": self.earlier,
            "left": self.left,
        })
    }

    /// Writes it, unless somebody else has written it since it was read (`Conflict`).
    pub(crate) async fn write(
        &mut self,
        cluster: &Cluster,
        release: &str,
    ) -> Result<(), InstallRecordError> {
        let name = Self::name(release);
        let mut data = BTreeMap::new();
        put(&mut data, INSTALLED, self.installed.as_ref());
        put(&mut data, ATTEMPT, self.attempt.as_ref());
        let earlier = (!self.earlier.is_empty()).then_some(&self.earlier);
        put(&mut data, EARLIER, earlier);
        put(&mut data, LEFT, self.left.as_ref());
        let labels = [
            ("app.kubernetes.io/managed-by", PROGRAM),
            ("app.kubernetes.io/instance", release),
        ];
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(
                    labels
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .into(),
                ),
                resource_version: self.resource_version.clone(),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..ConfigMap::default()
        };
        let api = cluster.api::<ConfigMap>();
        let parameters = PostParams::default();
        let written = match &self.resource_version {
            Some(_) => api.replace(&name, &parameters, &map).await,
            None => api.create(&parameters, &map).await,
        };
        let doing = format!("write what is installed to the ConfigMap `{name}`");
        self.resource_version = written
            .map_err(cluster.failed(doing))?
            .metadata
            .resource_version;
        Ok(())
    }
}

fn part<T: DeserializeOwned>(
    data: &BTreeMap<String, String>,
    key: &str,
) -> Result<Option<T>, String> {
    data.get(key)
        .map(|text| serde_json::from_str(text).map_err(|error| format!("`{key}`: {error}")))
        .transpose()
}

fn put<T: Serialize>(data: &mut BTreeMap<String, String>, key: &str, value: Option<&T>) {
    let bytes = value.and_then(|value| canonical_json::to_bytes(value).ok());
    if let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
        data.insert(key.to_owned(), text);
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempt, Conflict, InstallKind, InstallRecord, Installed, SetMember};
    use crate::install::RunningImages;
    use rune_core::digest::Digest;
    use std::collections::BTreeMap;

    fn installed(version: &str, revision: Option<u64>) -> Installed {
        Installed {
            bundle: "rune".to_owned(),
            version: version.parse().unwrap(),
            digest: Digest::of(version.as_bytes()),
            charts: Vec::new(),
            profile: None,
            schema_version: None,
            receipt: None,
            tool: String::new(),
            revision,
            images: RunningImages::new(),
            left_out_tests: Vec::new(),
            definitions: BTreeMap::new(),
            set: Vec::new(),
        }
    }

    fn kept(version: &str) -> InstallRecord {
        InstallRecord {
            installed: Some(installed(version, None)),
            ..InstallRecord::default()
        }
    }

    #[test]
    fn the_way_back_is_one_installation_after_the_other() {
        let mut kept = kept("0.1.0");
        kept.install(installed("0.2.0", Some(2)));
        assert!(kept.earlier.is_empty(), "0.1.0 has no revision");
        kept.install(installed("0.3.0", Some(3)));
        let versions = |kept: &InstallRecord| -> Vec<String> {
            let versions = kept.installed.iter().chain(&kept.earlier);
            versions
                .map(|current| current.version.to_string())
                .collect()
        };
        assert_eq!(versions(&kept), ["0.3.0", "0.2.0"]);
        kept.go_back(Some(4));
        assert_eq!(versions(&kept), ["0.2.0"]);
        assert_eq!(kept.installed.as_ref().unwrap().revision, Some(4));
        kept.go_back(None);
        assert_eq!(versions(&kept), [] as [String; 0]);
    }

    #[test]
    fn what_a_set_finished_before_it_was_cut_off_is_begun_again() {
        let mut finished = kept("1.0.0");
        finished.installed.as_mut().unwrap().revision = Some(1);
        let mut cut_off = finished.clone();
        let mut second = installed("2.0.0", Some(3));
        second.set = vec![SetMember {
            namespace: "shop".to_owned(),
            release: "front".to_owned(),
            revision: 5,
        }];
        finished.install(second);
        let attempt = |before| Attempt {
            bundle: "rune".to_owned(),
            version: "2.0.0".parse().unwrap(),
            digest: Digest::of(b"2.0.0"),
            schema_version: None,
            before,
        };
        for (before, expected) in [(Some(4), true), (Some(5), false), (None, false)] {
            cut_off.attempt = Some(attempt(before));
            let is_ahead = finished.is_ahead_of(&cut_off, "shop", "front");
            assert_eq!(is_ahead, expected, "{before:?}");
        }
        assert!(!finished.is_ahead_of(&cut_off, "shop", "back"));
        finished.reopen();
        assert_eq!(finished.attempt, Some(attempt(Some(1))));
        assert_eq!(finished.installed.unwrap().version.to_string(), "1.0.0");
        assert!(finished.earlier.is_empty());
    }

    fn evaluate(
        kept: &InstallRecord,
        version: &str,
        may_downgrade: bool,
    ) -> Result<InstallKind, Conflict> {
        kept.evaluate(
            "rune",
            &version.parse().unwrap(),
            Digest::of(version.as_bytes()),
            may_downgrade,
        )
    }

    #[test]
    fn what_is_older_is_refused_unless_it_is_allowed() {
        assert_eq!(
            evaluate(&InstallRecord::default(), "0.1.0", false),
            Ok(InstallKind::First)
        );
        assert_eq!(
            evaluate(&kept("0.2.0"), "0.3.0", false),
            Ok(InstallKind::Upgrade)
        );
        assert_eq!(
            evaluate(&kept("0.2.0"), "0.2.0", false),
            Ok(InstallKind::Same)
        );
        assert!(matches!(
            evaluate(&kept("0.2.0"), "0.2.0-rc.1", false),
            Err(Conflict::Downgrade {
                is_attempt: false,
                ..
            })
        ));
        assert_eq!(
            evaluate(&kept("0.2.0"), "0.1.0", true),
            Ok(InstallKind::Downgrade)
        );
    }

    #[test]
    fn one_version_is_one_bundle_whatever_is_allowed() {
        for version in ["0.2.0", "0.2.0+rebuilt"] {
            let found = kept("0.2.0").evaluate(
                "rune",
                &version.parse().unwrap(),
                Digest::of(b"another"),
                true,
            );
            assert!(
                matches!(found, Err(Conflict::OtherDigest { .. })),
                "{found:?}"
            );
        }
        let other =
            kept("0.2.0").evaluate("other", &"9.0.0".parse().unwrap(), Digest::of(b""), true);
        assert!(matches!(other, Err(Conflict::OtherBundle { .. })));
    }

    #[test]
    fn what_was_begun_counts_as_what_is_there() {
        let mut kept = kept("0.1.0");
        kept.attempt = Some(Attempt {
            bundle: "rune".to_owned(),
            version: "0.2.0".parse().unwrap(),
            digest: Digest::of(b"0.2.0"),
            schema_version: None,
            before: None,
        });
        assert!(matches!(
            evaluate(&kept, "0.1.0", false),
            Err(Conflict::Downgrade {
                is_attempt: true,
                ..
            })
        ));
        assert_eq!(evaluate(&kept, "0.2.0", false), Ok(InstallKind::Upgrade));
        assert_eq!(evaluate(&kept, "0.1.0", true), Ok(InstallKind::Same));
    }
}
