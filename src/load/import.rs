//! An archive of images into a containerd.

use super::{ImageArchive, LoadError};
use crate::{
    bundle::{ContentError, OpenBundle},
    containerd::Containerd,
    oci::Platform,
};
use rune_core::progress::Progress;

/// Lets containerd import an archive for a platform, and unpack it. After a failure there are no
/// new names, unless everything arrived and only unpacking failed.
pub(crate) fn import(
    archive: &ImageArchive,
    bundle: &OpenBundle,
    containerd: &Containerd,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<(), LoadError> {
    progress.begin("importing", archive.total_bytes());
    let mut import = containerd.import(platform)?;
    let written = archive.stream(bundle, progress, |piece| {
        import.write(piece).map_err(|_| Interruption::Pipe)
    });
    progress.note("containerd is unpacking");
    // What came through of a damaged archive has no list of images, so `ctr` fails.
    let ended = import.finish();
    progress.end();
    match written {
        Err(Interruption::Content(error)) => Err(LoadError::Content(error)),
        // Why it stopped reading, it said itself.
        Err(Interruption::Pipe) | Ok(()) => Ok(ended?),
    }
}

enum Interruption {
    Content(ContentError),
    Pipe,
}

impl From<ContentError> for Interruption {
    fn from(error: ContentError) -> Self {
        Self::Content(error)
    }
}
