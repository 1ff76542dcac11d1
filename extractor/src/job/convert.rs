//! From padded layers, `[rows, width, hidden]` each, to the store's rows,
//! `[tokens, layers, hidden]`; and which tokens of a batch those are, where a GPU does it.

use cache::rows::{self, Overflow};
use cache::{Manifest, Part, PartStatistics, SplitTables};
use ndarray::{ArrayView3, s};
use rayon::prelude::*;

use super::error::JobError;
use crate::batch::Batch;
use crate::encoder::{self, EncoderError, GraphRows, HiddenStates};
use crate::pairs::second_token;

/// Fewer tokens than this are not worth another thread.
const MIN_TOKENS: usize = 64;

/// The rows of one batch, in the store's number format.
#[derive(Default)]
pub(super) struct Rows {
    /// First token in the split and number of tokens of each piece, in the order of the rows.
    pub(super) pieces: Vec<(u64, usize)>,
    /// `[tokens, layers, hidden]`, if they were made here.
    own: Vec<u8>,
    /// Those that a graph made.
    made: Option<GraphRows>,
}

impl Rows {
    /// The rows, `[tokens, layers, hidden]`.
    pub(super) fn bytes(&self) -> &[u8] {
        self.made.as_ref().map_or(&self.own, GraphRows::bytes)
    }

    /// Takes rows that a graph made.
    pub(super) fn set(&mut self, rows: GraphRows) {
        self.made = Some(rows);
    }

    /// Takes rows that a test makes.
    #[cfg(test)]
    pub(super) fn fill(&mut self, bytes: &[u8]) {
        self.own = bytes.to_vec();
    }

    /// Whether a graph made them, which is to say a GPU.
    pub(super) fn are_made_by_graph(&self) -> bool {
        self.made.is_some()
    }

    /// Gives back what a graph's rows take, which is not ours to use again.
    pub(super) fn clear(&mut self) {
        self.made = None;
    }

    pub(super) fn tokens(&self) -> u64 {
        self.pieces.iter().map(|&(_, tokens)| tokens as u64).sum()
    }
}

/// Where a token stands in a batch.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    token: usize,
}

/// Converts the batches of one part.
#[derive(Clone, Copy)]
pub(super) struct Converter<'a> {
    manifest: &'a Manifest,
    table: &'a SplitTables,
    part: &'a Part,
}

/// A batch's hidden states: `[rows, width, hidden]` for each layer.
struct Layers<'a> {
    states: Vec<ArrayView3<'a, f32>>,
}

impl<'a> Layers<'a> {
    /// The vector of a token in each layer, `[hidden]`.
    fn vectors(&self, place: Place) -> impl Iterator<Item = &'a [f32]> {
        let vector = move |layer: &ArrayView3<'a, f32>| {
            let vector = layer.slice_move(s![place.row, place.token, ..]);
            #[expect(
                clippy::expect_used,
                reason = "encoders give arrays in row-major order"
            )]
            vector.to_slice().expect("a vector in one piece")
        };
        self.states.iter().map(vector)
    }
}

impl<'a> Converter<'a> {
    pub(super) fn new(manifest: &'a Manifest, table: &'a SplitTables, part: &'a Part) -> Self {
        Self {
            manifest,
            table,
            part,
        }
    }

    /// The encoder's batch.
    pub(super) fn padded(&self, batch: &Batch) -> Result<encoder::Batch, EncoderError> {
        let ids: Vec<&[u32]> = batch
            .sequences
            .iter()
            .map(|&sequence| &self.table.input_ids[token_range(&self.table.offsets, sequence)])
            .collect();
        let padded = encoder::Batch::padded_to(batch.width, &ids)?;
        let begins: Vec<Option<usize>> = batch
            .sequences
            .iter()
            .map(|&sequence| {
                let sentence = self.table.sentence_of[sequence] as usize;
                let second = *self.table.second_text.get(sentence)?;
                let tokens = token_range(&self.table.offsets, sequence);
                second_token(&self.table.word_ids[tokens], second as usize)
            })
            .collect();
        Ok(padded.with_second_texts(&begins))
    }

    /// Positions of the batch that are no token's.
    pub(super) fn padding(&self, batch: &Batch) -> u64 {
        batch.padding(&self.table.offsets)
    }

    /// Where in the padded batch the tokens stand that belong to the part, row by row.
    pub(super) fn kept(&self, batch: &Batch, out: &mut Rows) -> Vec<i32> {
        let flat = |place: Place| place.row * batch.width + place.token;
        self.places(batch, out)
            .into_iter()
            .map(|place| i32::try_from(flat(place)).unwrap_or(i32::MAX))
            .collect()
    }

    /// Fills `out` with the tokens of `batch` that belong to the part and counts their values.
    pub(super) fn rows(
        &self,
        batch: &Batch,
        hidden: &HiddenStates<'_>,
        out: &mut Rows,
    ) -> Result<PartStatistics, JobError> {
        let places = self.places(batch, out);
        out.clear();
        let row_bytes = self.manifest.row_bytes();
        out.own.resize(places.len() * row_bytes, 0);
        let layers = self.manifest.layers.len();
        let states = Layers {
            states: (0..layers).map(|layer| hidden.layer(layer)).collect(),
        };
        out.own
            .par_chunks_exact_mut(row_bytes)
            .zip(&places)
            .with_min_len(MIN_TOKENS)
            .try_fold(
                || PartStatistics::new(layers),
                |mut statistics, (bytes, &place)| {
                    self.row(&states, place, bytes, &mut statistics)
                        .map_err(|overflow| self.overflow(batch, place, overflow))?;
                    Ok::<_, JobError>(statistics)
                },
            )
            .try_reduce(
                || PartStatistics::new(layers),
                |mut left, right| {
                    left.merge(&right);
                    Ok(left)
                },
            )
    }

    /// Every token of the batch that lies in the part, sequence by sequence.
    fn places(&self, batch: &Batch, out: &mut Rows) -> Vec<Place> {
        out.pieces.clear();
        let mut places = Vec::with_capacity(batch.sequences.len() * batch.width);
        for (row, &sequence) in batch.sequences.iter().enumerate() {
            let (begin, end) = (
                self.table.offsets[sequence],
                self.table.offsets[sequence + 1],
            );
            let first = begin.max(self.part.tokens.start);
            let kept = first..end.min(self.part.tokens.end).max(first);
            let before = places.len();
            places.extend(kept.map(|token| Place {
                row,
                token: usize::try_from(token - begin).unwrap_or(usize::MAX),
            }));
            if places.len() > before {
                out.pieces.push((first, places.len() - before));
            }
        }
        places
    }

    fn row(
        &self,
        states: &Layers<'_>,
        place: Place,
        bytes: &mut [u8],
        statistics: &mut PartStatistics,
    ) -> Result<(), Overflow> {
        let Manifest {
            hidden: size,
            store_dtype,
            ..
        } = *self.manifest;
        let layers = bytes
            .chunks_exact_mut(store_dtype.vector_bytes(size))
            .zip(&mut statistics.layers);
        for (layer, ((bytes, statistics), values)) in layers.zip(states.vectors(place)).enumerate()
        {
            rows::encode(store_dtype, layer, values, bytes, statistics)?;
        }
        Ok(())
    }

    fn overflow(&self, batch: &Batch, place: Place, overflow: Overflow) -> JobError {
        let sentence = self.table.sentence_of[batch.sequences[place.row]] as usize;
        // The model's number of the layer, not its place among those that are kept.
        let layer = self.manifest.layers[overflow.layer];
        JobError::Value {
            split: self.part.split,
            sentence: sentence + 1,
            token: place.token,
            layer,
            problem: Overflow { layer, ..overflow }.to_string(),
        }
    }
}

/// The tokens of a sequence.
pub(super) fn token_range(offsets: &[u64], sequence: usize) -> std::ops::Range<usize> {
    // Offsets index a slice in memory, so they fit.
    let index = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    index(offsets[sequence])..index(offsets[sequence + 1])
}
