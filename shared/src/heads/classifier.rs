//! From features to classes, the last part of every head: two linear layers with nothing between
//! them, as in the paper, or one.

use super::parameters::{Linear, Parameter};

/// The classifier's parameters.
#[derive(Debug)]
pub struct Parameters {
    /// `[inner, features]`, or `[classes, features]` where it is the only one.
    pub first: Linear,
    /// `[classes, inner]`
    pub second: Option<Linear>,
}

impl Parameters {
    /// Names and shapes for `width` features; `inner` 0 for a single layer.
    #[must_use]
    pub fn new(width: usize, inner: usize, classes: usize) -> Self {
        let (first, second) = ("classifier.pip.0", "classifier.pip.1");
        if inner == 0 {
            return Self {
                first: Linear::new(first, width, classes),
                second: None,
            };
        }
        Self {
            first: Linear::new(first, width, inner),
            second: Some(Linear::new(second, inner, classes)),
        }
    }

    pub(super) fn list(&self) -> Vec<Parameter> {
        let second = self.second.iter().flat_map(Linear::list);
        self.first.list().into_iter().chain(second).collect()
    }
}
