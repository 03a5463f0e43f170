//! Disks of other kinds than the one that this was developed on: file systems by FUSE, and those
//! that lack calls of the kernel.

pub(crate) mod by_fuse;
pub(crate) mod kills;
pub(crate) mod lacking;
pub(crate) mod outputs;
pub(crate) mod support;
