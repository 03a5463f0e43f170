//! The only door to the file system.
//!
//! Every error says what was tried and on which path; every read has a size limit. A file that is written
//! appears under its name whole or not at all. Access beneath a directory that must not be left (unpacking)
//! goes through `cap-std`, not through here.

mod partial;
mod path_error;
mod whole;

pub use partial::{PartialFile, allocate};
pub use path_error::{Action, PathError};
pub use whole::{
    available_space, create_dir_all, exists, file_size, list_files, open, read, read_to_string, remove_file, rename_new, sync_dir,
    sync_parent, write_atomic, write_new,
};
