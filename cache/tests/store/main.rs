//! Stores as users meet them: written whole, killed, shared, damaged, read by other Zarr readers.
#![expect(clippy::unwrap_used, reason = "a panic is the failure being reported")]

mod damage;
mod faults;
mod full_disk;
mod kills;
mod labels;
mod memory;
mod pieces;
mod python;
mod round_trip;
mod texts;
mod writers;
mod zarr;
