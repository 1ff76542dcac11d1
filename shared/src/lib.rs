//! What every program of the workspace shares: data sets and their labels, scores, the terminal, signals, and
//! the machine around them. Nothing in here knows an encoder, a store or a tensor.

pub mod accuracy;
pub mod classes;
pub mod dataset;
pub mod device;
pub mod exit;
pub mod files;
pub mod gpu;
pub mod labels;
pub mod native;
pub mod resources;
pub mod signals;
pub mod size;
pub mod spans;
pub mod terminal;
