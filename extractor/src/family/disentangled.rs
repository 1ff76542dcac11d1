//! Disentangled attention (He et al. 2021): scores have terms of their own for how far apart two
//! tokens are, one that meets the query and one that meets the key. Distances are rows of one
//! table; far ones share rows.

use super::config::Config;
use super::error::FamilyError;

/// Longest sequence of an encoder that knows distances.
const LONGEST: usize = 1 << 20;
/// The terms that configurations name.
const TERMS: [&str; 2] = ["c2p", "p2c"];

/// The terms of attention scores for distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disentangled {
    /// The table of distances, `[2 * span, hidden]`, for all layers.
    pub table: &'static str,
    /// The norm of its rows, if there is one.
    pub norm: Option<&'static str>,
    /// Which rows are for which distances.
    pub distances: Distances,
    /// The linear layer that makes keys of the table's rows, which queries meet (content to
    /// position), if there is this term.
    pub key: Option<DistanceLayer>,
    /// The linear layer that makes queries of them, which keys meet (position to content), if
    /// there is this term.
    pub query: Option<DistanceLayer>,
}

impl Disentangled {
    /// None where there is neither term.
    pub(super) fn if_any(self) -> Option<Self> {
        (self.key.is_some() || self.query.is_some()).then_some(self)
    }
}

/// A linear layer from the hidden size to all heads, applied to the table of distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DistanceLayer {
    /// Its name in a layer.
    pub name: &'static str,
    /// Whether it has a bias.
    pub bias: bool,
}

/// Which row of the table is for which distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distances {
    /// Rows to each side: row `span` is for distance 0.
    pub span: usize,
    /// Distances beyond half of the span share rows, the more the farther they are, up to this
    /// distance; none where every distance has a row until there are no more.
    pub logarithmic_to: Option<usize>,
}

impl Distances {
    /// The row for each distance from `-farthest` to `farthest`, `[2 * farthest + 1]`. A distance
    /// is the place of the query less that of the key.
    #[must_use]
    pub fn rows(self, farthest: usize) -> Vec<i64> {
        let farthest = signed(farthest);
        let span = signed(self.span);
        let row = |distance: i64| (self.bucket(distance) + span).clamp(0, 2 * span - 1);
        (-farthest..=farthest).map(row).collect()
    }

    /// The number that stands for a distance.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "transformers computes in float32, and distances are small"
    )]
    fn bucket(self, distance: i64) -> i64 {
        let Some(farthest) = self.logarithmic_to else {
            return distance;
        };
        let middle = signed(self.span / 2);
        if distance.abs() <= middle {
            return distance;
        }
        let half = middle as f32;
        let part = (distance.abs() as f32 / half).ln();
        let whole = (((farthest - 1) as f64 / middle as f64) as f32).ln();
        let steps = (part / whole * (half - 1.0)).ceil();
        (steps as i64 + middle) * distance.signum()
    }
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The terms that `pos_att_type` names, content to position first.
pub(super) fn terms(config: &Config) -> Result<[bool; 2], FamilyError> {
    let field = "pos_att_type";
    let names = config.texts_or_split(field, '|')?.unwrap_or_default();
    let mut terms = [false; 2];
    for name in &names {
        let known = TERMS.iter().position(|term| term == name);
        let known = known.filter(|&term| !terms[term]).ok_or_else(|| {
            config.unsupported(field, names.join("|"), "c2p and p2c, each at most once")
        })?;
        terms[known] = true;
    }
    Ok(terms)
}

/// The farthest distance, `max_relative_positions`, or the longest sequence where it is not set.
pub(super) fn farthest(config: &Config, longest: usize) -> Result<usize, FamilyError> {
    if longest > LONGEST {
        let expected = format!("at most {LONGEST} with relative_attention");
        return Err(config.wrong("max_position_embeddings", &expected, longest));
    }
    Ok(config
        .positive_or_none("max_relative_positions")?
        .unwrap_or(longest))
}

/// Distances in so many buckets.
pub(super) fn in_buckets(
    config: &Config,
    buckets: usize,
    farthest: usize,
) -> Result<Distances, FamilyError> {
    // transformers divides by half of them, and by the logarithm of a quotient that must not be 1.
    if buckets < 2 || farthest <= buckets / 2 + 1 {
        let expected = format!(
            "2 to {} with these distances",
            2 * farthest.saturating_sub(2) + 1
        );
        return Err(config.wrong("position_buckets", &expected, buckets));
    }
    Ok(Distances {
        span: buckets,
        logarithmic_to: Some(farthest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of the rows, their sum weighted with where they stand, and the first three.
    fn sums(span: usize, farthest: usize, last: usize) -> (i64, i64, Vec<i64>) {
        let distances = Distances {
            span,
            logarithmic_to: Some(farthest),
        };
        let rows = distances.rows(last);
        assert_eq!(rows.len(), 2 * last + 1);
        let weighted = rows.iter().zip(0..).map(|(row, at)| row * at);
        (rows.iter().sum(), weighted.sum(), rows[..3].to_vec())
    }

    #[test]
    fn buckets_are_those_of_transformers() {
        // make_log_bucket_position of transformers 5 on PyTorch 2.11.
        assert_eq!(sums(256, 512, 512), (262_399, 189_524_346, vec![0, 1, 1]));
        assert_eq!(sums(8, 16, 20), (323, 9_318, vec![0, 0, 0]));
        assert_eq!(sums(7, 24, 40), (567, 31_876, vec![1, 1, 1]));
        assert_eq!(sums(2, 9, 12), (50, 756, vec![1, 1, 1]));
        assert_eq!(sums(32, 100, 140), (8_951, 1_834_016, vec![0, 0, 0]));
        let near = Distances {
            span: 8,
            logarithmic_to: Some(16),
        };
        let begins = [5, 7, 10];
        let rows = near.rows(15);
        let far = (5..=15).filter(|&at| rows[15 + at] != rows[14 + at]);
        assert_eq!(far.collect::<Vec<_>>(), begins);
    }

    #[test]
    fn without_buckets_far_distances_share_the_last_rows() {
        let distances = Distances {
            span: 2,
            logarithmic_to: None,
        };
        assert_eq!(distances.rows(4), [0, 0, 0, 1, 2, 3, 3, 3, 3]);
    }
}
