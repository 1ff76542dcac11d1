//! What every program of the workspace shares: data sets and their labels, scores, the terminal,
//! signals, and the machine around them. Nothing in here knows an encoder, a store or a tensor.

pub mod claim;
pub mod datasets;
pub mod device;
pub mod environment;
pub mod exit;
pub mod files;
pub mod gpu;
pub mod guard;
pub mod heads;
pub mod native;
pub mod resources;
pub mod signals;
pub mod size;
pub mod tasks;
pub mod terminal;
pub mod vectorised;
pub mod words;
