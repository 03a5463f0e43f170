//! Tests that take seconds and gigabytes; each runs alone.

mod accounting;
mod serving;
mod transfer;
