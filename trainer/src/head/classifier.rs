//! From features to classes: two linear layers with nothing between them, as in the paper, or one.

use tch::{TchError, Tensor};

use super::parameters::{Builder, Linear};

/// `[rows, width]` features to `[rows, classes]` logits.
pub(crate) struct Classifier {
    first: Linear,
    second: Option<Linear>,
}

impl Classifier {
    /// `classifier.pip.0 [inner, width]` and `classifier.pip.1 [classes, inner]`; the first alone, `[classes, width]`, for `inner` 0.
    pub(crate) fn new(builder: &mut Builder, width: usize, inner: usize, classes: usize) -> Result<Self, TchError> {
        if inner == 0 {
            return Ok(Self { first: builder.linear("classifier.pip.0", width, classes)?, second: None });
        }
        let first = builder.linear("classifier.pip.0", width, inner)?;
        Ok(Self { first, second: Some(builder.linear("classifier.pip.1", inner, classes)?) })
    }

    /// The logits `[rows, classes]` of features `[rows, width]`.
    ///
    /// Two linear layers in a row are one: with many rows it is cheaper to multiply the layers' matrices with each
    /// other first than to take every row through both.
    pub(crate) fn forward(&self, features: &Tensor) -> Result<Tensor, TchError> {
        let Some(second) = &self.second else { return self.first.forward(features) };
        let (inner, width) = self.first.weight.size2()?;
        let (classes, _) = second.weight.size2()?;
        let (rows, _) = features.size2()?;
        let one_by_one = rows * inner * (width + classes);
        let together = classes * width * (inner + rows);
        if one_by_one <= together {
            return second.forward(&self.first.forward(features)?);
        }
        let weight = second.weight.f_mm(&self.first.weight)?;
        let bias = second.weight.f_mv(&self.first.bias)?.f_add(&second.bias)?;
        features.f_linear(&weight, Some(&bias))
    }
}
