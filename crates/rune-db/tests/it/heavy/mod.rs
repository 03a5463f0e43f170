//! Tests that take seconds and gigabytes, one at a time.

mod kills;
mod transfer;
