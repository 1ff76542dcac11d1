//! A training among those that see the same batches, and how it ended.

use super::{Outcome, Training, TrainingError};

/// A training and how it ended.
pub(super) struct Member<'a> {
    pub(super) training: Training<'a>,
    /// None while it is running.
    pub(super) ended: Option<Result<Outcome, TrainingError>>,
}

impl<'a> Member<'a> {
    pub(super) const fn new(training: Training<'a>) -> Self {
        Self {
            training,
            ended: None,
        }
    }

    pub(super) const fn is_running(&self) -> bool {
        self.ended.is_none()
    }

    /// The value of a result; an error ends this training, while the others go on.
    pub(super) fn end_on_error<T>(&mut self, result: Result<T, TrainingError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.ended = Some(Err(error));
                None
            }
        }
    }
}
