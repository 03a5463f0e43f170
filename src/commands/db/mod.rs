//! The verbs of `rune-db`.
