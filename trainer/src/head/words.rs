//! The vectors of words: a word that is several tokens has that of its first or its last one, or
//! their mean, as [`Subword`] says. Labels stand at first tokens in any case, so that all that
//! comes before and after a head is the same for each choice.

use std::ops::Range;

use shared::heads::Subword;
use shared::tasks::NO_TARGET;
use tch::{Kind, TchError, Tensor};

use super::sizes::size;
use super::tokens::indices;
use crate::activations::device::Layout;
use crate::activations::memory::upload;
use crate::activations::{Batch, Part};

/// Some words of a part of a batch.
pub(super) struct Words {
    /// The first token of each word in the part.
    firsts: Vec<usize>,
    /// The tokens that make up the vector of each word.
    places: Vec<Range<usize>>,
    /// Tokens of the part.
    tokens: usize,
}

/// What the rows of features are.
#[derive(Clone, Copy)]
pub(super) enum Rows<'l> {
    /// The tokens of the part.
    Tokens,
    /// The tokens of [`Words::computed`].
    Computed,
    /// Padded places, on a device.
    Padded(&'l Layout),
}

impl Words {
    /// The words of a part that have a label: `targets` are those of the part's tokens.
    pub(super) fn labelled(
        batch: &Batch<'_>,
        part: &Part,
        targets: &[i64],
        subword: Subword,
    ) -> Self {
        let labelled = |token: usize| targets[token] != NO_TARGET;
        Self::chosen(batch, part, labelled, subword)
    }

    /// All words of a part.
    pub(super) fn all(batch: &Batch<'_>, part: &Part, subword: Subword) -> Self {
        let lengths = batch.words().map(|words| &words[part.tokens().clone()]);
        let begins = |token: usize| lengths.is_none_or(|lengths| lengths[token] > 0);
        Self::chosen(batch, part, begins, subword)
    }

    fn chosen(
        batch: &Batch<'_>,
        part: &Part,
        chosen: impl Fn(usize) -> bool,
        subword: Subword,
    ) -> Self {
        let lengths = batch.words().map(|words| &words[part.tokens().clone()]);
        let firsts: Vec<usize> = (0..part.tokens().len()).filter(|&at| chosen(at)).collect();
        let places = firsts.iter().map(|&first| {
            let length = lengths.map_or(1, |lengths| lengths[first].max(1) as usize);
            subword.places(first..first + length)
        });
        Self {
            places: places.collect(),
            firsts,
            tokens: part.tokens().len(),
        }
    }

    /// The first token of each word in the part.
    pub(super) fn firsts(&self) -> &[usize] {
        &self.firsts
    }

    /// The tokens that count, in their order.
    pub(super) fn computed(&self) -> Vec<usize> {
        self.places.iter().cloned().flatten().collect()
    }

    /// The most tokens of one word.
    fn longest(&self) -> usize {
        self.places.iter().map(Range::len).max().unwrap_or(1)
    }

    /// The vectors of the words `[.., words, width]`, from features `[.., rows, width]`; with
    /// `on_device` where these are those of the whole batch there.
    pub(super) fn vectors(
        &self,
        features: &Tensor,
        rows: Rows<'_>,
        on_device: bool,
    ) -> Result<Tensor, TchError> {
        match rows {
            Rows::Computed if self.longest() == 1 => Ok(features.shallow_clone()),
            _ if on_device => self.copied(features, rows),
            Rows::Computed => self.means(features),
            Rows::Tokens | Rows::Padded(_) => {
                let places = indices(&self.computed(), features.device())?;
                let picked = features.f_index_select(-2, &places)?;
                self.vectors(&picked, Rows::Computed, on_device)
            }
        }
    }

    /// Means of the rows of each word, `[words, width]`, where rows are those of
    /// [`Self::computed`].
    #[expect(clippy::cast_precision_loss, reason = "tokens of a word")]
    fn means(&self, features: &Tensor) -> Result<Tensor, TchError> {
        let words = (0_i64..).zip(&self.places);
        let of_rows = words.flat_map(|(word, places)| std::iter::repeat_n(word, places.len()));
        let of_rows = Tensor::f_from_slice(&of_rows.collect::<Vec<_>>())?;
        let counts: Vec<f32> = self.places.iter().map(|one| one.len() as f32).collect();
        let (_, width) = features.size2()?;
        let shape = [size(self.places.len()), width];
        let sums = Tensor::f_zeros(shape, (Kind::Float, features.device()))?;
        let sums = sums.f_index_add(0, &of_rows, features)?;
        sums.f_div(&Tensor::f_from_slice(&counts)?.f_unsqueeze(1)?)
    }

    /// The same where rows are on a device: each is copied to a place of its own, all that are in
    /// no word to one more place behind. Its gradient reads the same places, so that neither adds
    /// up with atomic instructions.
    #[expect(clippy::cast_precision_loss, reason = "tokens of a word")]
    fn copied(&self, features: &Tensor, rows: Rows<'_>) -> Result<Tensor, TchError> {
        let (words, longest) = (self.places.len(), self.longest());
        let behind = size(words * longest);
        let place = |word: usize, number: usize| size(word * longest + number);
        let each = self.places.iter().enumerate();
        let to: Vec<i64> = match rows {
            Rows::Computed => each
                .flat_map(|(word, own)| (0..own.len()).map(move |number| place(word, number)))
                .collect(),
            Rows::Tokens | Rows::Padded(_) => {
                let mut to = vec![behind; self.tokens];
                for (word, own) in each {
                    for (number, token) in own.clone().enumerate() {
                        to[token] = place(word, number);
                    }
                }
                match rows {
                    Rows::Padded(layout) => layout.padded_targets(&to, behind),
                    _ => to,
                }
            }
        };
        let to = upload(&Tensor::f_from_slice(&to)?, features.device())?;
        let mut shape = features.size();
        let (rows, width) = (shape.len() - 2, shape[shape.len() - 1]);
        shape[rows] = behind + 1;
        let zeros = Tensor::f_zeros(&shape, (Kind::Float, features.device()))?;
        let copied = zeros.f_index_copy(-2, &to, features)?;
        let copied = copied.f_narrow(-2, 0, behind)?;
        if longest == 1 {
            return Ok(copied);
        }
        shape.truncate(rows);
        shape.extend([size(words), size(longest), width]);
        let sums = copied.f_reshape(&shape)?;
        let sums = sums.f_sum_dim_intlist([-2].as_slice(), false, Kind::Float)?;
        let shares: Vec<f32> = self
            .places
            .iter()
            .map(|one| 1.0 / one.len() as f32)
            .collect();
        let shares = upload(&Tensor::f_from_slice(&shares)?, features.device())?;
        sums.f_mul(&shares.f_unsqueeze(1)?)
    }

    /// Values of the words `[.., words, width]` at their first tokens, `[.., tokens, width]`; zeros
    /// at other tokens.
    pub(super) fn at_firsts(&self, values: &Tensor) -> Result<Tensor, TchError> {
        let mut shape = values.size();
        let rows = shape.len() - 2;
        shape[rows] = size(self.tokens);
        let zeros = Tensor::f_zeros(&shape, (Kind::Float, values.device()))?;
        zeros.f_index_copy(-2, &indices(&self.firsts, values.device())?, values)
    }
}
