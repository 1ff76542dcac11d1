//! Opening a store for writing, one process at a time: what is there is looked at, deleted or begun,
//! and nobody else does so in between. Then any number of writers are at work side by side, each of
//! which says so by a claim of its own for as long as it lives.

use std::path::Path;
use std::time::{Duration, Instant};

use shared::claim::{Claim, ClaimError, living};

use crate::StoreError;
use crate::layout::record::progress_folder;

/// The claim's name, in the store's own folder.
const NAME: &str = ".opening";
/// Opening is a matter of small files; where many open a store at once, it is the last one's turn by
/// then.
const LONGEST_WAIT: Duration = Duration::from_mins(2);
/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(25);

/// The right to look at a store, delete it, or begin it.
pub(crate) struct Opening(Claim);

impl Opening {
    /// Waits for those who are opening the store.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when one of them does not get done.
    pub(crate) fn take(store: &Path) -> Result<Self, StoreError> {
        let begun = Instant::now();
        loop {
            match Claim::take(store, NAME) {
                Err(ClaimError::Held(_)) if begun.elapsed() < LONGEST_WAIT => {
                    std::thread::sleep(PAUSE);
                }
                taken => {
                    return taken
                        .map(Self)
                        .map_err(|error| StoreError::of_store(store, error));
                }
            }
        }
    }

    /// [`StoreError::Busy`] where somebody writes the store.
    #[expect(clippy::unused_self, reason = "asked by whoever holds the opening")]
    pub(crate) fn check_unused(&self, store: &Path) -> Result<(), StoreError> {
        match living(&progress_folder(store)).into_iter().next() {
            None => Ok(()),
            Some((_, owner)) => Err(StoreError::Busy {
                path: store.to_owned(),
                owner: Box::new(owner),
            }),
        }
    }

    /// Says that this process writes the store, until what is returned is dropped.
    #[expect(clippy::unused_self, reason = "asked by whoever holds the opening")]
    pub(crate) fn join(&self, store: &Path) -> Result<Claim, StoreError> {
        let progress = progress_folder(store);
        fs_err::create_dir_all(&progress).map_err(StoreError::io)?;
        Claim::join(&progress, "writer").map_err(|error| StoreError::of_store(store, error))
    }

    /// Lets the next one in; of a process that was killed nothing stays.
    pub(crate) fn finish(self) {
        self.0.finish();
    }
}

/// Whether a file in a store's folder belongs to its opening.
pub(crate) fn is_of_opening(name: &str) -> bool {
    name.strip_prefix(NAME)
        .is_some_and(|rest| rest.starts_with(".owner-"))
}
