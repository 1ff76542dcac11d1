//! From the encoder's float32 to the bytes of a row, with the statistics that show a broken encoder at a glance.

use std::fmt;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use serde::{Deserialize, Serialize};

use crate::StoreDtype;

/// A value that the store cannot keep: too large for its number format, or not finite at all.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub struct Overflow {
    /// Position of the layer in the manifest's list of layers.
    pub layer: usize,
    /// The value the encoder gave.
    pub value: f32,
    /// The number format of the store.
    pub dtype: StoreDtype,
}

impl fmt::Display for Overflow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            layer,
            value,
            dtype,
        } = self;
        if value.is_finite() {
            let remedy = "store float32 or bfloat16 instead (--store-dtype f32|bf16)";
            write!(
                formatter,
                "{value} in layer {layer} is too large for {dtype}: {remedy}"
            )
        } else {
            write!(
                formatter,
                "the encoder gave {value} in layer {layer}: its weights or its input are broken"
            )
        }
    }
}

/// Statistics of one layer over some tokens, of the values before they are rounded to the store's format.
/// Adding up is exact, so that the order in which rows arrive does not show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerStatistics {
    /// Values seen.
    pub values: u64,
    /// NaN values.
    pub nan: u64,
    /// Infinite values.
    pub infinite: u64,
    /// Bits of the smallest and the largest value.
    range: Option<(Ordered, Ordered)>,
    /// Sum of the absolute values in units of 2^-24.
    absolute: u128,
}

/// A float32 that is equal to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ordered(u32);

impl LayerStatistics {
    /// Smallest value, 0 if there are none.
    #[must_use]
    pub fn minimum(&self) -> f32 {
        self.range
            .map_or(0.0, |(minimum, _)| f32::from_bits(minimum.0))
    }

    /// Largest value, 0 if there are none.
    #[must_use]
    pub fn maximum(&self) -> f32 {
        self.range
            .map_or(0.0, |(_, maximum)| f32::from_bits(maximum.0))
    }

    /// Mean absolute value, 0 if there are none.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a statistic needs no more than 53 bits"
    )]
    pub fn mean_absolute(&self) -> f64 {
        if self.values == 0 {
            0.0
        } else {
            self.absolute as f64 / UNITS / self.values as f64
        }
    }

    /// Adds the statistics of other tokens of the same layer.
    pub fn merge(&mut self, other: &Self) {
        self.values += other.values;
        self.nan += other.nan;
        self.infinite += other.infinite;
        self.absolute = self.absolute.saturating_add(other.absolute);
        if other.range.is_some() {
            self.widen(other.minimum(), other.maximum());
        }
    }

    /// Adds the values of one row of the layer; returns one that is not finite or whose size is above `limit`.
    fn add(&mut self, values: &[f32], limit: f32) -> Option<f32> {
        self.values += values.len() as u64;
        let (minimum, maximum, sum) = scan(values);
        if !sum.is_finite() && values.iter().any(|value| !value.is_finite()) {
            self.nan += values.iter().filter(|value| value.is_nan()).count() as u64;
            self.infinite += values.iter().filter(|value| value.is_infinite()).count() as u64;
            return values.iter().copied().find(|value| !value.is_finite());
        }
        if !values.is_empty() {
            self.widen(minimum, maximum);
            self.absolute = self.absolute.saturating_add(units(sum));
        }
        [minimum, maximum]
            .into_iter()
            .find(|value| value.abs() >= limit)
    }

    fn widen(&mut self, minimum: f32, maximum: f32) {
        let (low, high) = match self.range {
            Some((low, high)) => (
                f32::from_bits(low.0).min(minimum),
                f32::from_bits(high.0).max(maximum),
            ),
            None => (minimum, maximum),
        };
        // -0 + 0 is +0: which of two zeros came first must not show.
        self.range = Some((
            Ordered((low + 0.0).to_bits()),
            Ordered((high + 0.0).to_bits()),
        ));
    }
}

/// Statistics of a part, one entry a layer in the manifest's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartStatistics {
    /// One entry a layer.
    pub layers: Vec<LayerStatistics>,
}

impl PartStatistics {
    /// Empty statistics of so many layers.
    #[must_use]
    pub fn new(layers: usize) -> Self {
        Self {
            layers: vec![LayerStatistics::default(); layers],
        }
    }

    /// Adds the statistics of other tokens of the same part.
    pub fn merge(&mut self, other: &Self) {
        for (layer, other) in self.layers.iter_mut().zip(&other.layers) {
            layer.merge(other);
        }
    }
}

/// Statistics of a layer as the records keep them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerSummary {
    /// Smallest value.
    pub minimum: f32,
    /// Largest value.
    pub maximum: f32,
    /// Mean absolute value.
    pub mean_absolute: f64,
    /// Values.
    pub values: u64,
    /// NaN values.
    pub nan: u64,
    /// Infinite values.
    pub infinite: u64,
}

impl From<&LayerStatistics> for LayerSummary {
    fn from(statistics: &LayerStatistics) -> Self {
        Self {
            minimum: statistics.minimum(),
            maximum: statistics.maximum(),
            mean_absolute: statistics.mean_absolute(),
            values: statistics.values,
            nan: statistics.nan,
            infinite: statistics.infinite,
        }
    }
}

impl LayerSummary {
    /// Adds the summary of other tokens; summaries are merged in the order of the parts.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a statistic needs no more than 53 bits"
    )]
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.values == 0 {
            *self = *other;
            return;
        }
        let (own, others) = (self.values as f64, other.values as f64);
        self.mean_absolute =
            (self.mean_absolute * own + other.mean_absolute * others) / (own + others);
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        self.values += other.values;
        self.nan += other.nan;
        self.infinite += other.infinite;
    }
}

/// Converts the values `[hidden]` of one layer of one token into the bytes of a row and counts them.
///
/// `layer` is the position in the manifest's list of layers, for the message; `out` has room for exactly the
/// values in `dtype`.
///
/// # Errors
/// [`Overflow`] for a value that is not finite, or that would become infinite in `dtype`.
///
/// # Panics
/// If `out` has another length than `values.len() * dtype.bytes()`.
pub fn encode(
    dtype: StoreDtype,
    layer: usize,
    values: &[f32],
    out: &mut [u8],
    stats: &mut LayerStatistics,
) -> Result<(), Overflow> {
    assert_eq!(
        out.len(),
        values.len() * dtype.bytes(),
        "room for {} values in {dtype}",
        values.len()
    );
    if let Some(value) = stats.add(values, limit(dtype)) {
        return Err(Overflow {
            layer,
            value,
            dtype,
        });
    }
    match dtype {
        StoreDtype::F32 => out.copy_from_slice(bytemuck::cast_slice(values)),
        StoreDtype::F16 => match bytemuck::try_cast_slice_mut::<u8, f16>(out) {
            Ok(out) => out.convert_from_f32_slice(values),
            Err(_) => put(out, values, |value| f16::from_f32(value).to_le_bytes()),
        },
        StoreDtype::Bf16 => match bytemuck::try_cast_slice_mut::<u8, bf16>(out) {
            Ok(out) => out.convert_from_f32_slice(values),
            Err(_) => put(out, values, |value| bf16::from_f32(value).to_le_bytes()),
        },
    }
    Ok(())
}

/// Converts stored values to float32; `out` has room for exactly them.
pub(crate) fn decode(dtype: StoreDtype, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        StoreDtype::F32 => bytemuck::cast_slice_mut::<f32, u8>(out).copy_from_slice(bytes),
        StoreDtype::F16 => match bytemuck::try_cast_slice::<u8, f16>(bytes) {
            Ok(values) => values.convert_to_f32_slice(out),
            Err(_) => get(bytes, out, |pair| f16::from_le_bytes(pair).to_f32()),
        },
        StoreDtype::Bf16 => match bytemuck::try_cast_slice::<u8, bf16>(bytes) {
            Ok(values) => values.convert_to_f32_slice(out),
            Err(_) => get(bytes, out, |pair| bf16::from_le_bytes(pair).to_f32()),
        },
    }
}

/// The value as it comes back from the store.
pub(crate) fn rounded(dtype: StoreDtype, value: f32) -> f32 {
    match dtype {
        StoreDtype::F32 => value,
        StoreDtype::F16 => f16::from_f32(value).to_f32(),
        StoreDtype::Bf16 => bf16::from_f32(value).to_f32(),
    }
}

/// Statistics of stored values `[hidden]`, as [`encode`] counts them.
pub(crate) fn count(values: &[f32], stats: &mut LayerStatistics) {
    let _ = stats.add(values, f32::INFINITY);
}

const UNITS: f64 = (1_u32 << 24) as f64;

/// The smallest size that rounds to infinity.
fn limit(dtype: StoreDtype) -> f32 {
    match dtype {
        // Half a unit in the last place above the largest value, 65504.
        StoreDtype::F16 => 65520.0,
        StoreDtype::Bf16 => f32::from_bits(0x7f7f_8000),
        StoreDtype::F32 => f32::INFINITY,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "absolute, and `as` saturates"
)]
fn units(sum: f64) -> u128 {
    (sum * UNITS).round() as u128
}

const LANES: usize = 16;

/// Minimum, maximum and sum of the absolute values; the sum is not finite if a value is not. Lanes of a fixed
/// number, so that the compiler uses wide registers and the result is the same on every machine.
fn scan(values: &[f32]) -> (f32, f32, f64) {
    let mut minimum = [f32::INFINITY; LANES];
    let mut maximum = [f32::NEG_INFINITY; LANES];
    let mut sum = [0.0_f64; LANES];
    let mut step = |lane: usize, value: f32| {
        minimum[lane] = if value < minimum[lane] {
            value
        } else {
            minimum[lane]
        };
        maximum[lane] = if value > maximum[lane] {
            value
        } else {
            maximum[lane]
        };
        sum[lane] += f64::from(value.abs());
    };
    let blocks = values.chunks_exact(LANES);
    let rest = blocks.remainder();
    for block in blocks {
        for (lane, &value) in block.iter().enumerate() {
            step(lane, value);
        }
    }
    for (lane, &value) in rest.iter().enumerate() {
        step(lane, value);
    }
    (
        minimum.into_iter().fold(f32::INFINITY, f32::min),
        maximum.into_iter().fold(f32::NEG_INFINITY, f32::max),
        sum.into_iter().sum(),
    )
}

fn put(out: &mut [u8], values: &[f32], convert: impl Fn(f32) -> [u8; 2]) {
    for (out, &value) in out.chunks_exact_mut(2).zip(values) {
        out.copy_from_slice(&convert(value));
    }
}

fn get(bytes: &[u8], out: &mut [f32], convert: impl Fn([u8; 2]) -> f32) {
    for (pair, out) in bytes.chunks_exact(2).zip(out) {
        *out = convert([pair[0], pair[1]]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(dtype: StoreDtype, values: &[f32]) -> Result<Vec<u8>, Overflow> {
        let mut out = vec![0; values.len() * dtype.bytes()];
        encode(dtype, 3, values, &mut out, &mut LayerStatistics::default())?;
        Ok(out)
    }

    #[test]
    fn known_values_have_their_known_bits() {
        // IEEE 754: 1 is 0x3c00, -2 is 0xc000, 65504 is 0x7bff, the smallest subnormal 2^-24 is 1.
        let values = [1.0, -2.0, 65504.0, 2.0_f32.powi(-24), 0.0];
        let halves: Vec<u8> = [0x3c00_u16, 0xc000, 0x7bff, 1, 0]
            .into_iter()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(bytes_of(StoreDtype::F16, &values).unwrap(), halves);
        let brains: Vec<u8> = [0x3f80_u16, 0xc000]
            .into_iter()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(bytes_of(StoreDtype::Bf16, &values[..2]).unwrap(), brains);
    }

    #[test]
    fn the_smallest_value_that_becomes_infinite_is_an_overflow() {
        let below = f32::from_bits(65520.0_f32.to_bits() - 1);
        assert!(bytes_of(StoreDtype::F16, &[below, -below]).is_ok());
        let error = bytes_of(StoreDtype::F16, &[0.5, -65520.0]).unwrap_err();
        assert_eq!((error.layer, error.value), (3, -65520.0));
        assert!(
            error.to_string().contains("--store-dtype f32|bf16"),
            "{error}"
        );
        assert!(bytes_of(StoreDtype::Bf16, &[65520.0]).is_ok());
        assert!(bytes_of(StoreDtype::Bf16, &[f32::MAX]).is_err());
        assert!(bytes_of(StoreDtype::F32, &[f32::MAX]).is_ok());
    }

    #[test]
    fn values_that_are_not_finite_are_an_error_in_every_format() {
        for dtype in [StoreDtype::F16, StoreDtype::F32, StoreDtype::Bf16] {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = vec![0.25; 37];
                values[20] = value;
                let error = bytes_of(dtype, &values).unwrap_err();
                assert_eq!(error.value.to_bits(), value.to_bits());
            }
        }
    }

    proptest! {
        #[test]
        fn statistics_do_not_depend_on_how_rows_are_grouped(
            rows in prop::collection::vec(prop::collection::vec(-1e4_f32..1e4, 1..40), 1..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let of = |rows: &[Vec<f32>]| {
                let mut statistics = LayerStatistics::default();
                rows.iter().for_each(|row| count(row, &mut statistics));
                statistics
            };
            let (head, tail) = rows.split_at(cut.index(rows.len()));
            let mut merged = of(tail);
            merged.merge(&of(head));
            prop_assert_eq!(merged, of(&rows));
            let all: Vec<f32> = rows.concat();
            prop_assert_eq!(merged.values, all.len() as u64);
            prop_assert_eq!(merged.minimum(), all.iter().copied().fold(f32::MAX, f32::min));
            prop_assert_eq!(merged.maximum(), all.iter().copied().fold(f32::MIN, f32::max));
            let sum: f64 = all.iter().map(|value| f64::from(value.abs())).sum();
            prop_assert!((merged.mean_absolute() * merged.values as f64 - sum).abs() < 1e-5 * sum.max(1.0));
        }
    }
}
