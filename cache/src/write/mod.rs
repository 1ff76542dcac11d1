//! Filling a store: parts are claimed, written, sealed and recorded by any number of processes, any
//! of which may be killed at any time.

pub(crate) mod column;
mod copying;
pub(crate) mod labelling;
pub(crate) mod opening;
pub(crate) mod part;
pub(crate) mod target;
pub(crate) mod temporary;
pub mod writer;
