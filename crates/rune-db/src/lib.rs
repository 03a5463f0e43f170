//! The library behind `rune-db`: whether a database is valid, moving its rows, the verbs.

pub mod cli;
pub mod commands;
pub mod integrity;
pub mod transfer;
