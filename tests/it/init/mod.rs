//! `init`: from charts to a project that `lock`, `build` and `verify` take as it is.

mod hostile;
mod overwrite;
mod styles;
mod suggest;
mod support;
mod values;
mod walk;
