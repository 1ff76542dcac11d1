//! Heads: small networks that classify tokens or sentences from the stored activations.
//!
//! Every head works in three steps: it *reads* the layers (a weighted sum with weights of its own
//! for each token, or some layers as they are), turns what it read into *features*, and
//! *classifies* these. The reading is where the data is, so it is done by kernels on the stored
//! rows; the rest is libtorch's, autograd included.
//!
//! On a GPU several heads of one shape can be computed as one, as a head group ([`build_group`]): all
//! parameters then have a dimension `heads` in front, and so have the results. The code is the same
//! for one head and for a group: dimensions are counted from the end.

mod adapter;
mod attention;
mod classifier;
mod crf;
mod error;
mod fusion;
mod objective;
mod parameters;
mod parser;
mod probe;
mod random;
mod scalar_mix;
mod sizes;
mod step;
mod tailor;
mod text_losses;
mod tokens;
mod words;

use std::collections::BTreeSet;

pub(crate) use crf::Field;
pub use error::HeadError;
pub use random::Dropout;
pub(crate) use random::PrecomputedMasks;
pub use shared::heads::{AdapterOptions, HeadKind, HeadOptions};
pub use shared::tasks::Level;
use tch::{Device, Tensor};
pub use tokens::Tokens;

use shared::heads::{HeadOptionsError, TreeScorer};

use crate::activations::Batch;
use classifier::Classifier;
use crf::Crf;
use parameters::{Builder, Built};
use parser::Parser;

/// Losses and gradients, which a device may still be computing.
pub struct Losses {
    /// What is minimised, by the targets that are labels: mean cross-entropy in nats, minus the
    /// logarithms of the likelihoods of sentences' tags, mean squared error; `[]` or `[heads]`.
    pub loss: Tensor,
    /// See [`LossAndGradients::gradients`]; of a head group for each head.
    pub gradients: Vec<Option<Tensor>>,
}

/// Losses with gradients in pieces, as they are computed.
pub struct Learned {
    /// See [`Losses::loss`].
    pub loss: Tensor,
    /// Of each parameter the gradients by its rows, from the first on, in pieces; the loss does not
    /// depend on rows for which there is none.
    pub gradients: Vec<Vec<Tensor>>,
}

/// What training needs of one batch.
pub struct LossAndGradients {
    /// See [`Losses::loss`]; 0 where no target is a label.
    pub loss: f64,
    /// The gradient of the loss by each of [`Head::parameters`], in their order; `None` where the
    /// loss does not depend on one.
    pub gradients: Vec<Option<Tensor>>,
}

/// How a head gets from `[tokens, layers, hidden]` to one vector a token.
pub enum Reading {
    /// Summed over the layers with weights `[tokens, layers]`, which carry the graph of the
    /// parameters they come from. On a device they are those of all tokens, in main memory of those
    /// computed on.
    Weighted(Tensor),
    /// These layers (places in the store) side by side.
    Layers(Vec<usize>),
}

/// What every head has.
pub struct Common {
    options: HeadOptions,
    device: Device,
    parameters: Vec<(String, Tensor)>,
    /// Names of the parameters that no output depends on.
    idle: BTreeSet<String>,
    /// What gradients are taken by, for each parameter: itself, or blocks of its first rows.
    leaves: Vec<Vec<Tensor>>,
    output: OutputLayer,
    /// What is behind the logits, if anything is.
    crf: Option<Crf>,
}

/// The last part of a head.
enum OutputLayer {
    /// Classes of tokens, or of sentences.
    Classes(Classifier),
    /// Trees of sentences.
    Trees(Parser),
}

impl OutputLayer {
    /// The dimensions of several heads in front of the parameters' own: none, or their number.
    fn heads(&self) -> Vec<i64> {
        match self {
            Self::Classes(classifier) => classifier.heads(),
            Self::Trees(parser) => parser.heads(),
        }
    }
}

/// A network over stored hidden states.
pub trait Head: Send {
    /// Options, parameters and the last part.
    fn common(&self) -> &Common;

    /// What to read of the layers.
    ///
    /// # Errors
    /// libtorch failed.
    fn read(&self, tokens: &Tokens<'_>) -> Result<Reading, HeadError>;

    /// Features `[tokens, width]` from what was read, `[tokens, hidden]` or `[tokens, layers read *
    /// hidden]`. `dropout` in training. On a device, heads that weigh layers have all tokens; those
    /// that mix tokens too give features in padded places, `[sequences * longest, width]`.
    ///
    /// # Errors
    /// libtorch failed.
    fn features(
        &self,
        read: &Tensor,
        tokens: &Tokens<'_>,
        dropout: Option<&Dropout>,
    ) -> Result<Tensor, HeadError>;

    /// Whether a token's features depend on what was read of other tokens.
    fn mixes_tokens(&self) -> bool {
        false
    }

    /// How much of each layer each token draws on, `[tokens, layers]`; `None` for heads that do not
    /// weigh layers.
    ///
    /// # Errors
    /// A batch of another shape, or libtorch failed.
    fn layer_attention(&self, batch: &Batch<'_>) -> Result<Option<Tensor>, HeadError> {
        tch::no_grad(|| {
            let common = self.common();
            match self.read(&Tokens::new(
                batch,
                batch.whole(),
                None,
                &common.options,
                common.device,
            )?)? {
                Reading::Weighted(weights) => Ok(Some(weights)),
                Reading::Layers(_) => Ok(None),
            }
        })
    }

    /// What the head was built from.
    fn options(&self) -> &HeadOptions {
        &self.common().options
    }

    /// Names and values, in a fixed order; float32.
    fn parameters(&self) -> &[(String, Tensor)] {
        &self.common().parameters
    }

    /// Whether no output depends on the parameter of this name: it never has a gradient.
    fn is_idle(&self, name: &str) -> bool {
        self.common().idle.contains(name)
    }

    /// Logits `[tokens, classes]`, or `[sentences, classes]`; without dropout and gradients. Where
    /// words have heads, `[tokens, projected]`: at the first token of each word what
    /// [`TreeScorer`] needs of it.
    ///
    /// # Errors
    /// A batch of another shape, or libtorch failed.
    fn logits(&self, batch: &Batch<'_>) -> Result<Tensor, HeadError> {
        step::logits(self, batch)
    }

    /// Loss and gradients for targets `[tokens]`, or `[sentences]`: classes or
    /// [`NO_TARGET`](shared::tasks::NO_TARGET); for heads of sets and numbers what
    /// [`Output`](shared::tasks::Output) says. Without `dropout` nothing is dropped.
    ///
    /// # Errors
    /// A batch of another shape, targets that do not fit, or libtorch failed.
    fn loss_and_gradients(
        &self,
        batch: &Batch<'_>,
        targets: &[i64],
        dropout: Option<Dropout>,
    ) -> Result<LossAndGradients, HeadError> {
        let Losses { loss, gradients } = self.losses_and_gradients(batch, targets, dropout)?;
        Ok(LossAndGradients {
            loss: loss.f_double_value(&[])?,
            gradients,
        })
    }

    /// [`Self::loss_and_gradients`] without waiting for the numbers; also for a head group.
    ///
    /// # Errors
    /// Those of [`Self::loss_and_gradients`].
    fn losses_and_gradients(
        &self,
        batch: &Batch<'_>,
        targets: &[i64],
        dropout: Option<Dropout>,
    ) -> Result<Losses, HeadError> {
        let Learned { loss, gradients } = self.learn(batch, targets, dropout)?;
        let common = self.common();
        let rows = common.output.heads().len();
        let whole = gradients.into_iter().zip(&common.parameters);
        let whole = whole.map(|(pieces, (_, parameter))| step::whole(pieces, parameter, rows));
        Ok(Losses {
            loss,
            gradients: whole.collect::<Result<_, _>>()?,
        })
    }

    /// [`Self::losses_and_gradients`] with gradients in pieces: to concatenate them would be an operation
    /// on the device for each parameter.
    ///
    /// # Errors
    /// Those of [`Self::loss_and_gradients`].
    fn learn(
        &self,
        batch: &Batch<'_>,
        targets: &[i64],
        dropout: Option<Dropout>,
    ) -> Result<Learned, HeadError> {
        step::learn(self, batch, targets, dropout.as_ref())
    }
}

/// A head of any kind, that borrows nothing.
pub type AnyHead = dyn Head;

/// Builds a head with fresh parameters, which depend on the seed and their names alone.
///
/// # Errors
/// Options that make no network, a layer that the store does not hold, or libtorch has no memory.
pub fn build(options: &HeadOptions, device: Device, seed: u64) -> Result<Box<AnyHead>, HeadError> {
    options.check()?;
    with(options, device, Builder::new(seed, device))
}

/// A head group: several heads of one shape as one, with parameters `[heads, ..]` under the names of a
/// single head's; or a single head, without that dimension. It computes only on batches that are on a
/// device.
///
/// # Errors
/// Parameters that are missing.
pub fn build_group(
    options: &HeadOptions,
    device: Device,
    parameters: Vec<(String, Tensor)>,
) -> Result<Box<AnyHead>, HeadError> {
    with(options, device, Builder::given(parameters, device))
}

/// The head group of these heads, with copies of their parameters.
///
/// # Errors
/// No head, heads of different shapes, or libtorch has no memory.
pub fn grouped(heads: &[&AnyHead]) -> Result<Box<AnyHead>, HeadError> {
    let Some(first) = heads.first() else {
        return Err(HeadOptionsError::Size("no head to be computed".to_owned()).into());
    };
    let mut parameters = Vec::new();
    for (place, (name, _)) in first.parameters().iter().enumerate() {
        let all = heads.iter().map(|head| &head.parameters()[place].1);
        let all = tch::no_grad(|| Tensor::f_stack(&all.collect::<Vec<_>>(), 0))?;
        parameters.push((name.clone(), all));
    }
    build_group(first.options(), first.common().device, parameters)
}

fn with(
    options: &HeadOptions,
    device: Device,
    builder: Builder,
) -> Result<Box<AnyHead>, HeadError> {
    Ok(match &options.kind {
        HeadKind::Adapter => Box::new(adapter::Adapter::new(options, device, builder)?),
        HeadKind::AttentionFusion => {
            Box::new(fusion::AttentionFusion::new(options, device, builder)?)
        }
        HeadKind::ScalarMix => Box::new(scalar_mix::ScalarMix::new(options, device, builder)?),
        HeadKind::Last | HeadKind::Layer(_) | HeadKind::Concat(_) => {
            Box::new(probe::Probe::new(options, device, builder)?)
        }
    })
}

impl Common {
    /// Adds the last part of every head.
    fn new(options: &HeadOptions, device: Device, mut builder: Builder) -> Result<Self, HeadError> {
        let output = match options.parser {
            Some(parser) => OutputLayer::Trees(Parser::new(&mut builder, options, parser)?),
            None => OutputLayer::Classes(Classifier::new(&mut builder, &options.classifier())?),
        };
        let crf = options.crf();
        let crf = crf
            .map(|parameters| Crf::new(&mut builder, &parameters))
            .transpose()?;
        let Built { list, idle, leaves } = builder.finish();
        Ok(Self {
            options: options.clone(),
            device,
            parameters: list,
            idle,
            leaves,
            output,
            crf,
        })
    }

    /// The fields of so many `heads`, in main memory; nothing for heads without.
    pub(crate) fn fields(&self, heads: usize) -> Result<Vec<Field>, HeadError> {
        let fields = self.crf.as_ref().map(|crf| crf.fields(heads)).transpose()?;
        Ok(fields.unwrap_or_default())
    }

    /// The scorers of trees of so many `heads`; nothing for heads without.
    pub(crate) fn scorers(&self, heads: usize) -> Result<Vec<TreeScorer>, HeadError> {
        match &self.output {
            OutputLayer::Trees(parser) => Ok(parser.scorers(heads)?),
            OutputLayer::Classes(_) => Ok(Vec::new()),
        }
    }

    /// Dropout on `[.., rows, columns]` in training, for heads that have it in a single place.
    fn dropped(&self, values: Tensor, dropout: Option<&Dropout>) -> Result<Tensor, HeadError> {
        Ok(match self.masks(&values, dropout, 1)?.first() {
            Some(mask) => values.f_mul(mask)?,
            None => values,
        })
    }

    /// The factors of dropout in so many `places` of a head, for `[.., rows, columns]`; none where
    /// nothing is dropped.
    fn masks(
        &self,
        values: &Tensor,
        dropout: Option<&Dropout>,
        places: u64,
    ) -> Result<Vec<Tensor>, HeadError> {
        let Some(dropout) = dropout.filter(|_| self.options.dropout > 0.0) else {
            return Ok(Vec::new());
        };
        let sizes = values.size();
        let last = |back: usize| {
            let size = sizes.iter().rev().nth(back).copied();
            usize::try_from(size.unwrap_or(0)).unwrap_or(0)
        };
        let sizes = (last(1), last(0));
        Ok(dropout.masks(0..places, sizes, self.options.dropout, self.device)?)
    }
}
