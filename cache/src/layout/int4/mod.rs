//! Vectors of four bits a value: rotated ([`crate::rotation`]), then each number the nearest of 16 levels, the
//! half-integers from -7.5 to 7.5 times a scale of the vector. The scale is the one of a few that has the
//! smallest error, for a scale that reaches the largest number makes all steps larger than the others need.
//! `docs/format.md` (5.5) is the normative text.

use shared::vectorised;

use crate::layout::dtype::SCALE_BYTES;
use crate::rotation::{rotate, unrotate};

/// The largest level.
const LARGEST_LEVEL: f32 = 7.5;

/// Candidates for the scale, in sixteenths of the one with which the largest number is the largest level; the first
/// of the best ones is taken.
const SIXTEENTHS: std::ops::RangeInclusive<u8> = 5..=16;

/// Values from this size on do not fit: sums of them could become infinite. 2^100.
pub(crate) const LIMIT: f32 = f32::from_bits((127 + 100) << 23);

/// Vectors whose rotated numbers are all smaller than this are stored as zeros. 2^-100.
const SMALLEST: f32 = f32::from_bits((127 - 100) << 23);

/// Sums that do not wait for one another: sum i adds up numbers i, i + 16, i + 32, ...
const PARTIAL_SUMS: usize = 16;

/// Added to a number from 0 to 15, it leaves the nearest whole number in the lowest bits; halves go to the even one.
const ROUNDING: f32 = 8_388_608.0;

/// Writes `values [hidden]`, all of them smaller than [`LIMIT`], as `out`, `hidden / 2` (rounded up) + 4 bytes. Returns
/// the square of the relative error: that of the length of the difference over that of the vector.
pub(crate) fn encode(values: &[f32], out: &mut [u8]) -> f64 {
    let mut rotated = values.to_vec();
    rotate(&mut rotated);
    let most = largest(&rotated);
    if most < SMALLEST {
        out.fill(0);
        return 0.0;
    }
    let full = most / LARGEST_LEVEL;
    let (packed, scale_bytes) = out.split_at_mut(out.len() - SCALE_BYTES);
    let error = |sixteenths: u8| {
        let parts = f32::from(sixteenths);
        squared_error(&rotated, 1.0 / scaled(full, sixteenths)) * (parts * parts)
    };
    let mut best = (*SIXTEENTHS.end(), error(*SIXTEENTHS.end()));
    for sixteenths in SIXTEENTHS.rev().skip(1) {
        let found = error(sixteenths);
        if found < best.1 {
            best = (sixteenths, found);
        }
    }
    let scale = scaled(full, best.0);
    pack(&rotated, 1.0 / scale, packed);
    scale_bytes.copy_from_slice(&scale.to_le_bytes());
    let squares = squares(&rotated, 1.0 / full);
    f64::from(best.1) / 256.0 / f64::from(squares)
}

/// The values `[hidden]` of a stored vector.
pub(crate) fn decode(bytes: &[u8], out: &mut [f32]) {
    unpack(bytes, out);
    unrotate(out);
}

/// A candidate for the scale.
fn scaled(full: f32, sixteenths: u8) -> f32 {
    full * (f32::from(sixteenths) / 16.0)
}

/// The rotated numbers `[hidden]` of a stored vector, which [`crate::rotation::unrotate`] turns into its values. Sums
/// of them can be turned in one go.
///
/// # Panics
/// If `bytes` are not those of a vector of `out.len()` values.
pub fn unpack(bytes: &[u8], out: &mut [f32]) {
    let (packed, scale) = bytes.split_at(out.len().div_ceil(2));
    let scale = scale.try_into().map_or(0.0, f32::from_le_bytes);
    unpack_scaled(packed, scale, out);
}

vectorised! {
    fn unpack_scaled(packed: &[u8], scale: f32, out: &mut [f32]) {
        let whole = out.len() / 8;
        let words = packed.as_chunks::<4>().0;
        for (word, numbers) in words.iter().zip(out.chunks_exact_mut(8)) {
            let word = u32::from_le_bytes(*word);
            for (place, number) in (0..8).zip(numbers) {
                *number = level(word >> (4 * place)) * scale;
            }
        }
        for (place, number) in out.iter_mut().enumerate().skip(8 * whole) {
            *number = level(u32::from(packed[place / 2]) >> (4 * (place % 2))) * scale;
        }
    }
}

/// The level that the lowest four bits stand for.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "compiled with the CPU features of its caller"
)]
fn level(bits: u32) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "0 to 15")]
    let number = (bits & 15).cast_signed() as f32;
    number - LARGEST_LEVEL
}

/// The place of a number, given in steps from the lowest level, among the levels: 0 to 15, plus [`ROUNDING`].
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "compiled with the CPU features of its caller"
)]
fn nearest(steps: f32) -> f32 {
    let steps = if steps > 0.0 { steps } else { 0.0 };
    let steps = if steps < 15.0 { steps } else { 15.0 };
    steps + ROUNDING
}

vectorised! {
    /// The largest size of a number.
    fn largest(rotated: &[f32]) -> f32 {
        let (blocks, rest) = rotated.as_chunks::<PARTIAL_SUMS>();
        let mut most = [0.0_f32; PARTIAL_SUMS];
        for block in blocks {
            for place in 0..PARTIAL_SUMS {
                let size = block[place].abs();
                most[place] = if size > most[place] { size } else { most[place] };
            }
        }
        most.iter().chain(rest).fold(0.0, |most, number| most.max(number.abs()))
    }
}

vectorised! {
    /// The sum of the squared differences from the nearest levels, in steps.
    fn squared_error(rotated: &[f32], per_step: f32) -> f32 {
        sum(rotated, |number| {
            let steps = number * per_step + LARGEST_LEVEL;
            steps - (nearest(steps) - ROUNDING)
        })
    }
}

vectorised! {
    /// The sum of the squares, in steps.
    fn squares(rotated: &[f32], per_step: f32) -> f32 {
        sum(rotated, |number| number * per_step)
    }
}

/// The sum of the squares of what `of` makes of the numbers.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "compiled with the CPU features of its caller"
)]
fn sum(numbers: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (blocks, rest) = numbers.as_chunks::<PARTIAL_SUMS>();
    let mut sums = [0.0; PARTIAL_SUMS];
    for block in blocks {
        for place in 0..PARTIAL_SUMS {
            let term = of(block[place]);
            sums[place] += term * term;
        }
    }
    for (place, &number) in rest.iter().enumerate() {
        let term = of(number);
        sums[place] += term * term;
    }
    let mut half = PARTIAL_SUMS / 2;
    while half > 0 {
        for place in 0..half {
            sums[place] += sums[place + half];
        }
        half /= 2;
    }
    sums[0]
}

vectorised! {
    /// Two numbers a byte, the first one in the low half.
    fn pack(rotated: &[f32], per_step: f32, packed: &mut [u8]) {
        let place = |number: f32| {
            let bits = nearest(number * per_step + LARGEST_LEVEL).to_bits();
            (bits & 15).to_le_bytes()[0]
        };
        let (pairs, last) = rotated.as_chunks::<2>();
        for (pair, byte) in pairs.iter().zip(&mut *packed) {
            *byte = place(pair[0]) | place(pair[1]) << 4;
        }
        if let ([last], Some(byte)) = (last, packed.last_mut()) {
            *byte = place(*last);
        }
    }
}

#[cfg(test)]
mod tests;
