//! From a head's logits to its predictions: both programs must choose alike where logits are equal.

/// How a prediction is chosen among the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoding {
    /// The class with the largest logit, each word or text by itself.
    Largest,
}

impl Decoding {
    /// The class that logits `[classes]` stand for; the first of equal ones.
    #[must_use]
    pub fn class(self, logits: &[f32]) -> usize {
        match self {
            Self::Largest => largest(logits),
        }
    }
}

fn largest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (class, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = class;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_give_the_first_class() {
        assert_eq!(largest(&[0.0, 2.0, 2.0, -1.0]), 1);
        assert_eq!(largest(&[0.5, 0.7, 0.7]), 1);
        assert_eq!(largest(&[f32::NAN, 0.7]), 0);
    }
}
