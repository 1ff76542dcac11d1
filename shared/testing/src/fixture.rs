//! A made-up data set whose every value follows from its place, so that any row can be checked on its own.

use std::ops::Range;
use std::path::Path;

use cache::{
    ByteLimits, Codec, Labels, Manifest, OpenMode, Opened, Part, PartStatistics, PartWriter,
    SplitTables, StoreDtype, StoreError, StoreWriter, rows,
};
use shared::datasets::SplitName;
use shared::tasks::{Level, NO_CLASS, Task};

use crate::store;

/// A made-up data set and what its store says of itself.
pub struct Fixture {
    /// What the store says of itself.
    pub manifest: Manifest,
    /// The small arrays of each split.
    pub tables: Vec<SplitTables>,
}

/// Splits with sequences of these lengths.
pub type Lengths = Vec<(SplitName, Vec<usize>)>;

impl Fixture {
    /// Splits with sequences of the `lengths`, each token with `layers` hidden states of width `hidden`.
    pub fn new(
        lengths: &Lengths,
        dtype: StoreDtype,
        layers: usize,
        hidden: usize,
        limits: ByteLimits,
    ) -> Self {
        let tables: Vec<_> = lengths
            .iter()
            .map(|(name, lengths)| tables(*name, lengths))
            .collect();
        let manifest = store::manifest(&tables, dtype, layers, hidden, limits);
        Self { manifest, tables }
    }

    /// A store with several files and parts in a split, and one split smaller than a chunk.
    pub fn usual(dtype: StoreDtype) -> Self {
        let train = (0..60).map(|sequence| 3 + sequence * 7 % 11).collect();
        let lengths = vec![(SplitName::Train, train), (SplitName::Test, vec![4, 1, 6])];
        let limits = ByteLimits {
            chunk: 400,
            file: 1_600,
            part: 3_200,
        };
        Self::new(&lengths, dtype, 3, 8, limits)
    }

    /// The same with compressed chunks.
    #[must_use]
    pub fn compressed(mut self, codec: Codec) -> Self {
        self.manifest.codec = codec;
        self
    }

    /// The small arrays of a split.
    pub fn table(&self, split: SplitName) -> &SplitTables {
        self.tables
            .iter()
            .find(|table| table.name == split)
            .unwrap()
    }

    /// `[layers, hidden]` of one token, as the encoder gives it.
    pub fn values(&self, split: SplitName, token: u64) -> Vec<f32> {
        let count = self.manifest.layers.len() * self.manifest.hidden;
        (0..count)
            .map(|value| value_at(split, token, value))
            .collect()
    }

    /// Rows `[tokens, layers, hidden]` as they are stored, and the statistics of those in `counted`.
    pub fn rows(
        &self,
        split: SplitName,
        tokens: Range<u64>,
        counted: &Range<u64>,
    ) -> (Vec<u8>, PartStatistics) {
        let (layers, hidden) = (self.manifest.layers.len(), self.manifest.hidden);
        let (mut kept, mut scratch) = (PartStatistics::new(layers), PartStatistics::new(layers));
        let row_bytes = self.manifest.row_bytes();
        let mut bytes = vec![0; row_bytes * usize::try_from(tokens.end - tokens.start).unwrap()];
        for (token, row) in tokens.zip(bytes.chunks_exact_mut(row_bytes)) {
            let statistics = if counted.contains(&token) {
                &mut kept
            } else {
                &mut scratch
            };
            let values = self.values(split, token);
            let layer_rows = values
                .chunks_exact(hidden)
                .zip(row.chunks_exact_mut(row_bytes / layers));
            for (layer, (values, out)) in layer_rows.enumerate() {
                rows::encode(
                    self.manifest.store_dtype,
                    layer,
                    values,
                    out,
                    &mut statistics.layers[layer],
                )
                .unwrap();
            }
        }
        (bytes, kept)
    }

    /// Writes the rows of a part in an order that `seed` chooses, some sequence by sequence, some in batches.
    pub fn write(&self, writer: &mut PartWriter, seed: u64) -> PartStatistics {
        self.try_write(writer, seed).unwrap()
    }

    /// As [`Self::write`], on a disk that may fail.
    ///
    /// # Errors
    /// Whatever the writing of a part meets.
    pub fn try_write(
        &self,
        writer: &mut PartWriter,
        seed: u64,
    ) -> Result<PartStatistics, StoreError> {
        let part = writer.part().clone();
        let mut statistics = PartStatistics::new(self.manifest.layers.len());
        let mut sequences: Vec<usize> = part.sequences.clone().collect();
        sequences.sort_by_key(|&sequence| scramble(seed ^ scramble(sequence as u64)));
        let batch = usize::try_from(scramble(seed) % 4 + 1).unwrap();
        for sequences in sequences.chunks(batch) {
            let (mut pieces, mut rows) = (Vec::new(), Vec::new());
            for &sequence in sequences {
                let offsets = &self.table(part.split).offsets;
                let tokens = offsets[sequence]..offsets[sequence + 1];
                let (of_sequence, counted) = self.rows(part.split, tokens.clone(), &part.tokens);
                let length = usize::try_from(tokens.end - tokens.start).unwrap();
                pieces.push((tokens.start, length));
                rows.extend(of_sequence);
                statistics.merge(&counted);
            }
            match pieces[..] {
                [(first, _)] => writer.write(first, &rows)?,
                _ => writer.write_pieces(&pieces, &rows)?,
            }
        }
        Ok(statistics)
    }

    /// Writes a part from its first row to its record.
    pub fn write_part(&self, store: &StoreWriter, part: &Part, seed: u64) {
        let mut writer = store.begin(part).unwrap();
        let statistics = self.write(&mut writer, seed);
        writer.finish(&statistics).unwrap();
    }

    /// A writer of the store at `path`; none if the store is complete.
    pub fn open(&self, path: &Path) -> Option<StoreWriter> {
        match StoreWriter::open(path, &self.manifest, &self.tables, OpenMode::Resume).unwrap() {
            Opened::Complete(_) => None,
            Opened::Writer(writer) => Some(writer),
        }
    }

    /// Writes what is missing of a store.
    pub fn fill(&self, path: &Path, seed: u64) {
        let write = |writer: &mut PartWriter| self.try_write(writer, seed);
        store::write(path, &self.manifest, &self.tables, true, write).unwrap();
    }
}

/// The arrays of a split: every fifth sequence goes on with the sentence of the one before it.
fn tables(name: SplitName, lengths: &[usize]) -> SplitTables {
    let mut offsets = vec![0];
    let (mut sentence_of, mut word_ids): (Vec<u32>, Vec<i32>) = (Vec::new(), Vec::new());
    let mut words: Vec<Vec<String>> = Vec::new();
    for (sequence, &length) in lengths.iter().enumerate() {
        offsets.push(offsets[sequence] + length as u64);
        if sequence % 5 != 4 {
            words.push(Vec::new());
        }
        let sentence = words.len() - 1;
        sentence_of.push(u32::try_from(sentence).unwrap());
        for token in 0..length {
            let special = token == 0 || token + 1 == length;
            word_ids.push(if special {
                -1
            } else {
                i32::try_from(words[sentence].len()).unwrap()
            });
            if !special {
                words[sentence].push(format!("wörd{sequence}-{token}"));
            }
        }
    }
    let tokens = word_ids.len();
    let all_words = words.iter().flatten().count();
    let labels = Labels {
        task: Task::Pos,
        classes: ["ADJ", "NOUN", "VERB"].map(str::to_owned).into(),
        level: Level::Token,
        ids: (0..all_words)
            .map(|word| i32::try_from(word % 3).unwrap())
            .collect(),
        heads: None,
        texts: None,
    };
    let input_ids = (0..tokens)
        .map(|token| u32::try_from(scramble(token as u64) % 30_000).unwrap())
        .collect();
    SplitTables {
        name,
        offsets,
        sentence_of,
        input_ids,
        word_ids,
        words,
        second_text: Vec::new(),
        labels: vec![labels],
    }
}

/// `[tokens]`: what the tokens of a table get of its first labels: each word of the fixture is one token.
pub fn token_labels(table: &SplitTables) -> Vec<i32> {
    let mut words = table.labels[0].ids.iter();
    let of = |&word: &i32| {
        if word < 0 {
            NO_CLASS
        } else {
            *words.next().unwrap()
        }
    };
    table.word_ids.iter().map(of).collect()
}

fn value_at(split: SplitName, token: u64, value: usize) -> f32 {
    let bits = scramble(scramble(token ^ (split as u64) << 40) ^ value as u64);
    #[expect(clippy::cast_precision_loss, reason = "24 bits")]
    let unit = (bits >> 40) as f32 / (1_u64 << 24) as f32;
    unit * 40.0 - 20.0
}

/// The finaliser of `SplitMix64`: neighbours become strangers.
pub fn scramble(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (value ^ value >> 31).wrapping_add(0x9e37_79b9_7f4a_7c15)
}
