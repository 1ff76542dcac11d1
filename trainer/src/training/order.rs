//! The order in which a training sees its sentences. Trainings of the same order can share one pass
//! over the store.

use crate::batches::{self, BatchSize, LabelledSplit};
use crate::run::Settings;

/// What the order of the sentences and their batches depend on, besides the split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    seed: u64,
    shuffle: bool,
    batch_size: BatchSize,
    limit: Option<usize>,
}

impl Order {
    /// The order that `settings` ask for.
    #[must_use]
    pub fn from_settings(settings: &Settings) -> Self {
        Self {
            seed: settings.order_seed.unwrap_or(settings.seed),
            shuffle: settings.shuffle,
            batch_size: settings.batch_size,
            limit: settings.limit_train,
        }
    }
}

/// The batches of every epoch.
pub(super) struct Batches<'a, 's> {
    pub(super) split: &'a LabelledSplit<'s>,
    order: Order,
    members: Vec<usize>,
}

impl<'a, 's> Batches<'a, 's> {
    pub(super) fn new(split: &'a LabelledSplit<'s>, order: Order) -> Self {
        let mut members = split.members();
        if let Some(limit) = order.limit {
            // Drawn from a stream that no epoch uses; sorted, so that --no-shuffle keeps the order of the store.
            members = batches::shuffled(&members, order.seed, usize::MAX);
            members.truncate(limit);
            members.sort_unstable();
        }
        Self {
            split,
            order,
            members,
        }
    }

    /// The batches of an epoch, counted from 0.
    pub(super) fn in_epoch(&self, epoch: usize) -> Vec<Vec<usize>> {
        let length = |sentence| self.split.tokens(sentence).len();
        if !self.order.shuffle {
            return batches::cut(&self.members, self.order.batch_size, length);
        }
        let order = batches::shuffled(&self.members, self.order.seed, epoch);
        batches::cut(&order, self.order.batch_size, length)
    }

    pub(super) const fn batch_size(&self) -> BatchSize {
        self.order.batch_size
    }

    /// Sub-words of an epoch.
    pub(super) fn tokens(&self) -> u64 {
        let length = |&sentence: &usize| self.split.tokens(sentence).len() as u64;
        self.members.iter().map(length).sum()
    }

    /// Batches of so many epochs.
    pub(super) fn steps(&self, epochs: usize) -> u64 {
        match self.order.batch_size {
            BatchSize::Sentences(size) => (self.members.len().div_ceil(size) * epochs) as u64,
            // How many batches the sentences fill depends on their order.
            BatchSize::Tokens(_) => (0..epochs)
                .map(|epoch| self.in_epoch(epoch).len() as u64)
                .sum(),
        }
    }
}
