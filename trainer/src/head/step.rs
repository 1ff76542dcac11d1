//! What all heads do alike: read the layers, compute features, pool them, classify, and take the gradient back.
//!
//! The gradient is cut in two where the layers are summed up: libtorch takes it from the loss to the sums, a
//! kernel from the sums to the weights of the layers, libtorch again from there to the parameters behind the weights. On
//! a device the sums are libtorch's too, and nothing is cut.

use std::cell::Cell;

use rayon::prelude::*;
use tch::{Device, Kind, Reduction, TchError, Tensor};

use super::sizes::size;
use super::tokens::indices;
use super::{Dropout, Head, HeadError, Level, Losses, NO_LABEL, Reading, Tokens};
use crate::activations::memory::upload;
use crate::activations::{Batch, Part};

/// See [`Head::logits`].
pub(super) fn logits<H: Head + ?Sized>(head: &H, batch: &Batch<'_>) -> Result<Tensor, HeadError> {
    let parts = in_parts(head, batch, |head, part| {
        tch::no_grad(|| logits_of(head, batch, part))
    })?;
    Ok(Tensor::f_cat(&parts, -2)?)
}

fn logits_of<H: Head + ?Sized>(
    head: &H,
    batch: &Batch<'_>,
    part: &Part,
) -> Result<Tensor, HeadError> {
    let common = head.common();
    let tokens = Tokens::of(batch, part, None, &common.options, common.device)?;
    let read = match head.read(&tokens)? {
        Reading::Weighted(weights) => tokens.weighted_sums(&weights)?,
        Reading::Layers(chosen) => tokens.gathered(&chosen)?,
    };
    let features = head.features(&read, &tokens, None)?;
    let features = match common.options.level {
        Level::Token => features,
        Level::Sentence => sentence_means(&features, batch, part)?,
    };
    Ok(common.classifier.forward(&features)?)
}

/// See [`Head::losses_and_gradients`].
pub(super) fn losses_and_gradients<H: Head + ?Sized>(
    head: &H,
    batch: &Batch<'_>,
    targets: &[i64],
    dropout: Option<&Dropout>,
) -> Result<Losses, HeadError> {
    check(head, batch, targets)?;
    let labels = count(targets);
    let parts = in_parts(head, batch, |head, part| {
        let rows = match head.options().level {
            Level::Token => part.tokens(),
            Level::Sentence => part.sentences(),
        };
        let before = if only_labelled(head) {
            count(&targets[..rows.start])
        } else {
            part.tokens().start
        };
        let dropout = dropout.map(|dropout| dropout.starting_at(before));
        let targets = (&targets[rows.clone()], labels);
        of_part(head, batch, part, targets, dropout.as_ref())
    })?;
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else {
        return no_losses(head);
    };
    parts.try_fold(first, |mut sum, part| {
        sum.loss = sum.loss.f_add(&part.loss)?;
        for (sum, gradient) in sum.gradients.iter_mut().zip(part.gradients) {
            match (sum.as_mut(), gradient) {
                (Some(sum), Some(gradient)) => _ = sum.f_add_(&gradient)?,
                (None, gradient) => *sum = gradient,
                (Some(_), None) => {}
            }
        }
        Ok(sum)
    })
}

/// Where there is nothing to learn from.
fn no_losses<H: Head + ?Sized>(head: &H) -> Result<Losses, HeadError> {
    let common = head.common();
    Ok(Losses {
        loss: Tensor::f_zeros(common.classifier.heads(), (Kind::Float, common.device))?,
        gradients: common.parameters.iter().map(|_| None).collect(),
    })
}

/// What a part adds to the mean loss over so many `labels` of the batch, and its gradients.
fn of_part<H: Head + ?Sized>(
    head: &H,
    batch: &Batch<'_>,
    part: &Part,
    (targets, labels): (&[i64], usize),
    dropout: Option<&Dropout>,
) -> Result<Losses, HeadError> {
    let common = head.common();
    let labelled = labelled(targets);
    if labelled.is_empty() {
        return no_losses(head);
    }
    let parameters: Vec<&Tensor> = common.parameters.iter().map(|(_, tensor)| tensor).collect();
    let only_labelled = only_labelled(head);
    let computed = only_labelled.then_some(labelled.as_slice());
    let tokens = Tokens::of(batch, part, computed, &common.options, common.device)?;
    let reading = head.read(&tokens)?;
    // On a device autograd reaches through the sums.
    let cut = match &reading {
        Reading::Weighted(weights) if tokens.layout().is_none() => Some(weights),
        _ => None,
    };
    let read = match &reading {
        Reading::Weighted(weights) => tokens.weighted_sums(weights)?,
        Reading::Layers(chosen) => tokens.gathered(chosen)?,
    };
    let read = match cut {
        Some(_) => read.f_set_requires_grad(true)?,
        None => read,
    };
    let features = head.features(&read, &tokens, dropout)?;
    let features = match common.options.level {
        Level::Token => features,
        Level::Sentence => sentence_means(&features, batch, part)?,
    };
    // Where classifying all costs less than picking the labelled ones, the loss alone leaves out the rest.
    let (features, places) = if only_labelled {
        (features, Some(&labelled))
    } else if common.classifier.is_merged(size(targets.len())) {
        (features, None)
    } else {
        (
            features.f_index_select(-2, &indices(&labelled, common.device)?)?,
            Some(&labelled),
        )
    };
    let classes = match places {
        Some(places) => Tensor::f_from_slice(
            &places
                .iter()
                .map(|&place| targets[place])
                .collect::<Vec<_>>(),
        )?,
        None => Tensor::f_from_slice(targets)?,
    };
    let classes = upload(&classes, common.device)?;
    let logits = common.classifier.forward(&features)?;
    let loss = cross_entropy(&logits, &classes, size(labels))?;

    let mut gradients = backward(&loss.f_sum(Kind::Float)?, &parameters, cut.map(|_| &read))?;
    if let Some(weights) = cut
        && let Some(by_sums) = gradients.pop().flatten()
    {
        let by_weights = tokens.weight_gradients(&by_sums)?;
        let product = weights.f_mul(&by_weights)?.f_sum(Kind::Float)?;
        for (gradient, further) in gradients
            .iter_mut()
            .zip(backward(&product, &parameters, None)?)
        {
            *gradient = gradient.take().or(further);
        }
    }
    Ok(Losses { loss, gradients })
}

/// The cross-entropy of logits `[rows, classes]`, summed up over those of the classes `[rows]` that are labels and divided
/// by `labels`; that of each head `[heads]` for logits `[heads, rows, classes]`.
fn cross_entropy(logits: &Tensor, classes: &Tensor, labels: i64) -> Result<Tensor, TchError> {
    let &[heads, rows, _] = logits.size().as_slice() else {
        return logits
            .f_cross_entropy_loss::<&Tensor>(classes, None, Reduction::Sum, NO_LABEL, 0.0)?
            .f_div_scalar(labels);
    };
    let losses = logits.f_flatten(0, 1)?.f_cross_entropy_loss::<&Tensor>(
        &classes.f_repeat([heads])?,
        None,
        Reduction::None,
        NO_LABEL,
        0.0,
    )?;
    let sums = losses.f_view([heads, rows])?;
    sums.f_sum_dim_intlist([1].as_slice(), false, Kind::Float)?
        .f_div_scalar(labels)
}

/// Computes the parts of a batch, at the same time where there are threads for it; results are in their order.
fn in_parts<H: Head + ?Sized, R: Send>(
    head: &H,
    batch: &Batch<'_>,
    compute: impl Fn(&H, &Part) -> Result<R, HeadError> + Sync,
) -> Result<Vec<R>, HeadError> {
    if let [whole] = batch.parts() {
        alone();
        return Ok(vec![compute(head, whole)?]);
    }
    let head = Read(head);
    let parts = batch.parts().par_iter();
    let of_part = |part| {
        alone();
        compute(head.get(), part)
    };
    parts.map(of_part).collect()
}

/// Lets libtorch compute on the calling thread alone. Its number of threads belongs to the thread that sets it: another
/// one's products would call up a team of their own.
fn alone() {
    thread_local!(static SET: Cell<bool> = const { Cell::new(false) });
    if !SET.replace(true) {
        tch::set_num_threads(1);
    }
}

/// A head that several threads read.
struct Read<'h, H: ?Sized>(&'h H);

#[expect(
    unsafe_code,
    reason = "tensors are not marked as readable from several threads, though they are"
)]
// SAFETY: while parts are computed nobody writes to a parameter: the optimiser's step borrows the head anew, after all
// of them have ended. libtorch counts references atomically, its operations read their inputs from any thread, and its
// autograd allows graphs over the same leaves in several threads (gradients are returned, not gathered in the leaves).
unsafe impl<H: Head + ?Sized> Sync for Read<'_, H> {}

impl<'h, H: ?Sized> Read<'h, H> {
    const fn get(&self) -> &'h H {
        self.0
    }
}

/// Whether tokens without a label need not be computed: where the others do not look at them.
fn only_labelled<H: Head + ?Sized>(head: &H) -> bool {
    head.options().level == Level::Token && !head.mixes_tokens()
}

/// Refuses targets that do not fit head and batch.
fn check<H: Head + ?Sized>(head: &H, batch: &Batch<'_>, targets: &[i64]) -> Result<(), HeadError> {
    let expected = match head.options().level {
        Level::Token => batch.tokens(),
        Level::Sentence => batch.whole().sentences().len(),
    };
    if targets.len() != expected {
        return Err(HeadError::Targets {
            expected,
            got: targets.len(),
        });
    }
    let classes = head.options().classes;
    let wrong = targets
        .iter()
        .find(|target| **target != NO_LABEL && !(0..size(classes)).contains(*target));
    match wrong {
        Some(&got) => Err(HeadError::Class { got, classes }),
        None => Ok(()),
    }
}

/// How many targets are labels.
fn count(targets: &[i64]) -> usize {
    targets.iter().filter(|target| **target != NO_LABEL).count()
}

/// The places of targets that are labels.
fn labelled(targets: &[i64]) -> Vec<usize> {
    (0..targets.len())
        .filter(|&place| targets[place] != NO_LABEL)
        .collect()
}

/// Gradients of a scalar by `parameters`, and by `more` after them.
fn backward(
    scalar: &Tensor,
    parameters: &[&Tensor],
    more: Option<&Tensor>,
) -> Result<Vec<Option<Tensor>>, TchError> {
    let inputs: Vec<&Tensor> = parameters.iter().copied().chain(more).collect();
    let gradients = Tensor::f_run_backward(&[scalar], &inputs, false, false)?;
    Ok(gradients
        .into_iter()
        .map(|gradient| gradient.defined().then_some(gradient))
        .collect())
}

/// Mean features `[sentences, width]` of each sentence's tokens.
fn sentence_means(features: &Tensor, batch: &Batch<'_>, part: &Part) -> Result<Tensor, TchError> {
    if let Some(rows) = batch.device_rows() {
        return rows.layout().sentence_means(features, batch.pool());
    }
    let device: Device = features.device();
    let own: Vec<usize>;
    let pool = if let Some(pool) = part.pool() {
        pool
    } else {
        own = (0..part.sequences()).collect();
        &own
    };
    let sentences = pool.last().map_or(0, |last| last + 1);
    let mut counts = vec![0_f32; sentences];
    let mut sentence_of = Vec::with_capacity(part.tokens().len());
    for (&sentence, pair) in pool.iter().zip(part.offsets().windows(2)) {
        for _ in pair[0]..pair[1] {
            sentence_of.push(size(sentence));
            counts[sentence] += 1.0;
        }
    }
    for count in &mut counts {
        *count = count.max(1.0);
    }
    let sentence_of = Tensor::f_from_slice(&sentence_of)?.f_to_device(device)?;
    let counts = Tensor::f_from_slice(&counts)?
        .f_to_device(device)?
        .f_unsqueeze(1)?;
    let (_, width) = features.size2()?;
    let sums = Tensor::f_zeros([size(sentences), width], (Kind::Float, device))?.f_index_add(
        0,
        &sentence_of,
        features,
    )?;
    sums.f_div(&counts)
}
