//! Random numbers for start weights and dropout. Each is a function of its place (seed, step, purpose,
//! row and column); nothing is drawn one after another. So threads may ask in any order, a resumed run
//! needs no saved state of a generator, and a head trained beside others gets the numbers that it would
//! get alone.

mod precomputed;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use tch::{Device, Kind, TchError, Tensor};

use super::sizes::{size, sizes};
use crate::activations::memory::{self, Shared, single, upload};
pub(crate) use precomputed::PrecomputedMasks;

/// The factors of [`mix`].
const MIX: [u64; 2] = [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];

/// Mixes the bits of a number, so that neighbouring numbers give unrelated results (the finaliser of
/// `SplitMix64`, Steele et al. 2014).
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(MIX[0]);
    let value = (value ^ (value >> 27)).wrapping_mul(MIX[1]);
    value ^ (value >> 31)
}

/// The odd constant that spreads counters over 64 bits: 2^64 over the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The key of random numbers for one `purpose` of `seed`.
const fn key(seed: u64, purpose: u64) -> u64 {
    mix(mix(seed.wrapping_add(SPREAD)) ^ purpose.wrapping_mul(SPREAD))
}

/// `count` numbers, uniform in `[-bound, bound)`.
pub(crate) fn uniform(seed: u64, purpose: u64, bound: f64, values: &mut [f32]) {
    let key = key(seed, purpose);
    for (place, value) in (0_u64..).zip(values) {
        let bits = mix(key.wrapping_add(place.wrapping_mul(SPREAD)));
        // 24 bits are what a float32 holds.
        #[expect(clippy::cast_precision_loss, reason = "24 bits fit a float32 exactly")]
        let unit = (bits >> 40) as f32 / (1_u64 << 24) as f32;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a bound of an initialisation"
        )]
        let bound = bound as f32;
        *value = (2.0 * unit - 1.0) * bound;
    }
}

/// What one training step drops, of a head group for each head.
#[derive(Debug, Clone)]
pub struct Dropout {
    keys: Vec<u64>,
    first_row: usize,
    /// Where rows without a label are computed too: the number of each row among the labelled ones,
    /// and how many these are.
    numbers: Option<(Arc<Shared>, usize)>,
    /// Masks of this and the next steps, and the step, where they are made for several at once.
    precomputed: Option<(Arc<PrecomputedMasks>, u64)>,
}

impl Dropout {
    /// The dropout of a step (counted over the whole training) of a run with this seed.
    #[must_use]
    pub fn at(seed: u64, step: u64) -> Self {
        Self {
            keys: vec![step_key(seed, step)],
            first_row: 0,
            numbers: None,
            precomputed: None,
        }
    }

    /// The dropout of a part of the batch, whose first row is number `row` of those computed on.
    #[must_use]
    pub(crate) fn starting_at(&self, row: usize) -> Self {
        Self {
            keys: self.keys.clone(),
            first_row: row,
            numbers: None,
            precomputed: self.precomputed.clone().filter(|_| row == 0),
        }
    }

    /// The same without masks of several steps at once, which are made for one shape alone.
    pub(super) fn step_by_step(&self) -> Self {
        Self {
            precomputed: None,
            ..self.clone()
        }
    }

    /// The dropout of rows `[targets]` of which only those at the places `labelled` count; the others
    /// have the mask of any of these.
    pub(super) fn for_labelled(
        &self,
        targets: &[i64],
        labelled: &[usize],
        device: Device,
    ) -> Result<Self, TchError> {
        let mut numbers = vec![0_i64; targets.len()];
        for (number, &place) in (0..).zip(labelled) {
            numbers[place] = number;
        }
        let numbers = Shared::new(upload(&Tensor::f_from_slice(&numbers)?, device)?);
        Ok(Self {
            numbers: Some((Arc::new(numbers), labelled.len())),
            ..self.clone()
        })
    }

    /// The dropout of a head group, from those of its heads.
    #[must_use]
    pub fn for_group(heads: impl IntoIterator<Item = Self>) -> Self {
        Self {
            keys: heads.into_iter().flat_map(|head| head.keys).collect(),
            first_row: 0,
            numbers: None,
            precomputed: None,
        }
    }

    /// The dropout of a step of the heads of `masks`.
    #[must_use]
    pub(crate) fn precomputed(masks: &Arc<PrecomputedMasks>, step: u64) -> Self {
        Self {
            keys: masks.keys(step).collect(),
            first_row: 0,
            numbers: None,
            precomputed: Some((Arc::clone(masks), step)),
        }
    }

    /// Masks `[rows, columns]` of zeros, a share `dropped` of all, and of `1 / (1 - dropped)`;
    /// those of several heads are `[heads, rows, columns]`. `places` tells the dropouts of one
    /// network apart, which has a mask for each. The share is met to 1 in 65,536. On every device
    /// the masks are the same.
    ///
    /// # Errors
    /// libtorch has no memory.
    pub(crate) fn masks(
        &self,
        places: Range<u64>,
        (rows, columns): (usize, usize),
        dropped: f64,
        device: Device,
    ) -> Result<Vec<Tensor>, TchError> {
        if let Some((numbers, count)) = &self.numbers {
            let numbers = numbers.get();
            let counted = Self {
                numbers: None,
                ..self.clone()
            };
            let masks = counted.masks(places, (*count, columns), dropped, device)?;
            let of_rows = |mask: &Tensor| mask.f_index_select(-2, &numbers);
            return masks.iter().map(of_rows).collect();
        }
        if let Some((masks, step)) = &self.precomputed {
            return masks.masks(*step, places, (rows, columns), dropped, device);
        }
        if let (&[key], Device::Cpu) = (self.keys.as_slice(), device) {
            let (threshold, kept) = decision(dropped);
            let mask = |place| {
                let key = place_key(key, place);
                memory::filled(&sizes(&[rows, columns]), device, |mask| {
                    mask.par_chunks_mut(columns.max(1))
                        .with_min_len(16)
                        .enumerate()
                        .for_each(|(row, mask)| {
                            let key = row_key(key, self.first_row + row);
                            mask_row(key, threshold, kept, mask);
                        });
                })
            };
            return places.map(mask).collect();
        }
        let mut keys = Vec::new();
        for place in places.clone() {
            let heads = self.keys.iter().map(|&key| place_key(key, place));
            let rows = self.first_row..self.first_row + rows;
            keys.extend(heads.flat_map(|key| rows.clone().map(move |row| row_key(key, row))));
        }
        let masks = mask_by_tensors(&keys, columns, dropped, device)?;
        let places = i64::try_from(places.count()).unwrap_or(i64::MAX);
        let masks = match self.keys.len() {
            1 => masks.f_view([places, size(rows), size(columns)])?,
            heads => masks.f_view([places, size(heads), size(rows), size(columns)])?,
        };
        masks.f_unbind(0)
    }
}

/// The key of a step's dropout.
const fn step_key(seed: u64, step: u64) -> u64 {
    key(seed, step ^ (1 << 63))
}

/// The key of one of its places.
const fn place_key(key: u64, place: u64) -> u64 {
    mix(key ^ place.wrapping_mul(SPREAD))
}

/// The key of a row of a place.
const fn row_key(key: u64, row: usize) -> u64 {
    mix(key.wrapping_add((row as u64).wrapping_mul(SPREAD)))
}

/// A threshold and a factor: where 16 random bits are below the first, a number is dropped; others are
/// multiplied by the second.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share below 1, and about 1"
)]
fn decision(dropped: f64) -> (u64, f32) {
    let threshold = (dropped * 65_536.0).round() as u64;
    (threshold, (1.0 / (1.0 - dropped)) as f32)
}

/// The masks of rows with these `keys`, `[keys, columns]`, made where they are needed: the numbers of [`mask_row`].
fn mask_by_tensors(
    keys: &[u64],
    columns: usize,
    dropped: f64,
    device: Device,
) -> Result<Tensor, TchError> {
    let (threshold, kept) = decision(dropped);
    let quads = columns.div_ceil(4);
    let counters = (0_u64..)
        .take(quads)
        .map(|place| place.wrapping_mul(SPREAD));
    let numbers: Vec<i64> = keys
        .iter()
        .copied()
        .chain(counters)
        .map(u64::cast_signed)
        .collect();
    let numbers = upload(&Tensor::f_from_slice(&numbers)?, device)?;
    let keys = numbers.f_narrow(0, 0, size(keys.len()))?.f_unsqueeze(1)?;
    let mut bits = keys.f_add(&numbers.f_narrow(0, keys.size()[0], size(quads))?)?;
    for (shift, factor) in [(30, Some(MIX[0])), (27, Some(MIX[1])), (31, None)] {
        // The shift copies the sign; a logical one leaves zeros.
        let mut high = bits.f_bitwise_right_shift(&single(shift)?)?;
        let _ = high.f_bitwise_and_tensor_(&single((1_i64 << (64 - shift)) - 1)?)?;
        let _ = bits.f_bitwise_xor_tensor_(&high)?;
        if let Some(factor) = factor {
            let _ = bits.f_mul_(&single(factor.cast_signed())?)?;
        }
    }
    // Each decision is 16 bits, the lowest first; numbers with a sign, so both sides are moved by half of the range.
    let mut decisions = bits.f_view_dtype(Kind::Int16)?;
    let threshold = i64::try_from(threshold.min(0xffff)).unwrap_or(0) - 0x8000;
    let stays = decisions
        .f_bitwise_xor_tensor_(&single(-0x8000_i64)?)?
        .f_ge_tensor(&single(threshold)?)?;
    let stays = stays.f_narrow(1, 0, size(columns))?;
    stays.f_mul(&single(kept)?)
}

/// Four decisions of 16 bits out of every 64.
fn mask_row(key: u64, threshold: u64, kept: f32, mask: &mut [f32]) {
    for (place, quad) in (0_u64..).zip(mask.chunks_mut(4)) {
        let bits = mix(key.wrapping_add(place.wrapping_mul(SPREAD)));
        for (shift, value) in (0..64).step_by(16).zip(quad) {
            *value = if (bits >> shift) & 0xffff < threshold {
                0.0
            } else {
                kept
            };
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "the numbers are small"
)]
mod tests {
    use super::*;

    fn mask(seed: u64, step: u64, place: u64, dropped: f64) -> Vec<f32> {
        let masks = Dropout::at(seed, step)
            .masks(place..place + 1, (50, 301), dropped, Device::Cpu)
            .unwrap();
        memory::with_values(&masks[0], <[f32]>::to_vec).unwrap()
    }

    #[test]
    fn the_share_dropped_is_the_share_asked_for_and_the_mean_stays() {
        for dropped in [0.0, 0.1, 0.5, 0.9] {
            let mask = mask(1, 2, 0, dropped);
            let zeros =
                mask.iter().filter(|value| **value == 0.0).count() as f64 / mask.len() as f64;
            let mean = mask.iter().map(|value| f64::from(*value)).sum::<f64>() / mask.len() as f64;
            // Four standard deviations of 15,050 draws.
            let allowed = 4.0 * (dropped * (1.0 - dropped) / mask.len() as f64).sqrt() + 1e-5;
            assert!((zeros - dropped).abs() < allowed, "{zeros} of {dropped}");
            assert!(
                (mean - 1.0).abs() < allowed / (1.0 - dropped) + 1e-5,
                "mean {mean}"
            );
        }
    }

    #[test]
    fn masks_repeat_for_a_step_and_differ_for_every_other() {
        let first = mask(1, 2, 0, 0.5);
        assert_eq!(first, mask(1, 2, 0, 0.5));
        for other in [mask(2, 2, 0, 0.5), mask(1, 3, 0, 0.5), mask(1, 2, 1, 0.5)] {
            let same = first.iter().zip(&other).filter(|(a, b)| a == b).count() as f64
                / first.len() as f64;
            assert!((same - 0.5).abs() < 0.02, "{same}");
        }
        // Rows differ too.
        assert_ne!(first[..301], first[301..602]);
    }

    /// The computation for a GPU, done on the CPU, gives the same masks.
    #[test]
    fn tensors_make_the_same_masks() {
        let heads = [(1, 2), (7, 2), (1, 9)].map(|(seed, step)| Dropout::at(seed, step));
        for (columns, dropped) in [(301, 0.1), (8, 0.5), (2, 0.999), (4, 0.0)] {
            let shape = (50, columns);
            let group = Dropout::for_group(heads.clone());
            let group = group.masks(0..2, shape, dropped, Device::Cpu).unwrap();
            assert_eq!(group.len(), 2);
            for (place, masks) in (0..).zip(group) {
                assert_eq!(masks.size(), [3, 50, size(columns)]);
                for (head, mask) in heads.iter().zip(masks.unbind(0)) {
                    let places = place..place + 1;
                    let alone = head.masks(places, shape, dropped, Device::Cpu).unwrap();
                    assert_eq!(alone, [mask], "{columns} columns, {dropped} dropped");
                }
            }
        }
    }

    #[test]
    fn the_masks_of_parts_are_those_of_the_whole() {
        let whole = mask(1, 2, 0, 0.3);
        let part = Dropout::at(1, 2).starting_at(20);
        let part = part.masks(0..1, (30, 301), 0.3, Device::Cpu).unwrap();
        let part = memory::with_values(&part[0], <[f32]>::to_vec).unwrap();
        assert_eq!(whole[20 * 301..], part);
    }

    #[test]
    fn uniform_numbers_fill_their_range() {
        let mut values = vec![0.0; 20_000];
        uniform(7, 3, 0.25, &mut values);
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / 20_000.0;
        let variance = values
            .iter()
            .map(|value| f64::from(*value).powi(2))
            .sum::<f64>()
            / 20_000.0;
        assert!(values.iter().all(|value| (-0.25..0.25).contains(value)));
        assert!(mean.abs() < 0.005, "{mean}");
        assert!((variance - 0.25 * 0.25 / 3.0).abs() < 0.0005, "{variance}");
    }
}
