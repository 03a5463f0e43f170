//! The verbs of `rune-bundle`.
