//! One verb per file: options in, domain calls, a report or an error out.
//!
//! Nothing here prints or reads the environment; `cli` turns command lines into options and reports
//! into text or JSON.

pub mod bundle;
pub mod registry_access;
