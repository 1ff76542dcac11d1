//! The self-check: a few sequences encoded once more, alone, and compared with what the store says.
//!
//! Activations that belong to another token look as good as the right ones, and a head trained on
//! them only scores a little worse. Encoding some sequences by themselves finds mix-ups of batch,
//! layer or offset, a driver that miscomputes, and a disk that does not keep what it was given.

use std::fmt;

use cache::{LayerStatistics, Store, StoreDtype, StoreError, rows};
use ndarray::{Array3, ArrayView1, Axis, s};
use serde::Serialize;
use shared::datasets::SplitName;
use shared::exit::{ExitStatus, HasExitStatus};
use thiserror::Error;

use super::convert::token_range;
use crate::encoder::{Batch, Encoder, EncoderError};
use crate::graph::ComputeDtype;
use crate::random;

/// Why the self-check did not pass.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The store does not hold what the encoder gives for the same tokens.
    #[error(
        "self-check: {split}, sequence {sequence}, token {token}, layer {layer} is {distance:.2e} away from what the encoder \
         gives for the sequence alone (relative; allowed: {tolerance:.2e})"
    )]
    Mismatch {
        /// The split.
        split: SplitName,
        /// Index of the sequence in its split, from 0.
        sequence: usize,
        /// Position in the sequence, from 0.
        token: usize,
        /// The layer's number in the model.
        layer: usize,
        /// Distance of the two vectors, relative to the length of the encoder's.
        distance: f64,
        /// Largest distance that rounding explains.
        tolerance: f64,
    },
    /// The encoder failed.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl HasExitStatus for CheckError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Mismatch { .. } => ExitStatus::Machine,
            Self::Encoder(error) => error.exit_status(),
            Self::Store(error) => error.exit_status(),
        }
    }
}

/// What a passed self-check compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct CheckReport {
    /// Sequences encoded again.
    pub sequences: usize,
    /// Their tokens.
    pub tokens: usize,
    /// Largest relative distance of a token's vector in a layer.
    pub largest_distance: f64,
    /// What was allowed.
    pub tolerance: f64,
}

impl fmt::Display for CheckReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sequences,
            tokens,
            largest_distance,
            tolerance,
        } = self;
        write!(
            formatter,
            "{sequences} sequences ({tokens} tokens) encoded alone agree with the store: \
             at most {largest_distance:.1e} apart, {tolerance:.1e} allowed"
        )
    }
}

/// Compares `count` sequences, the same ones for the same store, with the store.
///
/// # Errors
/// [`CheckError::Mismatch`] when a token's vector is further away than rounding explains.
pub fn self_check(
    store: &Store,
    encoder: &mut Encoder,
    compute: ComputeDtype,
    count: usize,
) -> Result<CheckReport, CheckError> {
    let store_dtype = store.manifest().store_dtype;
    let mut report = CheckReport::default();
    for (split, sequence) in choose(store, count) {
        let Some(reader) = store.split(split) else {
            continue;
        };
        let range = token_range(reader.offsets(), sequence);
        let batch = Batch::padded(&[&reader.input_ids()[range.clone()]])?;
        let alone = encoder.encode(&batch)?;
        let stored = reader.hidden_states(sequence)?;
        let shape = (range.len(), stored.layers(), stored.hidden());
        let mut values = Array3::<f32>::zeros(shape);
        stored.to_f32(values.as_slice_mut().unwrap_or_default());
        for ((token, layer), _) in values.index_axis(Axis(2), 0).indexed_iter() {
            let expected = alone.layer(layer);
            let expected = expected.slice(s![0, token, ..]);
            let distance = distance(&expected, &values.slice(s![token, layer, ..]));
            let tolerance = tolerance(compute, store_dtype, &expected);
            if distance.is_nan() || distance > tolerance {
                let layer = store.manifest().layers[layer];
                return Err(CheckError::Mismatch {
                    split,
                    sequence,
                    token,
                    layer,
                    distance,
                    tolerance,
                });
            }
            report.largest_distance = report.largest_distance.max(distance);
            report.tolerance = report.tolerance.max(tolerance);
        }
        report.sequences += 1;
        report.tokens += range.len();
    }
    Ok(report)
}

/// How far a token's vector, here `expected`, may be from the one in the store: what the batch does
/// to rounding inside the encoder, and half a unit in the last place of the store's format.
fn tolerance(compute: ComputeDtype, store: StoreDtype, expected: &ArrayView1<'_, f32>) -> f64 {
    let computing = match compute {
        ComputeDtype::F32 => 1e-4,
        ComputeDtype::F16 => 3e-2,
        // Eight bits of a number where float16 has eleven.
        ComputeDtype::Bf16 => 2e-1,
    };
    let storing = match store {
        StoreDtype::F32 => 0.0,
        StoreDtype::F16 => f64::powi(2.0, -11),
        StoreDtype::Bf16 => f64::powi(2.0, -8),
        // Half a step of 127 in the largest value, which is no longer than the vector, for each
        // value.
        StoreDtype::I8 => root(expected.len()) / 254.0,
        StoreDtype::I4 => SAME_ERROR * int4_error(expected),
    };
    computing + storing
}

/// A vector that is a little different has a rounding error that is a little different.
const SAME_ERROR: f64 = 1.1;

/// The relative error of a vector in int4. It differs too much from vector to vector for a bound
/// over all of them to find anything.
fn int4_error(vector: &ArrayView1<'_, f32>) -> f64 {
    let values = vector.to_vec();
    let mut stored = vec![0; StoreDtype::I4.vector_bytes(values.len())];
    let mut statistics = LayerStatistics::default();
    // A value that does not fit is not in the store either.
    let _ = rows::encode(StoreDtype::I4, 0, &values, &mut stored, &mut statistics);
    statistics.error().unwrap_or_default()
}

fn root(hidden: usize) -> f64 {
    f64::from(u32::try_from(hidden).unwrap_or(u32::MAX)).sqrt()
}

fn distance(expected: &ArrayView1<'_, f32>, stored: &ArrayView1<'_, f32>) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| {
        values.map(|value| value * value).sum::<f64>().sqrt()
    };
    let length = norm(&mut expected.iter().map(|&value| f64::from(value)));
    let apart = norm(
        &mut expected
            .iter()
            .zip(stored)
            .map(|(&left, &right)| f64::from(left) - f64::from(right)),
    );
    if apart == 0.0 { 0.0 } else { apart / length }
}

/// Up to `count` sequences that have tokens, picked by the store's identity.
fn choose(store: &Store, count: usize) -> Vec<(SplitName, usize)> {
    let all: Vec<(SplitName, usize)> = store
        .manifest()
        .splits
        .keys()
        .filter_map(|&split| Some((split, store.split(split)?)))
        .flat_map(|(split, reader)| {
            let filled = reader
                .offsets()
                .windows(2)
                .enumerate()
                .filter(|(_, pair)| pair[0] < pair[1]);
            filled
                .map(move |(sequence, _)| (split, sequence))
                .collect::<Vec<_>>()
        })
        .collect();
    let identity = store.identity();
    let start = u64::from_str_radix(identity.get(..16).unwrap_or_default(), 16).unwrap_or_default();
    let mut chosen = std::collections::BTreeSet::new();
    let mut numbers = (0..).map(|index| random::number(start, index));
    while chosen.len() < count.min(all.len()) {
        let number = numbers.next().unwrap_or_default();
        let index = usize::try_from(number % all.len() as u64).unwrap_or_default();
        chosen.insert(all[index]);
    }
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::{distance, tolerance};
    use crate::graph::ComputeDtype;
    use cache::StoreDtype;
    use ndarray::ArrayView1;

    #[test]
    fn rounding_passes_and_another_vector_does_not() {
        let vector: Vec<f32> = (0..64_u8).map(|step| f32::from(step).sin()).collect();
        let rounded: Vec<f32> = vector
            .iter()
            .map(|value| half::f16::from_f32(*value).to_f32())
            .collect();
        let other: Vec<f32> = vector.iter().rev().copied().collect();
        let view = ArrayView1::from(&vector);
        let allowed = tolerance(ComputeDtype::F32, StoreDtype::F16, &view);
        let from_vector = |other: &[f32]| distance(&ArrayView1::from(&vector), &other.into());
        assert!(from_vector(&rounded) > 0.0);
        assert!(from_vector(&rounded) < allowed);
        assert!(from_vector(&other) > 100.0 * allowed);
        assert!(from_vector(&[f32::NAN; 64]).is_nan());

        let allowed = tolerance(ComputeDtype::F32, StoreDtype::I4, &view);
        assert!((0.05..0.2).contains(&allowed), "{allowed}");
        assert!(from_vector(&other) > 5.0 * allowed);
    }
}
