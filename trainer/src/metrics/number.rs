//! Reading of numbers that JSON has as `null`: those that are NaN or infinite.

use serde::{Deserialize, Deserializer};

/// A number, NaN for `null`.
pub(crate) fn or_nan<'de, D: Deserializer<'de>>(json: D) -> Result<f64, D::Error> {
    let number = Option::<f64>::deserialize(json)?;
    Ok(number.unwrap_or(f64::NAN))
}

/// A list of numbers, NaN for every `null`.
pub(crate) fn or_nans<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<f64>, D::Error> {
    let numbers = Vec::<Option<f64>>::deserialize(json)?;
    let numbers = numbers.into_iter();
    Ok(numbers.map(|number| number.unwrap_or(f64::NAN)).collect())
}

/// A number that may be absent or `null`.
pub(crate) fn or_none<'de, D: Deserializer<'de>>(json: D) -> Result<Option<f64>, D::Error> {
    Option::<f64>::deserialize(json)
}
