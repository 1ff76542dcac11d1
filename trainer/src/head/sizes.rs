//! Sizes and shapes as libtorch counts them, in 64 bits with a sign.

/// A shape.
pub(crate) fn sizes(shape: &[usize]) -> Vec<i64> {
    shape
        .iter()
        .map(|&size| i64::try_from(size).unwrap_or(i64::MAX))
        .collect()
}

/// One size.
pub(crate) fn size(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
