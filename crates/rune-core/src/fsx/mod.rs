//! The only door to the file system.
//!
//! Every error says what was tried and on which path; every read has a size limit. A file that is
//! written appears under its name whole or not at all. A directory that must not be left
//! (unpacking) is reached through one `cap-std` handle.

mod editable;
mod exclusive;
mod file_state;
mod identity;
mod lacking;
mod line_log;
mod linked;
mod lock;
mod new_file;
mod ownership;
mod partial;
mod path_error;
mod publish;
mod replaceable;
mod scratch;
mod staging;
mod stamp;
mod temporary;
mod whole;

pub use editable::EditableFile;
pub use file_state::{FileState, boot_id};
pub use identity::{
    FileIdentity, check_readable, identity, is_link, is_mount_point, is_writable, remove_if_same,
    resolve,
};
pub use line_log::LineLog;
pub use linked::list_linked_files;
pub use lock::DirectoryLock;
pub use new_file::NewFile;
pub use ownership::{check_only_ours, read_only_ours};
pub use partial::PartialFile;
pub use path_error::{Action, PathError};
pub use publish::{
    check_free, check_no_directory, complete, is_placeholder, is_taken, partial_path,
};
pub use replaceable::ReplaceableFile;
pub use scratch::ScratchDirectory;
pub use staging::StagingDirectory;
pub use stamp::Stamp;
pub use temporary::{FileMode, SIDE_FILES, TemporaryFile};
pub use whole::{
    FileSystem, available_space, check_keeps_private, check_writable, create_dir_all, duplicate,
    exists, file_names, file_size, file_size_limit, file_system, for_each_chunk, is_dir, is_file,
    is_regular, list_files, open, parent, read, read_to_string, remove_file, write_atomic,
    write_new, write_private,
};
