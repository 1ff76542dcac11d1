//! A linear-chain conditional random field behind the classifier (Lafferty et al. 2001): learned
//! scores of tags that stand beside each other, and of those at both ends of a sentence. They are
//! added to the logits of the words; with scores of 0, as they start, every word is by itself.

use super::parameters::{Parameter, Start};

/// The parameters of a field.
#[derive(Debug)]
pub struct Parameters {
    /// `[classes, classes]`: the score of the second class right after the first.
    pub transitions: Parameter,
    /// `[classes]`: of the first word's class.
    pub start: Parameter,
    /// `[classes]`: of the last word's class.
    pub end: Parameter,
}

impl Parameters {
    /// Names and shapes for so many classes.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        let zeros = |name: &str, shape: Vec<usize>| {
            Parameter::new(&format!("crf.{name}"), shape, Start::Constant(0.0))
        };
        Self {
            transitions: zeros("transitions", vec![classes, classes]),
            start: zeros("start", vec![classes]),
            end: zeros("end", vec![classes]),
        }
    }

    pub(super) fn list(self) -> Vec<Parameter> {
        vec![self.transitions, self.start, self.end]
    }
}
