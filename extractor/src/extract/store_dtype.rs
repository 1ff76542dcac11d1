//! The number format of a store where it is not said. float16 has three bits more than bfloat16 and an
//! end, which the hidden states of some decoders pass: a few sentences tell, before the third hour
//! does.

use std::path::Path;
use std::sync::LazyLock;

use cache::{SplitTables, StoreDtype};
use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::batch::spread;
use crate::encoder::{Batch, Encoder, EncoderError};

/// Largest value for which float16 is chosen. It ends at 65504; other sentences may have values four
/// times as large as those that are tried.
const SAFE: f32 = 65504.0 / 4.0;
/// Sequences that are tried at most.
const SEQUENCES: usize = 8;
/// Tokens of each that are tried at most: large values come with the first tokens and with
/// punctuation.
const TOKENS: usize = 128;

/// The number format that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreDtypeChoice {
    /// float16, or bfloat16 where values are too large for it.
    Auto,
    /// This one.
    Fixed(StoreDtype),
}

impl StoreDtypeChoice {
    /// The format, as long as it is not known better: both that `auto` means are of one size.
    #[must_use]
    pub const fn provisional(self) -> StoreDtype {
        match self {
            Self::Auto => StoreDtype::F16,
            Self::Fixed(dtype) => dtype,
        }
    }
}

impl ValueEnum for StoreDtypeChoice {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<StoreDtypeChoice>> = LazyLock::new(|| {
            let fixed = StoreDtype::value_variants().iter();
            let fixed = fixed.map(|&dtype| StoreDtypeChoice::Fixed(dtype));
            std::iter::once(StoreDtypeChoice::Auto)
                .chain(fixed)
                .collect()
        });
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Auto => Some(PossibleValue::new("auto").help(
                "f16, or bf16 where a trial of some sentences has values above a quarter of what float16 holds",
            )),
            Self::Fixed(dtype) => dtype.to_possible_value(),
        }
    }
}

/// What `auto` became for the store at `path`, if it has been begun.
#[must_use]
pub fn recorded(path: &Path) -> Option<StoreDtype> {
    let found = cache::inspect::inspect(path).ok()?;
    let dtype = found.manifest.store_dtype;
    matches!(dtype, StoreDtype::F16 | StoreDtype::Bf16).then_some(dtype)
}

/// A trial of some sentences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RangeTrial {
    /// Largest absolute value of a kept hidden state.
    pub largest: f32,
    /// Sequences that were encoded.
    pub sequences: usize,
}

impl RangeTrial {
    /// Encodes the beginnings of a few sequences of the largest of `tables`; the same ones in every
    /// process that makes a share of the store.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn run(encoder: &mut Encoder, tables: &[SplitTables]) -> Result<Self, EncoderError> {
        let mut trial = Self {
            largest: 0.0,
            sequences: 0,
        };
        let Some(table) = tables.iter().max_by_key(|table| table.input_ids.len()) else {
            return Ok(trial);
        };
        for index in spread(table.sentence_of.len()).take(SEQUENCES) {
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
            let [begin, end] = [index, index + 1].map(|index| at(table.offsets[index]));
            let ids = &table.input_ids[begin..end.min(begin + TOKENS)];
            if ids.is_empty() {
                continue;
            }
            let layers = encoder.layers().len();
            let states = encoder.encode(&Batch::padded(&[ids])?)?;
            for layer in 0..layers {
                let values = states.layer(layer);
                let largest = values.iter().map(|value| value.abs());
                trial.largest = largest.fold(trial.largest, f32::max);
            }
            trial.sequences += 1;
        }
        Ok(trial)
    }

    /// The format for such values.
    #[must_use]
    pub fn dtype(self) -> StoreDtype {
        if self.largest > SAFE {
            StoreDtype::Bf16
        } else {
            StoreDtype::F16
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_can_be_asked_for() {
        let all = StoreDtypeChoice::value_variants();
        assert_eq!(all.len(), 1 + StoreDtype::value_variants().len());
        let parse = |text: &str| StoreDtypeChoice::from_str(text, false).unwrap();
        assert_eq!(parse("auto"), StoreDtypeChoice::Auto);
        assert_eq!(parse("i8").provisional(), StoreDtype::I8);
    }

    #[test]
    fn bfloat16_is_chosen_from_a_quarter_of_float16_on() {
        let dtype = |largest: f32| {
            let trial = RangeTrial {
                largest,
                sequences: 8,
            };
            trial.dtype()
        };
        assert_eq!(dtype(0.0), StoreDtype::F16);
        assert_eq!(dtype(16376.0), StoreDtype::F16);
        assert_eq!(dtype(16377.0), StoreDtype::Bf16);
        assert_eq!(dtype(1e9), StoreDtype::Bf16);
    }
}
