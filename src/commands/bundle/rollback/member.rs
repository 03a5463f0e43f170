//! One release of an installation that is rolled back.

use std::time::Duration;

use super::{
    super::{cluster_access::ClusterAccess, install::Permissions, status::NoRecord},
    RollbackError,
};
use crate::{
    install::{
        Attempt, Cluster, DatabaseSchema, InstallError, InstallRecord, Installed, ReleaseHelm,
        SetMember, State, ask_schema, check_pending, deployed_objects, missing_versions, return_to,
    },
    receipt::{BundleId, Outcome, RolledBackRelease},
};
use rune_core::{command::CommandError, digest::Digest, progress::Progress};

pub(super) struct Member {
    cluster: Cluster,
    helm: ReleaseHelm,
    record: InstallRecord,
    left: Installed,
    place: Place,
    pub(super) schema: Option<DatabaseSchema>,
}

#[derive(Debug, Clone)]
enum Place {
    /// Still as it was installed.
    Installed,
    /// Back, as this revision; removed without one.
    Back(Option<u64>),
    Failed(State),
}

impl Member {
    /// Reads the record of a release, whose installation must be over.
    pub(super) async fn read(
        access: &ClusterAccess<'_>,
        namespace: &str,
        release: &str,
    ) -> Result<Self, CommandError> {
        let (cluster, helm) = access.release(namespace, release)?;
        let record = InstallRecord::read(&cluster, release)
            .await
            .map_err(InstallError::from)?;
        if let Some(unfinished) = record.begun_install() {
            return Err(RollbackError::NotFinished {
                release: release.to_owned(),
                bundle: format!("{} {}", unfinished.bundle, unfinished.version),
            }
            .into());
        }
        // Without what is installed now, it was removed when its first installation went back.
        let place = match &record.installed {
            Some(_) => Place::Installed,
            None => Place::Back(None),
        };
        let Some(left) = record.installed.clone().or_else(|| record.left.clone()) else {
            return Err(NoRecord {
                release: release.to_owned(),
                namespace: namespace.to_owned(),
            }
            .into());
        };
        Ok(Self {
            cluster,
            helm,
            record,
            left,
            place,
            schema: None,
        })
    }

    /// Every release that was installed together with this one, itself included.
    pub(super) fn set(&self) -> Vec<SetMember> {
        if self.left.set.is_empty() {
            // Earlier versions of this program installed one at a time.
            return vec![SetMember {
                namespace: self.cluster.namespace().to_owned(),
                release: self.helm.release().to_owned(),
                revision: self.left.revision.unwrap_or_default(),
            }];
        }
        self.left.set.clone()
    }

    /// Whether it belongs to an installation, as it is or as it was before it was rolled back: a
    /// rollback that was cut off goes on with the others.
    pub(super) fn is_of(&mut self, set: &[SetMember]) -> bool {
        if self.set() == set {
            return true;
        }
        let left = self.record.left.clone();
        let Some(left) = left.filter(|left| left.set == set) else {
            return false;
        };
        let revision = self
            .record
            .installed
            .as_ref()
            .and_then(|existing| existing.revision);
        self.left = left;
        self.place = Place::Back(revision);
        true
    }

    /// What was installed before; none when nothing was.
    pub(super) fn target(&self) -> Option<&Installed> {
        match self.place {
            Place::Back(_) => self.record.installed.as_ref(),
            _ => self.record.earlier.first(),
        }
    }

    pub(super) async fn check(&mut self, permissions: &Permissions) -> Result<(), CommandError> {
        let (release, history) = (self.helm.release().to_owned(), self.helm.history().await?);
        check_pending(&release, &history, permissions.take_over)?;
        let Some(before) = self.target().filter(|_| !self.is_back()).cloned() else {
            return Ok(());
        };
        let revision = before.revision.unwrap_or_default();
        if !history.iter().any(|existing| existing.number == revision) {
            return Err(RollbackError::NoRevision { release, revision }.into());
        }
        let missing = missing_versions(&self.cluster, &before.definitions)
            .await
            .map_err(InstallError::from)?;
        if !missing.is_empty() {
            return Err(RollbackError::Definitions {
                before: label(&before),
                missing,
            }
            .into());
        }
        let Some(known) = before.schema_version else {
            return Ok(());
        };
        let objects = deployed_objects(&self.helm, &history).await?;
        let schema = ask_schema(&self.cluster, &release, &objects).await;
        let database = match &schema {
            DatabaseSchema::NoDatabase => None,
            DatabaseSchema::Version(version) => *version,
            DatabaseSchema::Unknown(_) => self.record.schema_version(),
        };
        self.schema = Some(schema);
        match database.filter(|database| *database > known && !permissions.downgrade) {
            Some(database) => Err(RollbackError::NewerSchema {
                release,
                database,
                before: label(&before),
                known,
            }
            .into()),
            None => Ok(()),
        }
    }

    pub(super) async fn go_back(
        &mut self,
        patience: Duration,
        progress: &dyn Progress,
    ) -> Result<(), InstallError> {
        if self.is_back() {
            return Ok(());
        }
        let before = self.target().cloned();
        self.record.attempt = before.as_ref().map(|before| Attempt {
            bundle: before.bundle.clone(),
            version: before.version.clone(),
            digest: before.digest,
            schema_version: before.schema_version,
            before: None,
        });
        self.write().await?;
        let to = before.as_ref().and_then(|before| before.revision);
        let left_out = before
            .map(|before| before.left_out_tests)
            .unwrap_or_default();
        let (cluster, helm) = (&self.cluster, &self.helm);
        let back = return_to(cluster, helm, to, &left_out, patience, progress).await;
        let back = back.inspect_err(|error| {
            if let InstallError::Rollout(failure) = error {
                self.place = Place::Failed(failure.state().clone());
            }
        })?;
        let revision = back.map(|back| back.revision);
        self.place = Place::Back(revision);
        self.record.go_back(revision);
        self.write().await
    }

    /// Keeps the receipt of the rollback where that of the installation was.
    pub(super) async fn note_receipt(
        &mut self,
        receipt: Option<Digest>,
    ) -> Result<(), InstallError> {
        if let Some(installed) = &mut self.record.installed {
            installed.receipt = receipt;
        }
        self.write().await
    }

    async fn write(&mut self) -> Result<(), InstallError> {
        Ok(self
            .record
            .write(&self.cluster, self.helm.release())
            .await?)
    }

    const fn is_back(&self) -> bool {
        matches!(self.place, Place::Back(_))
    }

    pub(super) fn namespace(&self) -> &str {
        self.cluster.namespace()
    }

    pub(super) fn name(&self) -> String {
        self.helm.release().to_owned()
    }

    pub(super) fn label(&self) -> String {
        label(&self.left)
    }

    pub(super) const fn left(&self) -> &Installed {
        &self.left
    }

    /// The revision that it has now, once it is back.
    pub(super) const fn revision(&self) -> Option<u64> {
        match self.place {
            Place::Back(revision) => revision,
            _ => None,
        }
    }

    /// Where it is, for a message about another one.
    pub(super) fn state(&self) -> State {
        match &self.place {
            Place::Installed => State::At {
                revision: self.left.revision,
            },
            Place::Back(Some(revision)) => State::RolledBack { to: *revision },
            Place::Back(None) => State::Removed,
            Place::Failed(state) => state.clone(),
        }
    }

    pub(super) fn receipt(&self) -> Option<RolledBackRelease> {
        let outcome = match self.place {
            Place::Installed => return None,
            Place::Back(_) => Outcome::Deployed,
            Place::Failed(_) => Outcome::Failed,
        };
        Some(RolledBackRelease {
            namespace: self.namespace().to_owned(),
            release: self.name(),
            from: bundle_id(&self.left),
            to: self.target().map(bundle_id),
            revision: self.revision(),
            outcome,
        })
    }
}

pub(super) fn bundle_id(installed: &Installed) -> BundleId {
    BundleId {
        name: installed.bundle.clone(),
        version: installed.version.clone(),
        digest: installed.digest,
    }
}

fn label(installed: &Installed) -> String {
    format!("{} {}", installed.bundle, installed.version)
}
