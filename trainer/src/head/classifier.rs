//! From features to classes: two linear layers with nothing between them, as in the paper, or one.

use shared::heads::classifier::Parameters;
use tch::{Device, TchError, Tensor};

use super::parameters::{Builder, Linear, linear};

/// `[rows, width]` features to `[rows, classes]` logits.
pub(crate) struct Classifier {
    first: Linear,
    second: Option<Linear>,
}

impl Classifier {
    /// Adds the parameters of a classifier.
    pub(crate) fn new(builder: &mut Builder, parameters: &Parameters) -> Result<Self, TchError> {
        let first = builder.linear(&parameters.first)?;
        let second = parameters.second.as_ref();
        Ok(Self {
            first,
            second: second.map(|second| builder.linear(second)).transpose()?,
        })
    }

    /// The dimensions of several heads in front of the parameters' own: none, or their number.
    pub(crate) fn heads(&self) -> Vec<i64> {
        let sizes = self.first.weight.size();
        sizes[..sizes.len().saturating_sub(2)].to_vec()
    }

    /// Whether to multiply the two layers' matrices with each other, as nothing stands between
    /// them, and take `rows` rows through the product, which is cheaper with many rows and few
    /// classes.
    pub(crate) fn is_merged(&self, rows: i64) -> bool {
        let Some(second) = &self.second else {
            return false;
        };
        let (first, second) = (self.first.weight.size(), second.weight.size());
        let ([.., inner, width], [.., classes, _]) = (first.as_slice(), second.as_slice()) else {
            return false;
        };
        classes * width * (inner + rows) < rows * inner * (width + classes)
    }

    /// The logits `[rows, classes]` of features `[rows, width]`; of several heads where a dimension
    /// stands in front.
    pub(crate) fn forward(&self, features: &Tensor) -> Result<Tensor, TchError> {
        let Some(second) = &self.second else {
            return self.first.forward(features);
        };
        let rows = features.size().iter().rev().nth(1).copied().unwrap_or(0);
        if !self.is_merged(rows) {
            return second.forward(&self.first.forward(features)?);
        }
        let weight = second.weight.f_matmul(&self.first.weight)?;
        if second.weight.dim() > 2 {
            let (bias, first) = (
                second.bias.f_unsqueeze(-1)?,
                self.first.bias.f_unsqueeze(-1)?,
            );
            let bias = second.weight.f_bmm(&first)?.f_add_(&bias)?;
            return linear(features, &weight, &bias.f_squeeze_dim(-1)?);
        }
        let bias = if features.device() == Device::Cpu {
            second.weight.f_mv(&self.first.bias)?.f_add(&second.bias)?
        } else {
            second.bias.f_addmv(&second.weight, &self.first.bias)?
        };
        linear(features, &weight, &bias)
    }
}

#[cfg(test)]
#[allow(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "the numbers are small"
)]
mod tests {
    use super::*;

    #[test]
    fn merged_or_not_the_logits_are_the_same() {
        let mut builder = Builder::new(1, Device::Cpu);
        let classifier = Classifier::new(&mut builder, &Parameters::new(40, 16, 3)).unwrap();
        let values: Vec<f32> = (0..4000)
            .map(|place| ((place * 29 % 83) as f32 - 41.0) / 20.0)
            .collect();
        let features = Tensor::from_slice(&values).view([100, 40]);
        assert!(classifier.is_merged(100) && !classifier.is_merged(2));
        let whole = classifier.forward(&features).unwrap();
        for start in (0..100).step_by(2) {
            let alone = classifier.forward(&features.narrow(0, start, 2)).unwrap();
            let difference = (whole.narrow(0, start, 2) - alone)
                .abs()
                .max()
                .double_value(&[]);
            assert!(difference < 1e-6, "{difference}");
        }
    }
}
