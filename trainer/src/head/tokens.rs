//! What a head computes on: all tokens of a part of a batch, or only those that have a label.

use tch::{Device, TchError, Tensor};

use super::sizes::{size, sizes};
use super::{HeadError, HeadOptions};
use crate::activations::device::{DeviceRows, Layout};
use crate::activations::memory::upload;
use crate::activations::{Batch, Means, Part, kernels, memory};

/// Tokens of a part of a batch, in its order.
pub struct Tokens<'b> {
    batch: &'b Batch<'b>,
    part: &'b Part,
    source: Source<'b>,
    device: Device,
}

/// Where the rows are, and which of them are computed on.
enum Source<'b> {
    /// In main memory.
    Host {
        /// The rows of all tokens of the part.
        every: Vec<&'b [u8]>,
        /// The rows of the tokens computed on, if not all of them, and their places in the part.
        some: Option<(Vec<&'b [u8]>, Vec<usize>)>,
    },
    /// On a device; the places of the tokens computed on, if not all of them.
    Device {
        rows: &'b DeviceRows,
        some: Option<Vec<usize>>,
    },
}

impl<'b> Tokens<'b> {
    /// All tokens of a part of `batch`, or those at `places` of the part.
    pub(crate) fn new(
        batch: &'b Batch<'b>,
        part: &'b Part,
        places: Option<&[usize]>,
        options: &HeadOptions,
        device: Device,
    ) -> Result<Self, HeadError> {
        if (batch.layers(), batch.hidden()) != (options.layers.len(), options.hidden) {
            return Err(HeadError::Shape {
                layers: options.layers.len(),
                hidden: options.hidden,
                got_layers: batch.layers(),
                got_hidden: batch.hidden(),
            });
        }
        if let Some(rows) = batch.device_rows() {
            return Ok(Self {
                batch,
                part,
                source: Source::Device {
                    rows,
                    some: places.map(<[usize]>::to_vec),
                },
                device: rows.device(),
            });
        }
        let every = batch.rows_of(part.tokens());
        let some = places.map(|places| {
            (
                places.iter().map(|&place| every[place]).collect(),
                places.to_vec(),
            )
        });
        Ok(Self {
            batch,
            part,
            source: Source::Host { every, some },
            device,
        })
    }

    /// How many have weights over the layers: see [`super::Reading::Weighted`].
    pub(crate) fn weighted(&self) -> usize {
        match &self.source {
            Source::Host { every, some } => some.as_ref().map_or(every, |(rows, _)| rows).len(),
            Source::Device { .. } => self.part.tokens().len(),
        }
    }

    /// The rows in main memory of the tokens computed on, `[layers, hidden]` each.
    fn rows(&self) -> &[&'b [u8]] {
        match &self.source {
            Source::Host { every, some } => some.as_ref().map_or(every, |(rows, _)| rows),
            Source::Device { .. } => &[],
        }
    }

    /// Where the sequences are in the rows on the device, if they are on one.
    pub(crate) fn layout(&self) -> Option<&'b Layout> {
        match &self.source {
            Source::Host { .. } => None,
            Source::Device { rows, .. } => Some(rows.layout()),
        }
    }

    /// Of values of all tokens of the part `[tokens, width]`, those of the tokens computed on; in main memory.
    pub(crate) fn picked(&self, values: Tensor) -> Result<Tensor, TchError> {
        match &self.source {
            Source::Host {
                some: Some((_, places)),
                ..
            } => values.f_index_select(-2, &indices(places, self.device)?),
            _ => Ok(values),
        }
    }

    /// Where libtorch computes.
    pub(crate) const fn device(&self) -> Device {
        self.device
    }

    /// The first token of every sequence, and one past the last; all tokens are computed on.
    pub(crate) fn offsets(&self) -> &[usize] {
        self.part.offsets()
    }

    /// The sequence of every token computed on, `[tokens]`.
    pub(crate) fn sequence_of(&self) -> Vec<i64> {
        let pairs = (0_i64..).zip(self.part.offsets().windows(2));
        let every: Vec<i64> = pairs
            .flat_map(|(index, pair)| std::iter::repeat_n(index, pair[1] - pair[0]))
            .collect();
        match &self.source {
            Source::Host {
                some: Some((_, places)),
                ..
            } => places.iter().map(|&place| every[place]).collect(),
            _ => every,
        }
    }

    /// The mean over layers of every token of the part `[tokens, hidden]`, and over each sequence's tokens of
    /// every layer `[sequences, layers, hidden]`.
    pub(crate) fn means(&self) -> Result<Means, TchError> {
        self.part.means(|| match &self.source {
            Source::Host { every, .. } => self.means_of_rows(every),
            Source::Device { rows, .. } => rows.means(),
        })
    }

    fn means_of_rows(&self, every: &[&[u8]]) -> Result<Means, TchError> {
        let (tokens, layers, hidden) = (every.len(), self.batch.layers(), self.batch.hidden());
        let mut over_tokens = None;
        let shape = sizes(&[self.part.sequences(), layers, hidden]);
        let over_layers = memory::filled(&sizes(&[tokens, hidden]), Device::Cpu, |over_layers| {
            over_tokens = Some(memory::filled(&shape, self.device, |over_tokens| {
                kernels::means(
                    every,
                    self.part.offsets(),
                    self.batch.dtype(),
                    over_layers,
                    over_tokens,
                );
            }));
        })?;
        let over_tokens = match over_tokens {
            Some(over_tokens) => over_tokens?,
            // A batch without a token has nothing to be written.
            None => Tensor::f_zeros(shape, (tch::Kind::Float, self.device))?,
        };
        Ok((over_layers.f_to_device(self.device)?, over_tokens))
    }

    /// Sums over layers `[tokens, hidden]` with `weights [tokens, layers]`. Where the rows are in
    /// main memory no gradient flows: see [`Self::weight_gradients`]. On a device there may be a
    /// dimension of several heads in front, and the sums are those of all tokens.
    pub(crate) fn weighted_sums(&self, weights: &Tensor) -> Result<Tensor, TchError> {
        if let Source::Device { rows, .. } = &self.source {
            return rows.weighted_sums(weights);
        }
        let (rows, dtype) = (self.rows(), self.batch.dtype());
        memory::with_values(weights, |weights| {
            memory::filled(
                &sizes(&[rows.len(), self.batch.hidden()]),
                self.device,
                |sums| {
                    kernels::weighted_sums(rows, dtype, weights, sums);
                },
            )
        })?
    }

    /// The gradient by the weights `[tokens, layers]` from that by the weighted sums `[tokens, hidden]`.
    pub(crate) fn weight_gradients(&self, by_sums: &Tensor) -> Result<Tensor, TchError> {
        let (rows, dtype) = (self.rows(), self.batch.dtype());
        memory::with_values(by_sums, |by_sums| {
            memory::filled(
                &sizes(&[rows.len(), self.batch.layers()]),
                self.device,
                |gradient| {
                    kernels::weight_gradients(rows, dtype, by_sums, gradient);
                },
            )
        })?
    }

    /// The hidden states of chosen layers (places in the store) side by side, `[tokens, chosen * hidden]`.
    pub(crate) fn gathered(&self, chosen: &[usize]) -> Result<Tensor, TchError> {
        if let Source::Device { rows, some } = &self.source {
            let places = some.as_ref().map(|places| indices(places, self.device));
            return rows.gathered(chosen, places.transpose()?.as_ref());
        }
        let (rows, dtype) = (self.rows(), self.batch.dtype());
        let shape = [size(rows.len()), size(chosen.len() * self.batch.hidden())];
        memory::filled(&shape, self.device, |values| {
            kernels::gather(rows, dtype, chosen, values);
        })
    }
}

/// An index tensor.
pub(crate) fn indices(places: &[usize], device: Device) -> Result<Tensor, TchError> {
    upload(&Tensor::f_from_slice(&sizes(places))?, device)
}
