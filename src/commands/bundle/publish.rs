//! `publish`: a bundle into a registry, so that `fetch` can give it back byte for byte.

use std::sync::Arc;

use serde::Serialize;

use super::push::{self, PushOptions, PushReport};
use rune_core::{
    command::{CommandError, Report},
    failure::FailureKind,
    progress::Progress,
};

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct PublishReport(PushReport);

impl Report for PublishReport {
    const VERB: &'static str = "publish";

    fn verdict(&self) -> Option<FailureKind> {
        self.0.verdict()
    }

    fn text(&self) -> String {
        let mut text = self.0.text();
        if let Some(index) = self.0.bundle_index() {
            text.push_str(&format!(
                "next       `rune-bundle fetch {index} --output FILE`\n"
            ));
        }
        text
    }
}

pub(crate) fn run(
    options: &PushOptions,
    progress: &Arc<dyn Progress>,
) -> Result<PublishReport, CommandError> {
    push::run(options, progress).map(PublishReport)
}
