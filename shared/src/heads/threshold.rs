//! From which probability on a class is predicted, where a text may have any number of classes: as
//! it is typed and recorded.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The thresholds of all classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Threshold {
    /// One probability for all, above 0 and below 1.
    Fixed(f64),
    /// For each class the one with which its F1 on the validation split is highest.
    Tuned,
}

/// The probability that holds where nothing is said, and until thresholds are tuned.
const USUAL: f64 = 0.5;

impl Default for Threshold {
    fn default() -> Self {
        Self::Fixed(USUAL)
    }
}

impl Threshold {
    /// Whether it is the usual one, which is not written down.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// The probability for all classes as long as none is tuned.
    #[must_use]
    pub fn before_tuning(self) -> f64 {
        match self {
            Self::Fixed(probability) => probability,
            Self::Tuned => USUAL,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(probability) => write!(formatter, "{probability}"),
            Self::Tuned => formatter.write_str("tuned"),
        }
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "tuned" {
            return Ok(Self::Tuned);
        }
        match text.parse() {
            Ok(probability) if probability > 0.0 && probability < 1.0 => {
                Ok(Self::Fixed(probability))
            }
            _ => Err(format!(
                "expected `tuned`, or a probability above 0 and below 1, got {text:?}"
            )),
        }
    }
}

impl TryFrom<String> for Threshold {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Threshold> for String {
    fn from(threshold: Threshold) -> Self {
        threshold.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_read_as_they_are_written() {
        for text in ["0.5", "tuned", "0.05"] {
            let threshold: Threshold = text.parse().unwrap();
            assert_eq!(threshold.to_string(), text);
            let json = serde_json::to_string(&threshold).unwrap();
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Threshold>(&json).unwrap(), threshold);
        }
        for text in ["0", "1", "-0.5", "NaN", "best", ""] {
            let error = text.parse::<Threshold>().unwrap_err();
            assert!(error.contains("`tuned`"), "{error}");
        }
        assert!(Threshold::Fixed(0.5).is_usual() && !Threshold::Tuned.is_usual());
    }
}
