//! Deletes from a registry what only older bundles need.
//!
//! `push` leaves the signed index of each bundle in `bundles/<name>`, so the registry itself says
//! what every bundle needs. One counts when a trusted key has signed it; one that cannot be read or
//! verified ends the run before anything is deleted. The newest bundles of each name stay, and
//! those that clusters run or `rollback` goes back to. Of the others, those manifests are deleted
//! that no bundle that stays lists, and that nobody else has to do with: no tag of others leads to
//! them, no list of others names them, no artifact of others is about them.
//!
//! The order makes a run that was cut off harmless and the next one complete. First the images and
//! charts, whatever refers to something before what it refers to, so that no tag leads to an image
//! without its parts. Then, bundle by bundle, the bundle index: as long as anything of a bundle is
//! there, it says so, and the next run goes on with it. That one goes before its signatures,
//! because without them it would be one without a signature, which ends every run. What a run
//! leaves between these two is a list of signatures about nothing. Where it and the bytes of
//! `bundle.json` still exist, the next run finds and deletes it.

mod choice;
mod deletion;
mod error;
mod needs;
mod outcome;
mod plan;
mod published;
mod snapshot;
mod staying;

pub(crate) use error::PruneError;
pub(crate) use outcome::{Fate, Held, Target, TargetKind, Use, UseKind};
pub(crate) use plan::Plan;

use outcome::Reason;

use crate::{bundle::Trust, push::Destination, registry::Client};
use rune_core::progress::Progress;

#[derive(Debug, Clone)]
pub(crate) struct PruneSettings {
    pub(crate) destination: Destination,
    pub(crate) keep: usize,
    pub(crate) uses: Vec<Use>,
}

pub(crate) async fn plan(
    client: &Client,
    settings: &PruneSettings,
    trust: &Trust,
    progress: &dyn Progress,
) -> Result<Plan, PruneError> {
    progress.note("reading the bundle indexes");
    let bundles = published::read_all(client, &settings.destination, trust).await?;
    Plan::new(client, settings, &bundles, progress).await
}

pub(crate) async fn delete(
    client: &Client,
    plan: &mut Plan,
    progress: &dyn Progress,
) -> Result<(), PruneError> {
    deletion::run(client, plan, progress).await
}
