//! The releases are changed, one after the other; and back, when one of them fails.

use super::{Installation, Work, look::Inspection};
use crate::{
    commands::bundle::receipt_place::tool,
    install::{
        Attempt, InstallError, Installed, RolledOut, RolloutError, SetMember, State, Wanted,
        revision_before, roll_out, take_back, take_over,
    },
    receipt::{Act, Appended, InstalledRelease, Outcome, VerifiedBundle},
};
use rune_core::{command::CommandError, digest::Digest};

impl Installation<'_> {
    /// Installs every release, and goes back with all of them when one fails.
    pub(super) async fn change(
        &self,
        found: &mut [Inspection],
    ) -> Result<(Vec<RolledOut>, Option<Appended>), CommandError> {
        let mut rolled_out = Vec::new();
        for (number, work) in self.works.iter().enumerate() {
            let Some(found_here) = found.get_mut(number) else {
                break;
            };
            match work.change(found_here).await {
                Ok(one) => rolled_out.push(one),
                Err(error) => return Err(self.failed(&rolled_out, found, error).await),
            }
        }
        let appended = self.put_on_record(found, &rolled_out, Outcome::Deployed);
        let receipt = appended.as_ref().ok().and_then(Option::as_ref);
        let receipt = receipt.map(|appended| appended.digest);
        let set: Vec<SetMember> = self.works.iter().zip(&rolled_out).map(member).collect();
        let runs = "what was installed runs, and this is not on record";
        for ((work, found), rolled_out) in self.works.iter().zip(found).zip(&rolled_out) {
            found
                .kept
                .install(work.installed(found, *rolled_out, receipt, &set));
            work.keep(found)
                .await
                .map_err(|error| CommandError::from(error).context(runs))?;
        }
        let appended = appended.map_err(|error| {
            error.context("what was installed runs, and there is no receipt of it")
        })?;
        Ok((rolled_out, appended))
    }

    async fn failed(
        &self,
        rolled_out: &[RolledOut],
        found: &mut [Inspection],
        error: InstallError,
    ) -> CommandError {
        let number = rolled_out.len();
        let Some(work) = self.works.get(number) else {
            return error.into();
        };
        let failure = match error {
            InstallError::Rollout(failure) => *failure,
            error => {
                let Some(found) = found.get_mut(number) else {
                    return error.into();
                };
                // Helm changed nothing, so nothing is begun.
                if matches!(error, InstallError::HelmRefused { .. }) {
                    found.kept.attempt = None;
                    if let Err(error) = work.keep(found).await {
                        return error.into();
                    }
                }
                if number == 0 {
                    return error.into();
                }
                let before = revision_before(&found.kept, &found.history);
                RolloutError::not_begun(&work.helm, &work.cluster, &error, before)
            }
        };
        let is_interrupted = self.access.interrupt().is_asked();
        let mut others = Vec::new();
        let before = self.works.iter().zip(&mut *found).zip(rolled_out);
        for ((work, found), rolled_out) in before.rev() {
            let state = if is_interrupted {
                let revision = Some(rolled_out.revision);
                State::At { revision }
            } else {
                work.take_back(found).await
            };
            others.push((work.helm.release().to_owned(), state));
        }
        let is_back = |state: &State| {
            matches!(
                state,
                State::RolledBack { .. } | State::Removed | State::At { .. }
            )
        };
        let outcome = match failure.state() {
            State::Interrupted { .. } => None,
            state if is_back(state) && others.iter().all(|(_, state)| is_back(state)) => {
                Some(Outcome::RolledBack)
            }
            _ => Some(Outcome::Failed),
        };
        if let Some(outcome) = outcome {
            // The failure is what matters; that it could not be put on record as well is said
            // beside it.
            if let Err(error) = self.put_on_record(found, &[], outcome) {
                self.progress.announce(&format!(
                    "note: there is no receipt of this: {}",
                    error.messages().join(": ")
                ));
            }
        }
        if let Some(found) = found.get_mut(number).filter(|_| is_back(failure.state())) {
            work.forget_attempt(found).await;
        }
        let not_begun = self
            .works
            .iter()
            .zip(&*found)
            .skip(number.saturating_add(1));
        others.extend(not_begun.map(|(work, found)| {
            let revision = revision_before(&found.kept, &found.history);
            (work.helm.release().to_owned(), State::At { revision })
        }));
        InstallError::from(Box::new(failure.with_others(others))).into()
    }

    fn put_on_record(
        &self,
        found: &[Inspection],
        rolled_out: &[RolledOut],
        outcome: Outcome,
    ) -> Result<Option<Appended>, CommandError> {
        let revision = |number: usize| rolled_out.get(number).map_or(0, |one| one.revision);
        let releases = self.works.iter().zip(found).enumerate();
        let releases =
            releases.map(|(number, (work, found))| work.receipt(found, revision(number)));
        let mut releases: Vec<InstalledRelease> = releases.collect();
        let cluster = self.access.cluster.address().to_owned();
        let cluster_id = self.access.cluster.id().map(str::to_owned);
        let registry = self.options.registry.as_ref().map(ToString::to_string);
        let act = match releases.pop() {
            Some(release) if releases.is_empty() => Act::Install {
                cluster,
                cluster_id,
                release,
                registry,
                outcome,
            },
            last => Act::InstallSet {
                cluster,
                cluster_id,
                releases: releases.into_iter().chain(last).collect(),
                registry,
                outcome,
            },
        };
        let bundle = VerifiedBundle::of(self.bundle.head(), self.verified_bytes);
        self.options.receipts.append(bundle, act)
    }
}

fn member((work, rolled_out): (&Work<'_>, &RolledOut)) -> SetMember {
    SetMember {
        namespace: work.cluster.namespace().to_owned(),
        release: work.helm.release().to_owned(),
        revision: rolled_out.revision,
    }
}

impl Work<'_> {
    async fn change(&self, found: &mut Inspection) -> Result<RolledOut, InstallError> {
        found.namespace.apply(&self.cluster).await?;
        let index = self.bundle.index();
        let before = revision_before(&found.kept, &found.history);
        found.kept.attempt = Some(Attempt {
            bundle: index.name.clone(),
            version: index.version.clone(),
            digest: self.bundle.head().digest(),
            schema_version: self.schema_version(),
            before: Some(before.unwrap_or_default()),
        });
        self.keep(found).await?;
        found.definitions.apply(&self.cluster).await?;
        let history = take_over(&self.helm, &found.history, before, self.progress).await?;
        let wanted = Wanted {
            chart: found.chart.as_str(),
            values: &found.mapped.values,
            post_renderer: found.mapped.post_renderer.as_ref(),
            objects: &found.objects,
            running: &found.running,
            left_out_tests: &self.left_out_tests(&found.objects),
            patience: self.options.patience,
            before,
        };
        roll_out(&self.cluster, &self.helm, &wanted, &history, self.progress).await
    }

    /// Goes back after another release failed.
    async fn take_back(&self, found: &mut Inspection) -> State {
        let to = revision_before(&found.kept, &found.history);
        let release = self.helm.release();
        self.progress
            .announce(&format!("going back with release {release}"));
        let state = take_back(&self.helm, to, self.options.patience).await;
        let state = state.unwrap_or_else(|error| State::Stuck {
            to,
            said: error.to_string(),
        });
        if !matches!(state, State::Stuck { .. }) {
            self.forget_attempt(found).await;
        }
        state
    }

    async fn forget_attempt(&self, found: &mut Inspection) {
        found.kept.attempt = None;
        if let Err(error) = self.keep(found).await {
            self.progress.announce(&format!(
                "note: the cluster still has it on record that this was begun: {error}"
            ));
        }
    }

    async fn keep(&self, found: &mut Inspection) -> Result<(), InstallError> {
        let release = self.helm.release();
        Ok(found.kept.write(&self.cluster, release).await?)
    }

    fn installed(
        &self,
        found: &Inspection,
        rolled_out: RolledOut,
        receipt: Option<Digest>,
        set: &[SetMember],
    ) -> Installed {
        let (index, destination) = (self.bundle.index(), &self.chosen.destination);
        Installed {
            bundle: index.name.clone(),
            version: index.version.clone(),
            digest: self.bundle.head().digest(),
            charts: vec![destination.chart_label()],
            profile: destination.profile.clone(),
            schema_version: self.schema_version(),
            receipt,
            tool: tool(),
            revision: Some(rolled_out.revision),
            images: found.running.clone(),
            left_out_tests: self.left_out_tests(&found.objects),
            definitions: found.definitions.versions.clone(),
            set: set.to_vec(),
        }
    }

    fn receipt(&self, found: &Inspection, revision: u64) -> InstalledRelease {
        let destination = &self.chosen.destination;
        InstalledRelease {
            namespace: self.cluster.namespace().to_owned(),
            release: self.helm.release().to_owned(),
            revision,
            chart: destination.chart_label(),
            chart_digest: Digest::of(&destination.archive),
            profile: destination.profile.clone(),
            manifest_digest: found.manifest,
            schema_version: self.schema_version(),
        }
    }
}
