//! Numbers that options take, with what is said of those that they refuse.

/// A whole number above 0.
pub(crate) fn positive(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| "expected a whole number above 0".to_owned())
}

/// A number from 0 to below 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..1.0).contains(share))
        .ok_or_else(|| "expected a number from 0 to below 1".to_owned())
}

/// A number from 0 up that is not infinite.
pub(crate) fn not_negative(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| "expected a number from 0 up".to_owned())
}
