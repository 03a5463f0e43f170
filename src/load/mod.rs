//! Loading images into the container runtime of a node, without a registry.
//!
//! What a node needs of the images is put together as an OCI archive while it is read from the
//! bundle: into containerd's own import, or into a file that k3s, RKE2 and k0s import.
//! Nothing is unpacked and nothing lies on the disk in between. The archive is a function of the
//! bundle and the platform. It ends with the list of images, so one that was cut off names none,
//! and a content whose digest is wrong is never passed on whole. Speaks to no network.

mod archive;
mod choice;
mod error;
mod images_directory;
mod import;
mod selection;

pub(crate) use archive::ImageArchive;
pub(crate) use error::LoadError;
pub(crate) use images_directory::write_images_file;
pub(crate) use import::import;
pub(crate) use selection::{NotRunnable, SelectedImage, Selection, platform_of_this_machine};
