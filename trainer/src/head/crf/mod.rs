//! A linear-chain conditional random field over the logits of a sentence's words (Lafferty et al.
//! 2001): a sequence of tags has the sum of its words' logits and of learned scores of neighbouring
//! tags as its score, and a likelihood in proportion to the exponential of that.
//!
//! The loss is minus the logarithm of the likelihood of the right tags of each sentence, summed up
//! over the sentences and divided by the batch's labelled words. It is a mean over words as
//! cross-entropy is, equal to that as long as all scores of neighbours are 0, as they are at the
//! start; so learning rates and clipping carry over. A sentence's words are those with a label, over
//! all its windows.
//!
//! Gradients are written out, not left to autograd: they are the likelihoods of tags and of pairs of
//! tags, which a second pass over the words gives. So a batch takes one short loop on the CPU, and on
//! a device four operations for the longest sentence's every word.

mod device;
mod field;
#[cfg(test)]
mod tests;

use shared::heads::crf::Parameters;
use tch::{Device, TchError, Tensor};

pub(crate) use field::Field;
use field::Gradients;

use super::parameters::Builder;
use crate::activations::memory;

/// The scores of neighbouring tags; a dimension `heads` stands in front of those of several heads.
pub(crate) struct Crf {
    /// `[classes, classes]`, from one to the next.
    transitions: Tensor,
    /// `[classes]`
    start: Tensor,
    /// `[classes]`
    end: Tensor,
}

/// Words with their right tags, sentence by sentence.
pub(super) struct Sentences {
    /// For each word its row among the logits, and its class.
    words: Vec<(usize, usize)>,
    /// Words `offsets[i]..offsets[i + 1]` are sentence `i`'s.
    offsets: Vec<usize>,
    /// What the sum of the losses is divided by.
    labels: usize,
}

impl Sentences {
    /// The rows of logits that have a class, which is not negative, and the sentence of each of them;
    /// `labels` are there in the whole batch.
    pub(super) fn new(classes: &[i64], sentence_of: &[usize], labels: usize) -> Self {
        let rows = classes.iter().enumerate();
        let words = rows.filter_map(|(row, &class)| Some((row, usize::try_from(class).ok()?)));
        let mut offsets = vec![0];
        for (word, pair) in sentence_of.windows(2).enumerate() {
            if pair[0] != pair[1] {
                offsets.push(word + 1);
            }
        }
        if !sentence_of.is_empty() {
            offsets.push(sentence_of.len());
        }
        Self {
            words: words.collect(),
            offsets,
            labels,
        }
    }

    /// The words of each sentence.
    fn iter(&self) -> impl Iterator<Item = &[(usize, usize)]> {
        let pairs = self.offsets.windows(2);
        pairs.map(|pair| &self.words[pair[0]..pair[1]])
    }

    /// One over the number of labels.
    #[expect(clippy::cast_precision_loss, reason = "labels of a batch")]
    fn weight(&self) -> f64 {
        1.0 / self.labels.max(1) as f64
    }
}

/// The loss of some sentences and its gradients.
pub(super) struct Likelihood {
    /// `[]`, or `[heads]`.
    pub(super) loss: Tensor,
    /// By the logits, shaped like these.
    pub(super) by_logits: Tensor,
    /// By the parameters, in their order.
    pub(super) by_parameters: [Tensor; 3],
}

impl Crf {
    /// Adds the parameters of a field.
    pub(super) fn new(builder: &mut Builder, parameters: &Parameters) -> Result<Self, TchError> {
        Ok(Self {
            transitions: builder.add(&parameters.transitions)?,
            start: builder.add(&parameters.start)?,
            end: builder.add(&parameters.end)?,
        })
    }

    /// The loss of sentences with logits `[.., rows, classes]` and its gradients; on a device, with
    /// `on_device`, by operations of libtorch.
    pub(super) fn likelihood(
        &self,
        logits: &Tensor,
        sentences: &Sentences,
        on_device: bool,
    ) -> Result<Likelihood, TchError> {
        if on_device {
            return tch::no_grad(|| device::likelihood(self, logits, sentences));
        }
        let mut fields = self.fields(1)?;
        let Some(field) = fields.pop() else {
            return Err(TchError::Shape("a field of one head".to_owned()));
        };
        let classes = field.classes();
        let mut sums = Gradients::zeros(classes);
        let (mut loss, weight) = (0.0, sentences.weight());
        let by_logits = memory::with_values(logits, |values| {
            memory::filled(&logits.size(), Device::Cpu, |by_logits| {
                by_logits.fill(0.0);
                for words in sentences.iter() {
                    let row = |row: usize| &values[row * classes..(row + 1) * classes];
                    let rows: Vec<&[f32]> = words.iter().map(|&(place, _)| row(place)).collect();
                    let gold: Vec<usize> = words.iter().map(|&(_, class)| class).collect();
                    loss += field.loss_and_gradients(&rows, &gold, &mut sums, |word, class, by| {
                        by_logits[words[word].0 * classes + class] = narrowed(by * weight);
                    });
                }
            })
        })??;
        let weighted = |sums: &[f64], parameter: &Tensor| {
            let values: Vec<f32> = sums.iter().map(|sum| narrowed(sum * weight)).collect();
            Tensor::f_from_slice(&values)?.f_view(parameter.size().as_slice())
        };
        Ok(Likelihood {
            loss: Tensor::f_from_slice(&[narrowed(loss * weight)])?.f_squeeze()?,
            by_logits,
            by_parameters: [
                weighted(&sums.transitions, &self.transitions)?,
                weighted(&sums.start, &self.start)?,
                weighted(&sums.end, &self.end)?,
            ],
        })
    }

    /// The scores of each of so many `heads`, in main memory.
    pub(super) fn fields(&self, heads: usize) -> Result<Vec<Field>, TchError> {
        let values = |tensor: &Tensor| memory::with_values(tensor, <[f32]>::to_vec);
        let all = [&self.transitions, &self.start, &self.end];
        let [transitions, start, end] = all.map(values);
        let (transitions, start, end) = (transitions?, start?, end?);
        let of_head = |values: &[f32], head: usize| {
            let each = values.len() / heads.max(1);
            values[head * each..(head + 1) * each].to_vec()
        };
        let field = |head| {
            let part = |values: &[f32]| of_head(values, head);
            Field::new(part(&transitions), part(&start), part(&end))
        };
        Ok((0..heads).map(field).collect())
    }
}

/// The number that is stored: parameters and gradients are float32.
#[expect(clippy::cast_possible_truncation, reason = "gradients are float32")]
fn narrowed(value: f64) -> f32 {
    value as f32
}
