//! The file of a sweep. The trainer cannot be linked without libtorch, but the modules that read the file can, by their
//! path, as its launcher does it with the options.

use std::hint::black_box;

use crate::place;

#[allow(dead_code, unreachable_pub, reason = "the trainer uses all of it")]
#[path = "../../../trainer/src/sweep/plan.rs"]
mod plan;

pub(crate) fn file(input: &[u8]) {
    let path = place::file("sweep.toml", input);
    if let Ok(runs) = plan::read(&path) {
        assert!(!runs.is_empty(), "a sweep without runs");
        black_box(runs);
    }
}
