//! The file of a sweep, as the trainer reads it; its command line is a crate without libtorch.

use std::hint::black_box;

use trainer_options::sweep;

use crate::place;

pub(crate) fn file(input: &[u8]) {
    let path = place::file("sweep.toml", input);
    if let Ok(runs) = sweep::read(&path) {
        assert!(!runs.is_empty(), "a sweep without runs");
        black_box(runs);
    }
}
