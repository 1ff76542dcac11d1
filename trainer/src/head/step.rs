//! What all heads do alike: read the layers, compute features, pool them, classify, and take the gradient back.
//!
//! The gradient is cut in two where the layers are summed up: libtorch takes it from the loss to the sums, a
//! kernel from the sums to the weights of the layers, libtorch again from there to the parameters behind the weights. On
//! a device the sums are libtorch's too, and nothing is cut.

use tch::{Device, Kind, Reduction, TchError, Tensor};

use super::parameters::size;
use super::tokens::indices;
use super::{Dropout, Head, HeadError, Level, Losses, NO_LABEL, Reading, Tokens};
use crate::activations::Batch;
use crate::activations::memory::upload;

/// See [`Head::logits`].
pub(super) fn logits<H: Head + ?Sized>(head: &H, batch: &Batch<'_>) -> Result<Tensor, HeadError> {
    tch::no_grad(|| {
        let common = head.common();
        let tokens = Tokens::of(batch, None, &common.options, common.device)?;
        let read = match head.read(&tokens)? {
            Reading::Weighted(weights) => tokens.weighted_sums(&weights)?,
            Reading::Layers(chosen) => tokens.gathered(&chosen)?,
        };
        let features = head.features(&read, &tokens, None)?;
        let features = match common.options.level {
            Level::Token => features,
            Level::Sequence => sentence_means(&features, batch)?,
        };
        Ok(common.classifier.forward(&features)?)
    })
}

/// See [`Head::losses_and_gradients`].
pub(super) fn losses_and_gradients<H: Head + ?Sized>(
    head: &H,
    batch: &Batch<'_>,
    targets: &[i64],
    dropout: Option<&Dropout>,
) -> Result<Losses, HeadError> {
    let common = head.common();
    let labelled = labelled(head, batch, targets)?;
    let parameters: Vec<&Tensor> = common.parameters.iter().map(|(_, tensor)| tensor).collect();
    if labelled.is_empty() {
        return Ok(Losses {
            loss: Tensor::f_zeros(common.classifier.heads(), (Kind::Float, common.device))?,
            gradients: parameters.iter().map(|_| None).collect(),
        });
    }

    // Tokens without a label take part only where the others look at them.
    let only_labelled = common.options.level == Level::Token && !head.mixes_tokens();
    let computed = only_labelled.then_some(labelled.as_slice());
    let tokens = Tokens::of(batch, computed, &common.options, common.device)?;
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
        Level::Sequence => sentence_means(&features, batch)?,
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
    let loss = cross_entropy(&logits, &classes, size(labelled.len()))?;

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

/// The mean cross-entropy of logits `[rows, classes]` over those of the classes `[rows]` that are labels, so many; that of each
/// head `[heads]` for logits `[heads, rows, classes]`.
fn cross_entropy(logits: &Tensor, classes: &Tensor, labels: i64) -> Result<Tensor, TchError> {
    let &[heads, rows, _] = logits.size().as_slice() else {
        return logits.f_cross_entropy_loss::<&Tensor>(
            classes,
            None,
            Reduction::Mean,
            NO_LABEL,
            0.0,
        );
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

/// The places of targets that are labels, all checked.
fn labelled<H: Head + ?Sized>(
    head: &H,
    batch: &Batch<'_>,
    targets: &[i64],
) -> Result<Vec<usize>, HeadError> {
    let expected = match head.options().level {
        Level::Token => batch.tokens(),
        Level::Sequence => batch.pool().map_or(batch.sequences(), |pool| {
            pool.last().map_or(0, |last| last + 1)
        }),
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
    if let Some(&got) = wrong {
        return Err(HeadError::Class { got, classes });
    }
    Ok((0..targets.len())
        .filter(|&place| targets[place] != NO_LABEL)
        .collect())
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
fn sentence_means(features: &Tensor, batch: &Batch<'_>) -> Result<Tensor, TchError> {
    if let Some(rows) = batch.device_rows() {
        return rows.layout().sentence_means(features, batch.pool());
    }
    let device: Device = features.device();
    let own: Vec<usize>;
    let pool = if let Some(pool) = batch.pool() {
        pool
    } else {
        own = (0..batch.sequences()).collect();
        &own
    };
    let sentences = pool.last().map_or(0, |last| last + 1);
    let mut counts = vec![0_f32; sentences];
    let mut sentence_of = Vec::with_capacity(batch.tokens());
    for (&sentence, pair) in pool.iter().zip(batch.offsets().windows(2)) {
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
