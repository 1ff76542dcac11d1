//! What the integration tests of several crates share, so that each is written once: made-up stores, storage that
//! fails, moments to kill a program at, a folder to train in.
//!
//! It is a development dependency only. It depends on `cache`, whose own integration tests use it; the unit tests of
//! `cache` cannot, as for them the types of `cache` are others.

#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a panic is the failure that a test reports, and a skipped test says so"
)]

pub mod faulty;
pub mod files;
pub mod fixture;
pub mod labelled;
pub mod moments;
pub mod place;
pub mod random;
pub mod store;
