//! Head groups: heads of one shape that see the same batches on a device are computed as one, so that a
//! step of eight heads launches as many GPU operations as that of a single one. Each head keeps its
//! own dropout, learning rate, clipping and state, and gets the numbers that it would get alone, but
//! for rounding. Losses and gradient norms are fetched every few steps only: a GPU that is asked for
//! a number has nothing to do until the CPU has it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use shared::terminal::Progress;
use tch::{TchError, Tensor};

use super::member::Member;
use super::{Measured, TrainingError, labelled};
use crate::activations::memory;
use crate::batches::LabelledBatch;
use crate::head::{self, AnyHead, Dropout, PrecomputedMasks};
use crate::optimiser::{self, GroupAdam, Rates};

/// Steps between two times that losses and norms are fetched.
const STEPS_UNTIL_FETCHED: usize = 32;

/// See the module: heads of one shape at the same step.
pub(super) struct HeadGroup<'m, 'a> {
    members: Vec<&'m mut Member<'a>>,
    /// Made at the first batch.
    built: Option<(Box<AnyHead>, GroupAdam)>,
    masks: Arc<PrecomputedMasks>,
    /// The position of the next batch in the epoch, and its step.
    position: usize,
    step: u64,
    pending: Vec<PendingStep>,
    begun: Instant,
}

/// A step whose losses and gradient norms are still on the device.
struct PendingStep {
    /// Of each head, `[heads]`.
    losses: Tensor,
    /// Norms of the gradients of each head, `[heads]`.
    norms: Tensor,
    learning_rates: Vec<f64>,
    targets: u64,
    tokens: u64,
}

/// The groups of heads that can be computed as one: of one shape, and at the same step.
pub(super) fn by_shape<'m, 'a>(members: Vec<&'m mut Member<'a>>) -> Vec<HeadGroup<'m, 'a>> {
    let mut groups: Vec<HeadGroup<'m, 'a>> = Vec::new();
    for member in members {
        let own = &member.training;
        let most = own.head.options().most_as_one();
        let open = |group: &&mut HeadGroup<'m, 'a>| {
            let same = |other: &&mut Member<'a>| {
                other.training.head.options() == own.head.options()
                    && (group.position, group.step) == (own.state.position, own.state.step)
            };
            group.members.len() < most && group.members.first().is_some_and(same)
        };
        match groups.iter_mut().find(open) {
            Some(group) => group.members.push(member),
            None => groups.push(HeadGroup {
                position: own.state.position,
                step: own.state.step,
                members: vec![member],
                built: None,
                masks: Arc::new(PrecomputedMasks::new(Vec::new())),
                pending: Vec::new(),
                begun: Instant::now(),
            }),
        }
    }
    for group in &mut groups {
        let members = group.members.iter();
        let seeds = members.map(|member| member.training.settings.seed);
        group.masks = Arc::new(PrecomputedMasks::new(seeds.collect()));
    }
    groups
}

/// The heads and their optimisers as one.
fn build(
    members: &mut [&mut Member<'_>],
) -> Result<Option<(Box<AnyHead>, GroupAdam)>, TrainingError> {
    let Some(first) = members.first().map(|member| &*member.training.head) else {
        return Ok(None);
    };
    let names = first.parameters().iter().map(|(name, _)| name);
    let idle: BTreeSet<String> = names.filter(|name| first.is_idle(name)).cloned().collect();
    let options = first.options().clone();
    let mut parts = Vec::new();
    for member in members {
        let training = &mut member.training;
        parts.push(optimiser::Member {
            parameters: training.head.parameters(),
            optimiser: &mut training.optimiser,
        });
    }
    let optimiser = GroupAdam::from_members(&mut parts, |name| idle.contains(name))?;
    let head = head::build_group(&options, optimiser.device(), optimiser.parameters()?)?;
    Ok(Some((head, optimiser)))
}

impl<'m, 'a> HeadGroup<'m, 'a> {
    /// Learns from a batch if it is the next one of these heads.
    pub(super) fn learn(
        &mut self,
        batch: &LabelledBatch<'_>,
        progress: &Progress,
    ) -> Result<ControlFlow<()>, TrainingError> {
        if self
            .members
            .iter()
            .any(|member| member.training.stop.stopped())
        {
            return Ok(ControlFlow::Break(()));
        }
        if batch.index == self.position {
            self.step(batch)?;
            self.position += 1;
            self.step += 1;
        }
        if self.pending.len() >= STEPS_UNTIL_FETCHED {
            self.fetch(progress)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn step(&mut self, batch: &LabelledBatch<'_>) -> Result<(), TrainingError> {
        if self.built.is_none() {
            self.built = build(&mut self.members)?;
        }
        let Some((head, optimiser)) = &mut self.built else {
            return Ok(());
        };
        let targets = labelled(batch);
        let trainings = || self.members.iter().map(|member| &member.training);
        let dropout = Dropout::precomputed(&self.masks, self.step);
        let rates = trainings().map(|one| {
            let size = one.schedule.at(self.step);
            Rates {
                learning_rate: size.learning_rate,
                beta1: size.beta1,
                largest_norm: one.largest_norm(),
            }
        });
        let rates: Vec<Rates> = rates.collect();
        let learned = head.learn(&batch.activations, &batch.targets, Some(dropout))?;
        let losses = learned.loss.f_detach()?.f_view([-1])?;
        let norms = if targets > 0 {
            for member in &mut self.members {
                member.training.optimiser.count_step();
            }
            optimiser.step_in_pieces(&learned.gradients, &rates)?
        } else {
            losses.f_zeros_like()?
        };
        self.pending.push(PendingStep {
            losses,
            norms,
            learning_rates: rates.iter().map(|rates| rates.learning_rate).collect(),
            targets,
            tokens: batch.activations.tokens() as u64,
        });
        Ok(())
    }

    /// Fetches losses and norms of the last steps and records them with each head. A head whose loss is
    /// NaN or infinite ends alone.
    fn fetch(&mut self, progress: &Progress) -> Result<(), TchError> {
        let pending = std::mem::take(&mut self.pending);
        let values = pending.iter().flat_map(|step| [&step.losses, &step.norms]);
        let values: Vec<&Tensor> = values.collect();
        if values.is_empty() {
            return Ok(());
        }
        let values = memory::with_values(&Tensor::f_cat(&values, 0)?, <[f32]>::to_vec)?;
        let heads = self.members.len();
        for (step, values) in pending.iter().zip(values.chunks_exact(2 * heads)) {
            for (place, member) in self.members.iter_mut().enumerate() {
                if !member.is_running() {
                    continue;
                }
                let measured = Measured {
                    loss: f64::from(values[place]),
                    gradient_norm: f64::from(values[heads + place]),
                    learning_rate: step.learning_rates[place],
                    targets: step.targets,
                    tokens: step.tokens,
                };
                let training = &mut member.training;
                let recorded = training
                    .check(&measured)
                    .and_then(|()| training.record(&measured, progress));
                training.state.position += 1;
                member.end_on_error(recorded);
            }
        }
        Ok(())
    }

    /// Records the last steps and gives the heads back, each with its share of the time. What failed for
    /// the group failed for each head.
    pub(super) fn into_members(
        mut self,
        result: Result<(), TrainingError>,
        progress: &Progress,
    ) -> Vec<&'m mut Member<'a>> {
        let result = result.and_then(|()| Ok(self.fetch(progress)?));
        #[expect(clippy::cast_precision_loss, reason = "at most a few heads")]
        let seconds = self.begun.elapsed().as_secs_f64() / self.members.len() as f64;
        for member in &mut self.members {
            member.training.state.sums.seconds += seconds;
            if let (Err(error), true) = (&result, member.is_running()) {
                let failed = member.training.failed(error);
                member.end_on_error::<()>(Err(failed));
            }
        }
        self.members
    }
}
