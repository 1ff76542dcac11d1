//! Reading a complete store: opening it, and handing out its small arrays and hidden states, mapped or read.

pub(crate) mod chunks;
pub(crate) mod column;
pub(crate) mod hidden;
pub mod inspect;
pub(crate) mod io;
pub(crate) mod split;
pub mod storage;
pub(crate) mod store;
