//! Tests that take seconds and gigabytes; each runs alone.

mod accounting;
mod kills;
mod serving;
mod transfer;
