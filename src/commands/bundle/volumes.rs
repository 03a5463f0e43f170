//! The list of the volumes of a bundle, for whoever transports them.

use camino::Utf8PathBuf;
use serde::Serialize;

use crate::bundle::Destination;
use rune_core::text::exact_size;

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct PartsList(Vec<ListedVolume>);

#[derive(Debug, Serialize)]
struct ListedVolume {
    number: u64,
    file: Utf8PathBuf,
    bytes: u64,
}

impl PartsList {
    pub(super) fn of(destination: &Destination) -> Self {
        let volumes = destination.parts_list().into_iter().zip(1..);
        let listed = volumes.map(|((path, bytes), number)| ListedVolume {
            number,
            file: path.to_owned(),
            bytes,
        });
        Self(listed.collect())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A line with a box to tick for each.
    pub(super) fn text(&self) -> String {
        let count = self.0.len();
        let width = count.to_string().len();
        self.0.iter().fold(String::new(), |text, volume| {
            let name = volume.file.file_name().unwrap_or_default();
            format!(
                "{text}[ ] volume {:>width$} of {count}  {name}  {}\n",
                volume.number,
                exact_size(volume.bytes)
            )
        })
    }
}
