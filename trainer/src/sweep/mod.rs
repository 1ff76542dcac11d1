//! What a sweep shares out among its heads: workers on the CPU, and several GPUs. Runs that see their
//! sentences in the same order are trained on one pass over the store each epoch, several at the same
//! time, each computing on one thread. So the numbers of a run are those that it would have alone with
//! `--threads 1`, however many others there are.

mod spread;
mod worker_pool;

pub use spread::{Health, Spread, divided, spread};
pub use worker_pool::WorkerPool;
