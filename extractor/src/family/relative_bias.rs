//! Biases of attention scores that depend on how far two tokens stand apart, and on nothing else
//! (Raffel et al. 2020): near distances have a number each, farther ones share one, in buckets that
//! grow with the logarithm of the distance.

use super::config::Config;
use super::error::FamilyError;

const BUCKETS: &str = "relative_attention_num_buckets";
const FARTHEST: &str = "relative_attention_max_distance";
/// Buckets below which there is none for distance 1.
const FEWEST: usize = 4;

/// The biases of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelativeBias {
    /// Where checkpoints keep the numbers, `[rows, heads]`.
    pub table: BiasTable,
    /// Rows of the table.
    pub rows: usize,
    /// Buckets for both directions together, at most `rows`.
    buckets: usize,
    /// The distance from which on all share the last bucket.
    farthest: usize,
}

/// The tables of biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BiasTable {
    /// One for all layers.
    Shared(&'static str),
    /// One in each layer.
    InLayer(&'static str),
}

impl RelativeBias {
    /// With as many buckets as the configuration says, up to the distance that it says.
    pub(super) fn from_config(config: &Config, table: BiasTable) -> Result<Self, FamilyError> {
        let buckets = config.size_or(&[BUCKETS], 32)?;
        let farthest = config.size_or(&[FARTHEST], 128)?;
        if buckets < FEWEST {
            let expected = format!("at least {FEWEST}");
            return Err(config.wrong(BUCKETS, &expected, buckets));
        }
        if farthest <= exact(buckets) {
            let expected = format!("more than {}, a quarter of {BUCKETS}", exact(buckets));
            return Err(config.wrong(FARTHEST, &expected, farthest));
        }
        Ok(Self {
            table,
            rows: buckets,
            buckets,
            farthest,
        })
    }

    /// With the buckets of `MPNet`, which are no settings: only the table may have more rows.
    pub(super) fn fixed(config: &Config, table: BiasTable) -> Result<Self, FamilyError> {
        let buckets = 32;
        let rows = config.size_or(&[BUCKETS], buckets)?;
        if rows < buckets {
            return Err(config.wrong(BUCKETS, "at least 32", rows));
        }
        Ok(Self {
            table,
            rows,
            buckets,
            farthest: 128,
        })
    }

    /// The largest distance that has a bias of its own in sequences of up to `longest` tokens.
    #[must_use]
    pub fn reach(&self, longest: usize) -> usize {
        self.farthest.min(longest)
    }

    /// The row of the table for each distance from `-reach` to `reach` of the token that is seen
    /// from the token that sees it, `[2 * reach + 1]`.
    #[must_use]
    pub fn rows_by_distance(&self, reach: usize) -> Vec<usize> {
        let half = self.buckets / 2;
        let before = (0..=reach).rev().map(|distance| self.bucket(distance));
        let after = (1..=reach).map(|distance| half + self.bucket(distance));
        before.chain(after).collect()
    }

    /// The bucket of a distance, among those of one direction.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "transformers computes in float32 and truncates too; all are small numbers"
    )]
    fn bucket(&self, distance: usize) -> usize {
        let (half, exact) = (self.buckets / 2, exact(self.buckets));
        if distance < exact {
            return distance;
        }
        let ratio = self.farthest as f64 / exact as f64;
        let part = (distance as f32 / exact as f32).ln() / ratio.ln() as f32;
        let beyond = (part * (half - exact) as f32) as usize;
        (exact + beyond).min(half - 1)
    }
}

/// Distances of each direction that have a bucket of their own.
const fn exact(buckets: usize) -> usize {
    buckets / 2 / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `T5Attention._relative_position_bucket` of transformers 5.24, 32 buckets, distance 128.
    #[test]
    fn near_distances_have_a_bucket_each_and_far_ones_share_some() {
        let bias = RelativeBias {
            table: BiasTable::Shared(""),
            rows: 32,
            buckets: 32,
            farthest: 128,
        };
        let rows = bias.rows_by_distance(130);
        let expected = [
            (-130, 15),
            (-128, 15),
            (-91, 15),
            (-64, 14),
            (-63, 13),
            (-32, 12),
            (-31, 11),
            (-16, 10),
            (-15, 9),
            (-8, 8),
            (-7, 7),
            (-1, 1),
            (0, 0),
            (1, 17),
            (7, 23),
            (8, 24),
            (16, 26),
            (32, 28),
            (64, 30),
            (90, 30),
            (91, 31),
            (130, 31),
        ];
        assert_eq!(rows.len(), 261);
        for (distance, row) in expected {
            assert_eq!(
                rows[usize::try_from(130 + distance).unwrap_or(0)],
                row,
                "{distance}"
            );
        }
        assert_eq!((bias.reach(512), bias.reach(20)), (128, 20));
    }
}
