//! How an encoder numbers the tokens of a sequence.

/// The rule by which each token of a sequence gets its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PositionIds {
    /// 0, 1, 2, ...
    FromZero,
    /// From this number on: the rows before it stand for no position (OPT).
    From {
        /// The number of the first token.
        first: i32,
    },
    /// From one above the padding token's id on; padding tokens within a sequence share its id and
    /// are not counted (`RoBERTa`).
    AfterPadding {
        /// Id of the padding token.
        padding: i32,
    },
}

impl PositionIds {
    /// The number of the first token.
    #[must_use]
    pub fn first(self) -> usize {
        match self {
            Self::FromZero => 0,
            Self::From { first } => usize::try_from(first).unwrap_or(0),
            Self::AfterPadding { padding } => usize::try_from(padding).unwrap_or(0) + 1,
        }
    }

    /// The number of each token of `sequence`, `[tokens]`.
    #[must_use]
    pub fn number(self, sequence: &[i32]) -> Vec<i32> {
        match self {
            Self::FromZero => Self::From { first: 0 }.number(sequence),
            Self::From { first } => (first..)
                .zip(sequence)
                .map(|(position, _)| position)
                .collect(),
            Self::AfterPadding { padding } => sequence
                .iter()
                .scan(padding, |last, &id| {
                    *last += i32::from(id != padding);
                    Some(if id == padding { padding } else { *last })
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PositionIds;

    #[test]
    fn roberta_counts_from_above_its_padding_and_not_the_padding() {
        let ids = PositionIds::AfterPadding { padding: 1 };
        assert_eq!(ids.number(&[0, 7, 1, 9, 2]), [2, 3, 1, 4, 5]);
        assert_eq!(PositionIds::FromZero.number(&[0, 7, 1]), [0, 1, 2]);
        assert_eq!(PositionIds::From { first: 2 }.number(&[0, 7, 1]), [2, 3, 4]);
    }
}
