//! Batches of stored activations. Every epoch shuffles the whole training set, though activations are
//! read from memory-mapped files: only the order is shuffled, and another thread brings the pages of
//! the next batches into memory while the head works on the current one.

mod data_loader;
mod placement;
mod random;
mod split;

use cache::StoreError;
use shared::exit::{ExitStatus, HasExitStatus};

use crate::activations::{Batch, BatchError};
use crate::torch_error::one_line;

pub use data_loader::for_each_batch;
pub(crate) use data_loader::on_one_thread;
pub use placement::{Placement, Resident, Stream, fits};
pub(crate) use random::Random;

pub use split::{LabelledSplit, SplitError};

/// Size of a memory page; touching one byte of each brings them all in.
const PAGE: usize = 4096;

/// How much goes into one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchSize {
    /// This many sentences.
    Sentences(usize),
    /// As many sentences as fit in this many sub-words, at least one.
    Tokens(usize),
}

/// The order of `members` in `epoch`: a uniform shuffle that depends on `seed` and `epoch` alone, so
/// that a run that goes on needs its position only.
#[must_use]
pub fn shuffled(members: &[usize], seed: u64, epoch: usize) -> Vec<usize> {
    let mut order = members.to_vec();
    let mut random = Random::new(seed, epoch as u64);
    for last in (1..order.len()).rev() {
        order.swap(last, random.below(last + 1));
    }
    order
}

/// Cuts `order` into batches; the last one may be smaller. `length` tells a sentence's sub-words.
#[must_use]
pub fn cut(order: &[usize], size: BatchSize, length: impl Fn(usize) -> usize) -> Vec<Vec<usize>> {
    let budget = match size {
        BatchSize::Sentences(sentences) => {
            return order
                .chunks(sentences.max(1))
                .map(<[usize]>::to_vec)
                .collect();
        }
        BatchSize::Tokens(tokens) => tokens,
    };
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for &sentence in order {
        let length = length(sentence);
        match batches.last_mut() {
            Some(batch) if length <= room => batch.push(sentence),
            _ => {
                batches.push(vec![sentence]);
                room = budget;
            }
        }
        room = room.saturating_sub(length);
    }
    batches
}

/// Why a batch cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A device has no room for a whole split.
    #[error("activations cannot be copied to the memory of the GPU: libtorch: {}", one_line(.0))]
    Device(tch::TchError),
    /// What was read does not make a batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

impl HasExitStatus for LoadError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Store(error) => error.exit_status(),
            Self::Batch(error) => error.exit_status(),
            Self::Device(_) => ExitStatus::Machine,
        }
    }
}

impl LoadError {
    /// Whether the device failed, or has too little memory.
    #[must_use]
    pub const fn is_device_failure(&self) -> bool {
        matches!(self, Self::Device(_) | Self::Batch(BatchError::Torch(_)))
    }
}

/// A batch whose activations are in memory, with its targets.
pub struct LabelledBatch<'s> {
    /// Its position in the epoch.
    pub index: usize,
    /// The sentences that it consists of.
    pub sentences: Vec<usize>,
    /// Hidden states, packed: `[tokens, layers, hidden]`.
    pub activations: Batch<'s>,
    /// Class of each token or of each sentence, `[tokens]` or `[sentences]`;
    /// [`NO_TARGET`](shared::tasks::NO_TARGET) where there is none.
    pub targets: Vec<i64>,
}

/// Lets the operating system begin to read sentences that are needed some batches later.
fn prefetch(split: &LabelledSplit<'_>, sentences: &[usize]) {
    if matches!(split.placement, Placement::Resident(_)) {
        return;
    }
    let sequences = sentences
        .iter()
        .flat_map(|&sentence| split.sequences(sentence));
    sequences.for_each(|sequence| split.reader.will_need(sequence));
}

/// Makes a batch of these sentences.
fn collate<'s>(
    split: &LabelledSplit<'s>,
    index: usize,
    sentences: &[usize],
) -> Result<LabelledBatch<'s>, LoadError> {
    let (mut sequences, mut pool) = (Vec::new(), Vec::new());
    let (mut targets, mut words, mut heads) = (Vec::new(), Vec::new(), Vec::new());
    for (place, &sentence) in sentences.iter().enumerate() {
        for sequence in split.sequences(sentence) {
            sequences.push(sequence);
            pool.push(place);
        }
        split.targets(sentence, &mut targets);
        split.words(sentence, &mut words);
        if let Some(gold) = &split.table.heads {
            split.heads(gold, sentence, &words, &mut targets, &mut heads);
        }
    }
    let activations = match split.placement.batch(split.reader, &sequences)? {
        Some(batch) => batch,
        None => stored(split, &sequences)?,
    };
    let mut activations = activations.with_pool(pool)?.with_words(words)?;
    if split.table.heads.is_some() {
        activations = activations.with_heads(heads)?;
    }
    Ok(LabelledBatch {
        index,
        sentences: sentences.to_vec(),
        activations,
        targets,
    })
}

/// A batch of sequences in the store, whose pages are read into memory.
fn stored<'s>(split: &LabelledSplit<'s>, sequences: &[usize]) -> Result<Batch<'s>, LoadError> {
    let mut states = Vec::with_capacity(sequences.len());
    for &sequence in sequences {
        let sequence = split.reader.hidden_states(sequence)?;
        for page in sequence.pieces().flat_map(|piece| piece.chunks(PAGE)) {
            std::hint::black_box(page.first().copied());
        }
        states.push(sequence);
    }
    Ok(Batch::stored(states)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where each of `n` members ends up over many seeds and epochs, against a uniform spread.
    #[test]
    fn every_member_is_as_likely_in_every_place() {
        let n = 10;
        let members: Vec<usize> = (0..n).collect();
        let mut counts = vec![vec![0.0; n]; n];
        let mut pairs = vec![vec![0.0; n]; n];
        let draws = 20_000;
        for draw in 0..draws {
            let order = shuffled(&members, draw % 1000, usize::try_from(draw / 1000).unwrap());
            for (place, &member) in order.iter().enumerate() {
                counts[member][place] += 1.0;
            }
            for neighbours in order.windows(2) {
                pairs[neighbours[0]][neighbours[1]] += 1.0;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let draws = draws as f64;
        let expected = draws / 10.0;
        let places: f64 = counts
            .iter()
            .flatten()
            .map(|count| (count - expected) * (count - expected) / expected)
            .sum();
        // Chi-square with 81 degrees of freedom: 99.9 % of true shuffles are below 126.
        assert!(places < 126.0, "chi-square of places: {places}");
        // Each ordered pair of neighbours is as likely: 9 neighbours in 90 pairs. A shuffle within blocks fails here.
        let expected = draws * 9.0 / 90.0;
        let neighbours: f64 = (0..n)
            .flat_map(|a| (0..n).filter(move |&b| a != b).map(move |b| (a, b)))
            .map(|(a, b)| (pairs[a][b] - expected) * (pairs[a][b] - expected) / expected)
            .sum();
        // About 89 degrees of freedom: 99.9 % are below 136.
        assert!(neighbours < 136.0, "chi-square of neighbours: {neighbours}");
    }

    #[test]
    fn an_epoch_is_a_permutation_and_depends_on_seed_and_epoch_alone() {
        let members: Vec<usize> = (5..105).collect();
        let order = shuffled(&members, 7, 3);
        assert_eq!(order, shuffled(&members, 7, 3));
        assert_ne!(order, shuffled(&members, 7, 4));
        assert_ne!(order, shuffled(&members, 8, 3));
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, members);
    }

    #[test]
    fn batches_by_sentences_keep_the_last_partial_one() {
        let batches = cut(&[3, 1, 4, 1, 5], BatchSize::Sentences(2), |_| 1);
        assert_eq!(batches, [vec![3, 1], vec![4, 1], vec![5]]);
    }

    #[test]
    fn batches_by_tokens_stay_in_the_budget_unless_one_sequence_is_longer() {
        let batches = cut(&[0, 1, 2, 3, 4], BatchSize::Tokens(10), |sentence| {
            [4, 6, 1, 25, 2][sentence]
        });
        assert_eq!(batches, [vec![0, 1], vec![2], vec![3], vec![4]]);
    }

    #[test]
    fn no_batches_of_nothing() {
        assert!(cut(&[], BatchSize::Sentences(32), |_| 1).is_empty());
        assert!(cut(&[], BatchSize::Tokens(32), |_| 1).is_empty());
    }
}
