//! What the values of a layer are like: numbers that show a broken encoder at a glance.

use serde::{Deserialize, Serialize};

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
    /// Vectors whose error is known, and the sum of the squares of their relative errors in units of 2^-40.
    errors: (u64, u128),
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

    /// What rounding to the store's format did: the root mean square, over the vectors, of the length of the
    /// difference over the length of the vector. None for formats that follow a value's own size.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a statistic needs no more than 53 bits"
    )]
    pub fn error(&self) -> Option<f64> {
        let (vectors, sum) = self.errors;
        (vectors > 0).then(|| (sum as f64 / ERROR_UNITS / vectors as f64).sqrt())
    }

    /// Adds the square of the relative error of a vector of the layer.
    pub(crate) fn add_error(&mut self, squared: f64) {
        self.errors.0 += 1;
        let units = in_units(squared, ERROR_UNITS);
        self.errors.1 = self.errors.1.saturating_add(units);
    }

    /// Adds the statistics of other tokens of the same layer.
    pub fn merge(&mut self, other: &Self) {
        self.values += other.values;
        self.nan += other.nan;
        self.infinite += other.infinite;
        self.absolute = self.absolute.saturating_add(other.absolute);
        self.errors.0 += other.errors.0;
        self.errors.1 = self.errors.1.saturating_add(other.errors.1);
        if other.range.is_some() {
            self.widen(other.minimum(), other.maximum());
        }
    }

    /// Adds the values of one row of the layer; returns one that is not finite or whose size is above `limit`.
    pub(crate) fn add(&mut self, values: &[f32], limit: f32) -> Option<f32> {
        self.values += values.len() as u64;
        let (minimum, maximum, sum) = scan(values);
        if !sum.is_finite() {
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

    /// Adds a row of the layer by what is known of its values, all of them finite.
    pub(crate) fn add_known(&mut self, values: u64, [minimum, maximum]: [f32; 2], absolute: f64) {
        self.values += values;
        self.widen(minimum, maximum);
        self.absolute = self.absolute.saturating_add(units(absolute));
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
    /// Root mean square of the relative errors of the vectors, where the format has a scale for a vector that is
    /// chosen by it (int4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
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
            error: statistics.error(),
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
        if let (Some(one), Some(two)) = (self.error, other.error) {
            let squares = (one * one * own + two * two * others) / (own + others);
            self.error = Some(squares.sqrt());
        }
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        self.values += other.values;
        self.nan += other.nan;
        self.infinite += other.infinite;
    }
}

const UNITS: f64 = (1_u32 << 24) as f64;
const ERROR_UNITS: f64 = UNITS * (1_u32 << 16) as f64;

fn units(sum: f64) -> u128 {
    in_units(sum, UNITS)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "absolute, and `as` saturates"
)]
fn in_units(value: f64, units: f64) -> u128 {
    (value * units).round() as u128
}

/// Values that are worked on at once. A fixed number, so that the compiler uses wide registers and the result is the
/// same on every machine.
const LANES: usize = 16;

/// Minimum, maximum and sum of the absolute values; the sum is not finite if a value is not.
fn scan(values: &[f32]) -> (f32, f32, f64) {
    let mut minimum = [f32::INFINITY; LANES];
    let mut maximum = [f32::NEG_INFINITY; LANES];
    let mut total = 0.0;
    // Few enough values a lane that float32 loses nothing a statistic would miss.
    for block in values.chunks(64 * LANES) {
        let mut sum = [0.0_f32; LANES];
        let mut step = |lane: usize, value: f32| {
            // Comparisons and not `f32::min`: one instruction each, and NaN shows in the sum.
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
            sum[lane] += value.abs();
        };
        let rows = block.chunks_exact(LANES);
        let rest = rows.remainder();
        for row in rows {
            for (lane, &value) in row.iter().enumerate() {
                step(lane, value);
            }
        }
        for (lane, &value) in rest.iter().enumerate() {
            step(lane, value);
        }
        total += sum.into_iter().map(f64::from).sum::<f64>();
    }
    if !total.is_finite() {
        // Values near the largest float32 add up to infinity as well.
        total = values.iter().map(|value| f64::from(value.abs())).sum();
    }
    (
        minimum.into_iter().fold(f32::INFINITY, f32::min),
        maximum.into_iter().fold(f32::NEG_INFINITY, f32::max),
        total,
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn statistics_do_not_depend_on_how_rows_are_grouped(
            rows in prop::collection::vec(prop::collection::vec(-1e4_f32..1e4, 1..40), 1..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let of = |rows: &[Vec<f32>]| {
                let mut statistics = LayerStatistics::default();
                for row in rows {
                    statistics.add(row, f32::INFINITY);
                    statistics.add_error(f64::from(row[0].abs()) / 1e5);
                }
                statistics
            };
            let (head, tail) = rows.split_at(cut.index(rows.len()));
            let mut merged = of(tail);
            merged.merge(&of(head));
            prop_assert_eq!(merged, of(&rows));
            let all: Vec<f32> = rows.concat();
            prop_assert_eq!(merged.values, all.len() as u64);
            prop_assert_eq!(merged.minimum().to_bits(), (all.iter().copied().fold(f32::MAX, f32::min) + 0.0).to_bits());
            prop_assert_eq!(merged.maximum().to_bits(), (all.iter().copied().fold(f32::MIN, f32::max) + 0.0).to_bits());
            let sum: f64 = all.iter().map(|value| f64::from(value.abs())).sum();
            let mean = sum / f64::from(u32::try_from(all.len()).unwrap());
            prop_assert!((merged.mean_absolute() - mean).abs() < 1e-5 * mean.max(1.0));
        }
    }
}
