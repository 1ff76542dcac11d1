//! Which hidden states to keep: `all`, or a list such as `0,4-8,-1`.

use std::fmt;
use std::str::FromStr;

/// A selection of hidden states, before it is known how many a model has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSelection {
    /// Inclusive ranges; none selects all. Negative numbers count from the last layer.
    ranges: Vec<(i64, i64)>,
}

impl LayerSelection {
    /// Every hidden state.
    #[must_use]
    pub const fn all() -> Self {
        Self { ranges: Vec::new() }
    }

    /// The selected indices of a model with `states` hidden states (its layers and the embedding
    /// output, which is 0), ascending and each once.
    ///
    /// # Errors
    /// When a layer is selected that the model does not have, or a range runs backwards.
    pub fn resolve(&self, states: usize) -> Result<Vec<usize>, LayerSelectionError> {
        if self.ranges.is_empty() {
            return Ok((0..states).collect());
        }
        let index = |layer: i64| {
            let from_start = if layer < 0 {
                layer + i64::try_from(states).unwrap_or(i64::MAX)
            } else {
                layer
            };
            usize::try_from(from_start)
                .ok()
                .filter(|&index| index < states)
                .ok_or(LayerSelectionError::NoSuchLayer {
                    layer,
                    last: states.saturating_sub(1),
                })
        };
        let mut selected = Vec::new();
        for &(first, last) in &self.ranges {
            let (from, to) = (index(first)?, index(last)?);
            if from > to {
                return Err(LayerSelectionError::Backwards { first, last });
            }
            selected.extend(from..=to);
        }
        selected.sort_unstable();
        selected.dedup();
        Ok(selected)
    }
}

impl FromStr for LayerSelection {
    type Err = LayerSelectionError;

    fn from_str(text: &str) -> Result<Self, LayerSelectionError> {
        if text.trim() == "all" {
            return Ok(Self::all());
        }
        let unreadable = || LayerSelectionError::Unreadable {
            text: text.to_owned(),
        };
        let number = |part: &str| part.trim().parse::<i64>().map_err(|_| unreadable());
        let ranges = text.split(',').map(|item| {
            let item = item.trim();
            // A minus sign in front belongs to the number; the next one makes a range.
            match item
                .char_indices()
                .skip(1)
                .find(|&(_, letter)| letter == '-')
            {
                Some((dash, _)) => Ok((number(&item[..dash])?, number(&item[dash + 1..])?)),
                None => number(item).map(|layer| (layer, layer)),
            }
        });
        Ok(Self {
            ranges: ranges.collect::<Result<_, _>>()?,
        })
    }
}

impl fmt::Display for LayerSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ranges.is_empty() {
            return f.write_str("all");
        }
        for (i, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

/// Why a selection of layers is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayerSelectionError {
    /// Neither `all` nor a list.
    #[error(
        "cannot read the layers '{text}': expected all, or numbers and ranges such as 0,4-8,-1"
    )]
    Unreadable {
        /// What was given.
        text: String,
    },
    /// A layer that is not there.
    #[error(
        "the model has no layer {layer}: its layers are 0 (the embeddings) to {last}, or -1 (the last) backwards"
    )]
    NoSuchLayer {
        /// What was asked for.
        layer: i64,
        /// The last one.
        last: usize,
    },
    /// A range that ends before it begins.
    #[error("the layers {first} to {last} run backwards: write the smaller one first")]
    Backwards {
        /// Begin of the range.
        first: i64,
        /// End of the range.
        last: i64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_ranges_and_negative_numbers_select_layers_once_and_in_order() {
        let resolve = |text: &str| {
            text.parse::<LayerSelection>()
                .and_then(|layers| layers.resolve(13))
        };
        assert_eq!(resolve("all"), Ok((0..13).collect()));
        assert_eq!(resolve("0,4-8,-1"), Ok(vec![0, 4, 5, 6, 7, 8, 12]));
        assert_eq!(resolve(" 12 , 3-3,2-4"), Ok(vec![2, 3, 4, 12]));
        assert_eq!(resolve("-4--2"), Ok(vec![9, 10, 11]));
        assert_eq!(
            resolve("13"),
            Err(LayerSelectionError::NoSuchLayer {
                layer: 13,
                last: 12
            })
        );
        assert_eq!(
            resolve("-14"),
            Err(LayerSelectionError::NoSuchLayer {
                layer: -14,
                last: 12
            })
        );
        assert_eq!(
            resolve("8-4"),
            Err(LayerSelectionError::Backwards { first: 8, last: 4 })
        );
        for wrong in ["", "none", "1,", "4-", "1.5", "é-1"] {
            assert!(
                matches!(resolve(wrong), Err(LayerSelectionError::Unreadable { .. })),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_selection_is_written_as_it_is_read() {
        for text in ["all", "0,4-8,-1", "-4--2"] {
            assert_eq!(
                text.parse::<LayerSelection>()
                    .map(|layers| layers.to_string())
                    .as_deref(),
                Ok(text)
            );
        }
    }
}
