//! What learns from a batch of the data loader: a head on the CPU, or on a device a head group, which
//! is computed as one.

use std::ops::ControlFlow;

use shared::terminal::Progress;

use super::TrainingError;
use super::head_group::{self, HeadGroup};
use super::member::Member;
use crate::batches::LabelledBatch;

/// A head, or a head group.
pub(super) enum Learner<'m, 'a> {
    Head(&'m mut Member<'a>),
    Group(Box<HeadGroup<'m, 'a>>),
}

impl<'m, 'a> Learner<'m, 'a> {
    /// The learners that are made of these heads.
    pub(super) fn from_members(members: Vec<&'m mut Member<'a>>, on_device: bool) -> Vec<Self> {
        if on_device {
            let groups = head_group::by_shape(members).into_iter();
            groups.map(|group| Self::Group(Box::new(group))).collect()
        } else {
            members.into_iter().map(Self::Head).collect()
        }
    }

    /// Learns from a batch if it is the next one of these heads.
    pub(super) fn learn(
        &mut self,
        batch: &LabelledBatch<'_>,
        progress: &Progress,
    ) -> Result<ControlFlow<()>, TrainingError> {
        match self {
            Self::Head(member) => member.training.learn(batch, progress),
            Self::Group(group) => group.learn(batch, progress),
        }
    }

    /// The heads after the last batch; `result` tells whether learning failed.
    pub(super) fn into_members(
        self,
        result: Result<(), TrainingError>,
        progress: &Progress,
    ) -> Vec<&'m mut Member<'a>> {
        match self {
            Self::Head(member) => {
                let result = result.map_err(|error| {
                    if error.is_device_failure() {
                        member.training.failed(&error)
                    } else {
                        error
                    }
                });
                member.end_on_error(result);
                vec![member]
            }
            Self::Group(group) => group.into_members(result, progress),
        }
    }
}
