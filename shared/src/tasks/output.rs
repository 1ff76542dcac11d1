//! What the numbers are that a head computes for a token or a text, and how the right answers are
//! handed to its loss: as whole numbers, whatever they are, so that one list serves all tasks.

use serde::{Deserialize, Serialize};

use super::NO_TARGET;

/// What the last layer of a head gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// A logit a class, of which one is right: `[rows, classes]`. A target is the number of a class.
    #[default]
    Class,
    /// A logit a class, of which any number may be right: `[rows, classes]`. A target is 1 for a
    /// class that is right and 0 for one that is not: `[rows, classes]`.
    Set,
    /// One number: `[rows, 1]`. A target is the bits of a float32, see [`number_target`].
    Number,
}

impl Output {
    /// Whether it is the usual one, which is not written down.
    #[must_use]
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// How many targets a row has.
    #[must_use]
    pub fn targets_of_row(self, outputs: usize) -> usize {
        match self {
            Self::Class | Self::Number => 1,
            Self::Set => outputs,
        }
    }

    /// How many numbers a head gives for each row, for so many names of classes.
    #[must_use]
    pub fn width(self, classes: usize) -> usize {
        match self {
            Self::Class | Self::Set => classes,
            Self::Number => 1,
        }
    }
}

/// The target of a number: its bits, or [`NO_TARGET`] for NaN, which says that there is none.
#[must_use]
pub fn number_target(number: f32) -> i64 {
    if number.is_nan() {
        NO_TARGET
    } else {
        i64::from(number.to_bits())
    }
}

/// The number that a target is; none for [`NO_TARGET`] and for what no number has as its target.
#[must_use]
pub fn target_number(target: i64) -> Option<f32> {
    let number = f32::from_bits(u32::try_from(target).ok()?);
    (!number.is_nan()).then_some(number)
}

/// In a set of a store: no label, for all classes of the text.
pub const NO_SET: u8 = u8::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_from_their_targets() {
        for number in [0.0, -0.0, 3.25, -1e30, f32::MIN_POSITIVE, f32::INFINITY] {
            let back = target_number(number_target(number)).unwrap();
            assert_eq!(back.to_bits(), number.to_bits());
        }
        assert_eq!(number_target(f32::NAN), NO_TARGET);
        for none in [NO_TARGET, -1, i64::MAX, i64::from(f32::NAN.to_bits())] {
            assert_eq!(target_number(none), None);
        }
    }
}
