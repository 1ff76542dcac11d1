//! Heads of one shape that see the same batches on a device are computed as one: a step of eight heads asks the graphics card
//! for as many operations as that of a single one. Each head keeps its own dropout, learning rate, clipping and state, and gets
//! the numbers that it would get alone, but for rounding. What a step showed is fetched once in a while: a card that is asked
//! for a number has nothing to do until the processor has it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use shared::terminal::Progress;
use tch::{TchError, Tensor};

use super::together::Member;
use super::{Measured, TrainingError, labelled};
use crate::activations::memory;
use crate::batches::Prepared;
use crate::head::{self, Ahead, AnyHead, Dropout};
use crate::optimiser::{self, Rates, Stacked};

/// Steps between two looks at what they showed.
const STEPS_UNSEEN: usize = 32;

/// Heads of one shape at the same step.
pub(super) struct Stack<'m, 'a> {
    members: Vec<&'m mut Member<'a>>,
    /// Made at the first batch.
    built: Option<(Box<AnyHead>, Stacked)>,
    ahead: Arc<Ahead>,
    /// The place of the next batch in the epoch, and its step.
    position: usize,
    step: u64,
    unseen: Vec<Unseen>,
    begun: Instant,
}

/// A step whose losses and gradient norms are still on the device.
struct Unseen {
    /// Those of each head, and the norms of its gradients, `[heads]` each.
    losses: Tensor,
    norms: Tensor,
    learning_rates: Vec<f64>,
    targets: u64,
    tokens: u64,
}

/// Puts together the heads that can be computed as one: of one shape, and at the same step.
pub(super) fn alike<'m, 'a>(members: Vec<&'m mut Member<'a>>) -> Vec<Stack<'m, 'a>> {
    let mut stacks: Vec<Stack<'m, 'a>> = Vec::new();
    for member in members {
        let own = &member.training;
        let most = own.head.options().most_as_one();
        let open = |stack: &&mut Stack<'m, 'a>| {
            let same = |other: &&mut Member<'a>| {
                other.training.head.options() == own.head.options()
                    && (stack.position, stack.step) == (own.state.position, own.state.step)
            };
            stack.members.len() < most && stack.members.first().is_some_and(same)
        };
        match stacks.iter_mut().find(open) {
            Some(stack) => stack.members.push(member),
            None => stacks.push(Stack {
                position: own.state.position,
                step: own.state.step,
                members: vec![member],
                built: None,
                ahead: Arc::new(Ahead::new(Vec::new())),
                unseen: Vec::new(),
                begun: Instant::now(),
            }),
        }
    }
    for stack in &mut stacks {
        let members = stack.members.iter();
        let seeds = members.map(|member| member.training.settings.seed);
        stack.ahead = Arc::new(Ahead::new(seeds.collect()));
    }
    stacks
}

/// The heads and their optimisers as one.
fn build(
    members: &mut [&mut Member<'_>],
) -> Result<Option<(Box<AnyHead>, Stacked)>, TrainingError> {
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
    let optimiser = Stacked::of(&mut parts, |name| idle.contains(name))?;
    let head = head::build_stack(&options, optimiser.device(), optimiser.parameters()?)?;
    Ok(Some((head, optimiser)))
}

impl<'m, 'a> Stack<'m, 'a> {
    /// Learns from a batch if it is the one that they wait for.
    pub(super) fn take(
        &mut self,
        batch: &Prepared<'_>,
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
        if self.unseen.len() >= STEPS_UNSEEN {
            self.look(progress)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn step(&mut self, batch: &Prepared<'_>) -> Result<(), TrainingError> {
        if self.built.is_none() {
            self.built = build(&mut self.members)?;
        }
        let Some((head, optimiser)) = &mut self.built else {
            return Ok(());
        };
        let targets = labelled(batch);
        let trainings = || self.members.iter().map(|member| &member.training);
        let dropout = Dropout::of(&self.ahead, self.step);
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
        self.unseen.push(Unseen {
            losses,
            norms,
            learning_rates: rates.iter().map(|rates| rates.learning_rate).collect(),
            targets,
            tokens: batch.activations.tokens() as u64,
        });
        Ok(())
    }

    /// Fetches what the last steps showed and records it with each head. A head whose loss is no number ends alone.
    fn look(&mut self, progress: &Progress) -> Result<(), TchError> {
        let unseen = std::mem::take(&mut self.unseen);
        let values = unseen.iter().flat_map(|step| [&step.losses, &step.norms]);
        let values: Vec<&Tensor> = values.collect();
        if values.is_empty() {
            return Ok(());
        }
        let values = memory::with_values(&Tensor::f_cat(&values, 0)?, <[f32]>::to_vec)?;
        let heads = self.members.len();
        for (step, values) in unseen.iter().zip(values.chunks_exact(2 * heads)) {
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
                member.keep(recorded);
            }
        }
        Ok(())
    }

    /// Records the last steps and gives the heads back, each with its share of the time. What failed for all, failed for each.
    pub(super) fn end(
        mut self,
        taken: Result<(), TrainingError>,
        progress: &Progress,
    ) -> Vec<&'m mut Member<'a>> {
        let taken = taken.and_then(|()| Ok(self.look(progress)?));
        #[expect(clippy::cast_precision_loss, reason = "at most a few heads")]
        let seconds = self.begun.elapsed().as_secs_f64() / self.members.len() as f64;
        for member in &mut self.members {
            member.training.state.sums.seconds += seconds;
            if let (Err(error), true) = (&taken, member.is_running()) {
                member.keep::<()>(Err(TrainingError::OfAll {
                    why: error.to_string(),
                    status: error.exit_status(),
                }));
            }
        }
        self.members
    }
}
