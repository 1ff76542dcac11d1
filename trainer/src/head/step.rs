//! The forward and backward pass that all heads share: read the layers, compute features, average them
//! over sentences where these are classified, classify, and take the gradient back.
//!
//! On the CPU the backward pass is in three pieces, because the sums over layers are computed by a
//! kernel: libtorch takes the gradient from the loss to the sums, a kernel from the sums to the weights
//! of the layers, and libtorch again from there to the parameters behind the weights. On a device the
//! sums are libtorch's operations too, and autograd does all of it.

use std::cell::Cell;

use rayon::prelude::*;
use shared::heads::Subword;
use shared::tasks::{NO_TARGET, Output, target_number};
use tch::{Device, Kind, TchError, Tensor};

use super::classifier::Classifier;
use super::objective::{Objective, Targets};
use super::parser::{Parser, Trees};
use super::sizes::size;
use super::tokens::indices;
use super::words::{Rows, Words};
use super::{Dropout, Head, HeadError, Learned, Level, OutputLayer, Reading, Tokens};
use crate::activations::device::Layout;
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
    let tokens = Tokens::new(batch, part, None, &common.options, common.device)?;
    let read = match head.read(&tokens)? {
        Reading::Weighted(weights) => tokens.weighted_sums(&weights)?,
        Reading::Layers(chosen) => tokens.gathered(&chosen)?,
    };
    let features = head.features(&read, &tokens, None)?;
    let subword = common.options.subword;
    let vectors = || {
        let words = Words::all(batch, part, subword);
        let rows = padding(head, &tokens).map_or(Rows::Tokens, Rows::Padded);
        let vectors = words.vectors(&features, rows, tokens.layout().is_some())?;
        Ok::<_, TchError>((words, vectors))
    };
    let classifier = match &common.output {
        OutputLayer::Classes(classifier) => classifier,
        OutputLayer::Trees(parser) => {
            let (words, vectors) = vectors()?;
            return Ok(words.at_firsts(&parser.projected(&vectors)?)?);
        }
    };
    if common.options.level == Level::Sentence {
        let means = sentence_means(head, &features, batch, part)?;
        return Ok(classifier.forward(&means)?);
    }
    if subword != Subword::First {
        let (words, vectors) = vectors()?;
        return Ok(words.at_firsts(&classifier.forward(&vectors)?)?);
    }
    let logits = classifier.forward(&features)?;
    match padding(head, &tokens) {
        Some(layout) => Ok(layout.pack(&logits)?),
        None => Ok(logits),
    }
}

/// The layout of features that are in padded places.
fn padding<'b, H: Head + ?Sized>(head: &H, tokens: &Tokens<'b>) -> Option<&'b Layout> {
    tokens.layout().filter(|_| head.mixes_tokens())
}

/// See [`Head::learn`].
pub(super) fn learn<H: Head + ?Sized>(
    head: &H,
    batch: &Batch<'_>,
    targets: &[i64],
    dropout: Option<&Dropout>,
) -> Result<Learned, HeadError> {
    check(head, batch, targets)?;
    let labels = count(targets);
    let parts = in_parts(head, batch, |head, part| {
        let rows = match head.options().level {
            Level::Token => part.tokens().clone(),
            Level::Sentence => {
                let (rows, width) = (part.sentences(), targets_of_row(head));
                rows.start * width..rows.end * width
            }
        };
        let before = if only_labelled(head) {
            computed_before(head, batch, &targets[..rows.start])
        } else {
            part.tokens().start
        };
        let dropout = dropout.map(|dropout| dropout.starting_at(before));
        let targets = (&targets[rows.clone()], labels);
        learn_part(head, batch, part, targets, dropout.as_ref())
    })?;
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else {
        return no_losses(head);
    };
    parts.try_fold(first, |mut sum, part| {
        sum.loss = sum.loss.f_add(&part.loss)?;
        for (sum, gradient) in sum.gradients.iter_mut().zip(part.gradients) {
            if sum.is_empty() {
                *sum = gradient;
                continue;
            }
            for (sum, gradient) in sum.iter_mut().zip(gradient) {
                let _ = sum.f_add_(&gradient)?;
            }
        }
        Ok(sum)
    })
}

/// The gradient of a whole parameter, whose rows are counted by this `dimension`, from its pieces;
/// zeros where there are none.
pub(super) fn whole(
    mut pieces: Vec<Tensor>,
    parameter: &Tensor,
    dimension: usize,
) -> Result<Option<Tensor>, TchError> {
    let mut missing = parameter.size();
    if let Some(missing) = missing.get_mut(dimension) {
        *missing -= pieces
            .iter()
            .map(|piece| piece.size()[dimension])
            .sum::<i64>();
        if pieces.len() < 2 && (pieces.is_empty() || *missing == 0) {
            return Ok(pieces.pop());
        }
    }
    pieces.push(Tensor::f_zeros(missing, (Kind::Float, parameter.device()))?);
    Tensor::f_cat(&pieces, size(dimension)).map(Some)
}

/// The loss and gradients of what has no label.
fn no_losses<H: Head + ?Sized>(head: &H) -> Result<Learned, HeadError> {
    let common = head.common();
    Ok(Learned {
        loss: Tensor::f_zeros(common.output.heads(), (Kind::Float, common.device))?,
        gradients: common.parameters.iter().map(|_| Vec::new()).collect(),
    })
}

/// What a part adds to the mean loss over so many `labels` of the batch, and its gradients.
fn learn_part<H: Head + ?Sized>(
    head: &H,
    batch: &Batch<'_>,
    part: &Part,
    (targets, labels): (&[i64], usize),
    dropout: Option<&Dropout>,
) -> Result<Learned, HeadError> {
    let common = head.common();
    let labelled = labelled(targets);
    if labelled.is_empty() {
        return no_losses(head);
    }
    let leaves: Vec<&Tensor> = common.leaves.iter().flatten().collect();
    let only_labelled = only_labelled(head);
    let (level, subword) = (common.options.level, common.options.subword);
    let words = match &common.output {
        OutputLayer::Trees(_) => Some(Words::all(batch, part, subword)),
        OutputLayer::Classes(_) if level == Level::Sentence || subword == Subword::First => None,
        OutputLayer::Classes(_) => Some(Words::labelled(batch, part, targets, subword)),
    };
    let parser_dropout = dropout.map(|dropout| {
        let before = words_before(batch, part.tokens().start);
        dropout.starting_at(before).step_by_step()
    });
    let counting = words.as_ref().map(Words::computed);
    let counting = counting.as_ref().unwrap_or(&labelled);
    let computed = only_labelled.then_some(counting.as_slice());
    let tokens = Tokens::new(batch, part, computed, &common.options, common.device)?;
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
    // Heads that weigh layers compute all tokens on a device: to pick some of the sums would add up
    // their gradients by atomic instructions.
    let picked =
        only_labelled && (tokens.layout().is_none() || matches!(reading, Reading::Layers(_)));
    let labelled_dropout;
    let dropout = match dropout {
        Some(dropout) if only_labelled && !picked => {
            labelled_dropout = dropout.for_labelled(targets, counting, common.device)?;
            Some(&labelled_dropout)
        }
        other => other,
    };
    let features = head.features(&read, &tokens, dropout)?;
    let learned = Learning {
        tokens: &tokens,
        batch,
        part,
        targets,
        labels,
        labelled: &labelled,
        words: words.as_ref(),
        picked,
    };
    let objective = match &common.output {
        OutputLayer::Classes(classifier) => learned.classes(head, classifier, features)?,
        OutputLayer::Trees(parser) => {
            learned.trees(head, parser, &features, parser_dropout.as_ref())?
        }
    };
    let mut gradients = backward(&objective.differentiable, &leaves, cut.map(|_| &read))?;
    if let Some(weights) = cut
        && let Some(by_sums) = gradients.pop().flatten()
    {
        let by_weights = tokens.weight_gradients(&by_sums)?;
        let product = weights.f_mul(&by_weights)?.f_sum(Kind::Float)?;
        for (gradient, further) in gradients.iter_mut().zip(backward(&product, &leaves, None)?) {
            *gradient = gradient.take().or(further);
        }
    }
    let mut gradients = gradients.into_iter();
    let pieces = common.leaves.iter().map(|leaves| {
        let own = gradients.by_ref().take(leaves.len());
        own.flatten().collect()
    });
    let mut gradients: Vec<Vec<Tensor>> = pieces.collect();
    let others = objective.by_others.into_iter().rev();
    for (pieces, gradient) in gradients.iter_mut().rev().zip(others) {
        *pieces = vec![gradient];
    }
    Ok(Learned {
        loss: objective.loss,
        gradients,
    })
}

/// A part of a batch from which a head learns.
struct Learning<'l, 'b> {
    tokens: &'l Tokens<'b>,
    batch: &'l Batch<'b>,
    part: &'l Part,
    /// Those of the part.
    targets: &'l [i64],
    /// Labels of the whole batch.
    labels: usize,
    /// The places of those of the part.
    labelled: &'l [usize],
    /// The words whose vectors are needed, where these are not those of labelled tokens.
    words: Option<&'l Words>,
    /// Whether only the tokens that count have features.
    picked: bool,
}

impl Learning<'_, '_> {
    fn on_device(&self) -> bool {
        self.tokens.layout().is_some()
    }

    /// The vectors of words.
    fn vectors<H: Head + ?Sized>(
        &self,
        head: &H,
        words: &Words,
        features: &Tensor,
    ) -> Result<Tensor, TchError> {
        let rows = match padding(head, self.tokens) {
            _ if self.picked => Rows::Computed,
            Some(layout) => Rows::Padded(layout),
            None => Rows::Tokens,
        };
        words.vectors(features, rows, self.on_device())
    }

    /// The loss of classes.
    fn classes<H: Head + ?Sized>(
        &self,
        head: &H,
        classifier: &Classifier,
        features: Tensor,
    ) -> Result<Objective, HeadError> {
        let common = head.common();
        let targets = self.targets;
        let labels_only = || self.labelled.iter().map(|&place| targets[place]).collect();
        let (features, classes) = if common.options.level == Level::Sentence {
            let means = sentence_means(head, &features, self.batch, self.part)?;
            (means, targets.to_vec())
        } else if let Some(words) = self.words {
            (self.vectors(head, words, &features)?, labels_only())
        } else if self.picked {
            (features, labels_only())
        } else if let Some(layout) = padding(head, self.tokens) {
            (features, layout.padded_targets(targets, NO_TARGET))
        } else {
            (features, targets.to_vec())
        };
        // Where classifying all costs less than picking the labelled ones, the loss alone leaves
        // out the rest.
        let is_settled = self.picked
            || self.words.is_some()
            || self.on_device()
            || common.options.output != Output::Class;
        let (features, classes) = if is_settled || classifier.is_merged(size(targets.len())) {
            (features, classes)
        } else {
            let places = indices(self.labelled, common.device)?;
            (features.f_index_select(-2, &places)?, labels_only())
        };
        let logits = classifier.forward(&features)?;
        let sentence_of = sentences_of(self.part, self.labelled);
        let targets = Targets {
            classes: &classes,
            sentence_of: &sentence_of,
            labels: self.labels,
        };
        Ok(Objective::new(common, &logits, &targets, self.on_device())?)
    }

    /// The loss of trees.
    fn trees<H: Head + ?Sized>(
        &self,
        head: &H,
        parser: &Parser,
        features: &Tensor,
        dropout: Option<&Dropout>,
    ) -> Result<Objective, HeadError> {
        let words = self.words.ok_or(HeadError::NoHeads)?;
        let sentence_of = sentences_of(self.part, words.firsts());
        let (batch, part) = (self.batch, self.part);
        let trees = Trees::new(batch, part, words.firsts(), &sentence_of, self.targets)?;
        let vectors = self.vectors(head, words, features)?;
        let loss = parser.loss(&vectors, &trees, self.labels, dropout, self.on_device())?;
        Ok(Objective {
            differentiable: loss.shallow_clone(),
            loss,
            by_others: Vec::new(),
        })
    }
}

/// How many words begin before a token of the batch.
fn words_before(batch: &Batch<'_>, token: usize) -> usize {
    let begins = |length: &&u32| **length > 0;
    let words = batch.words().map(|words| &words[..token]);
    words.map_or(token, |words| words.iter().filter(begins).count())
}

/// How many tokens are computed on whose targets these are, those of the first parts of a batch.
fn computed_before<H: Head + ?Sized>(head: &H, batch: &Batch<'_>, targets: &[i64]) -> usize {
    let subword = head.options().subword;
    if let OutputLayer::Trees(_) = &head.common().output {
        let words = batch.words().map(|words| &words[..targets.len()]);
        let count = |&length: &u32| subword.places(0..length as usize).len();
        let begun = words.map(|words| words.iter().filter(|&&length| length > 0).map(count));
        return begun.map_or(targets.len(), Iterator::sum);
    }
    let Some(words) = batch.words().filter(|_| subword == Subword::Mean) else {
        return count(targets);
    };
    let labelled = targets
        .iter()
        .zip(words)
        .filter(|(target, _)| **target != NO_TARGET);
    labelled.map(|(_, &length)| length.max(1) as usize).sum()
}

/// The sentence of each of these tokens of a part.
fn sentences_of(part: &Part, tokens: &[usize]) -> Vec<usize> {
    let ends = part.offsets().get(1..).unwrap_or_default();
    let mut sequence = 0;
    let sentence_of = |&token: &usize| {
        while ends.get(sequence).is_some_and(|&end| end <= token) {
            sequence += 1;
        }
        part.pool().map_or(sequence, |pool| pool[sequence])
    };
    tokens.iter().map(sentence_of).collect()
}

/// Computes the parts of a batch, at the same time where there are threads for it; results are in their order.
fn in_parts<H: Head + ?Sized, R: Send>(
    head: &H,
    batch: &Batch<'_>,
    compute: impl Fn(&H, &Part) -> Result<R, HeadError> + Sync,
) -> Result<Vec<R>, HeadError> {
    if let [whole] = batch.parts() {
        use_one_thread();
        return Ok(vec![compute(head, whole)?]);
    }
    let head = Read(head);
    let parts = batch.parts().par_iter();
    let in_thread = |part| {
        use_one_thread();
        compute(head.get(), part)
    };
    parts.map(in_thread).collect()
}

/// Lets libtorch compute on the calling thread alone. libtorch's number of threads is a setting of each
/// thread: a new one would start threads of its own.
fn use_one_thread() {
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
        Level::Sentence => batch.whole().sentences().len() * targets_of_row(head),
    };
    if targets.len() != expected {
        return Err(HeadError::Targets {
            expected,
            got: targets.len(),
        });
    }
    let classes = head.options().classes;
    let is_target = |target: i64| match head.options().output {
        Output::Class => (0..size(classes)).contains(&target),
        Output::Set => (0..=1).contains(&target),
        Output::Number => target_number(target).is_some(),
    };
    let wrong = targets
        .iter()
        .find(|target| **target != NO_TARGET && !is_target(**target));
    match wrong {
        Some(&got) => Err(HeadError::Class { got, classes }),
        None => Ok(()),
    }
}

/// How many targets a sentence has.
fn targets_of_row<H: Head + ?Sized>(head: &H) -> usize {
    let options = head.options();
    options.output.targets_of_row(options.classes)
}

/// How many targets are labels.
fn count(targets: &[i64]) -> usize {
    targets
        .iter()
        .filter(|target| **target != NO_TARGET)
        .count()
}

/// The places of targets that are labels.
fn labelled(targets: &[i64]) -> Vec<usize> {
    (0..targets.len())
        .filter(|&place| targets[place] != NO_TARGET)
        .collect()
}

/// Gradients of the sum of `losses` by `leaves`, and by `more` after them.
fn backward(
    losses: &Tensor,
    leaves: &[&Tensor],
    more: Option<&Tensor>,
) -> Result<Vec<Option<Tensor>>, TchError> {
    let inputs: Vec<&Tensor> = leaves.iter().copied().chain(more).collect();
    let gradients = Tensor::f_run_backward(&[losses], &inputs, false, false)?;
    Ok(gradients
        .into_iter()
        .map(|gradient| gradient.defined().then_some(gradient))
        .collect())
}

/// Mean features `[sentences, width]` of each sentence's tokens.
fn sentence_means<H: Head + ?Sized>(
    head: &H,
    features: &Tensor,
    batch: &Batch<'_>,
    part: &Part,
) -> Result<Tensor, TchError> {
    if let Some(rows) = batch.device_rows() {
        let layout = rows.layout();
        return layout.sentence_means(features, batch.pool(), head.mixes_tokens());
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
