//! Sweeps: many heads from one file. Those that see their sentences in the same order are trained on one pass over
//! the store each epoch, several at the same time, each computing on one thread, so that the numbers of a run are those it
//! would have alone with `--threads 1`, however many others there are.

mod crew;
mod plan;
mod spread;

pub use crew::Crew;
pub use plan::{PlanError, Planned, read};
pub use spread::{Health, Spread, divided, spread};
