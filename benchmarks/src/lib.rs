//! What the benches work on: made-up activations whose sentences are as long as those of news text, so that the
//! timings of the parts need no model and no download.
//!
//! `cargo bench -p benchmarks` times the parts; `cargo xtask bench` compares the whole with PyTorch.

use std::ops::Range;
use std::path::Path;

use cache::{
    ByteLimits, Labels, LayerStatistics, Manifest, PartStatistics, SplitTables, StoreDtype,
    StoreError, rows,
};
use shared::datasets::SplitName;
use shared::tasks::{Level, Task};
use testing::random::Random;
use testing::store;

/// Classes of the made-up task: as many as CoNLL-2003 has.
pub const CLASSES: usize = 9;

/// Tokens of the longest sentence.
const LONGEST: usize = 100;

/// Tokens of a sentence: gamma-distributed about 20, between 3 and 100, like CoNLL-2003 in sub-words.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "between 3 and 100"
)]
pub fn sentence_length(random: &mut Random) -> usize {
    let product: f64 = (0..3).map(|_| random.unit().max(1e-9)).product();
    (-product.ln() * 20.0 / 3.0).clamp(3.0, LONGEST as f64) as usize
}

/// One of `bound` places.
fn index(random: &mut Random, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap_or(0)
}

/// A made-up data set with activations of a size.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What the store says of itself.
    pub manifest: Manifest,
    tables: SplitTables,
    /// Rows of a batch, `[tokens, layers, hidden]`.
    rows: Vec<u8>,
}

impl Sample {
    /// At least `tokens` tokens with `layers` hidden states of width `hidden`.
    #[must_use]
    pub fn new(tokens: u64, layers: usize, hidden: usize, dtype: StoreDtype) -> Self {
        let tables = tables(tokens);
        let all = std::slice::from_ref(&tables);
        let manifest = store::manifest(all, dtype, layers, hidden, ByteLimits::default());
        // The same values again and again.
        let mut random = Random::new(1);
        let vectors = (0..1024).flat_map(|_| vector(&mut random, hidden, dtype));
        let values: Vec<u8> = vectors.collect();
        let bytes = (BATCH_TOKENS + LONGEST) * manifest.row_bytes();
        let rows = values.into_iter().cycle().take(bytes).collect();
        Self {
            manifest,
            tables,
            rows,
        }
    }

    /// Sub-words of all sentences.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tables.size().tokens
    }

    /// Bytes of all activations.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tokens() * self.manifest.row_bytes() as u64
    }

    /// Writes the store to `path`, whose folder is there: batches of sentences in random order, as
    /// an encoder gives them.
    ///
    /// # Errors
    /// As writing a store.
    pub fn write(&self, path: &Path) -> Result<(), StoreError> {
        let tables = std::slice::from_ref(&self.tables);
        store::write(path, &self.manifest, tables, true, |writer| {
            for pieces in self.batches(writer.part().sequences.clone()) {
                let tokens: usize = pieces.iter().map(|&(_, tokens)| tokens).sum();
                writer.write_pieces(&pieces, &self.rows[..tokens * self.manifest.row_bytes()])?;
            }
            Ok(PartStatistics::new(self.manifest.layers.len()))
        })
    }

    /// First token and number of tokens of each sentence of each batch.
    fn batches(&self, sentences: Range<usize>) -> Vec<Vec<(u64, usize)>> {
        let mut random = Random::new(2);
        let mut order: Vec<usize> = sentences.collect();
        for last in (1..order.len()).rev() {
            order.swap(last, index(&mut random, last + 1));
        }
        let (mut batches, mut room) = (Vec::new(), 0);
        for sentence in order {
            let first = self.tables.offsets[sentence];
            let tokens = usize::try_from(self.tables.offsets[sentence + 1] - first).unwrap_or(0);
            if room == 0 {
                batches.push(Vec::new());
                room = BATCH_TOKENS;
            }
            if let Some(batch) = batches.last_mut() {
                batch.push((first, tokens));
            }
            room = room.saturating_sub(tokens);
        }
        batches
    }
}

/// A stored vector of numbers between -2 and 2.
fn vector(random: &mut Random, hidden: usize, dtype: StoreDtype) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "between -2 and 2")]
    let values: Vec<f32> = (0..hidden)
        .map(|_| (random.unit() * 4.0 - 2.0) as f32)
        .collect();
    let mut bytes = vec![0; dtype.vector_bytes(hidden)];
    let mut counted = LayerStatistics::default();
    // Numbers of this size fit every format.
    let _ = rows::encode(dtype, 0, &values, &mut bytes, &mut counted);
    bytes
}

/// Tokens of a batch, or a few more.
const BATCH_TOKENS: usize = 2048;

fn tables(tokens: u64) -> SplitTables {
    let mut random = Random::new(7);
    let mut table = store::no_sentences(SplitName::Train);
    let mut ids = Vec::new();
    while (table.input_ids.len() as u64) < tokens {
        let (length, mut word) = (sentence_length(&mut random), -1);
        table
            .sentence_of
            .push(u32::try_from(table.words.len()).unwrap_or(u32::MAX));
        for token in 0..length {
            let special = token == 0 || token + 1 == length;
            // Seven of ten sub-words begin a word.
            if !special && (word < 0 || random.unit() < 0.7) {
                word += 1;
                ids.push(i32::try_from(index(&mut random, CLASSES)).unwrap_or(0));
            }
            table.word_ids.push(if special { -1 } else { word });
            table
                .input_ids
                .push(u32::try_from(index(&mut random, 30_000)).unwrap_or(0));
        }
        table.offsets.push(table.input_ids.len() as u64);
        let words = usize::try_from(word + 1).unwrap_or(0);
        table.words.push(vec!["word".to_owned(); words]);
    }
    table.labels.push(Labels {
        task: Task::Pos,
        classes: (0..CLASSES).map(|class| format!("class{class}")).collect(),
        level: Level::Token,
        ids,
        heads: None,
        texts: None,
    });
    table
}
