//! The graph of one encoder under construction: its specification, its weights, and the nodes so
//! far. The building blocks in the files beside this one are its methods.

use std::sync::Arc;

use ndarray::Array2;

use super::builder::Builder;
use super::error::GraphError;
use super::weights::{Linear, Source};
use crate::checkpoint::Checkpoint;
use crate::family::{EncoderSpec, LinearLayout};

/// An encoder that is being built. Weights borrow the checkpoint, not the graph.
pub(super) struct EncoderGraph<'a> {
    pub(super) spec: &'a EncoderSpec,
    pub(super) checkpoint: &'a Checkpoint,
    /// The last hidden state that is wanted: nothing is built that only later ones need.
    pub(super) last: usize,
    /// Whether windows are computed in blocks, which are inputs then.
    pub(super) in_blocks: bool,
    pub(super) builder: Builder,
    /// What layers share.
    pub(super) shared: Shared,
}

/// Values that are computed once and read by several layers, by their names; none until a layer
/// asks for it.
#[derive(Default)]
pub(super) struct Shared {
    /// 0, 1, 2 ..., float32 `[1, width]`.
    pub(super) counted: Option<String>,
    /// The same, float32 `[width, 1]`.
    pub(super) counted_column: Option<String>,
    /// `width - 1`, float32 `[1, 1]`.
    pub(super) last: Option<String>,
    /// Rows of the table of distances, int64 `[2 * width + 1]`, from the largest distance down and
    /// from the smallest up.
    pub(super) distance_rows: Option<[String; 2]>,
    /// The table of distances, `[2 * span, hidden]`.
    pub(super) distance_table: Option<Arc<Array2<f32>>>,
    /// Where each token stands, int64 `[rows, width]`.
    pub(super) positions: Option<String>,
    /// Cosines and sines of the angles of layers without and with a window, each
    /// `[width, turned dimensions / 2]`.
    pub(super) angles: [Option<[String; 2]>; 2],
    /// What is added to the scores of layers without and with a window, `[1, 1, width, width]`.
    pub(super) biases: [Option<String>; 2],
    /// What is added to the scores of blocks of layers with a window, `[blocks, 1, queries, keys]`.
    pub(super) block_bias: Option<String>,
    /// What is added to the scores of all layers by distance, `[1, heads, width, width]`.
    pub(super) relative_bias: Option<String>,
    /// Rows of tables by distance, int64, and the distances of pairs of tokens among them, int32
    /// `[width, width]`.
    pub(super) distances: Option<[String; 2]>,
}

/// What a block of a layer computes, without the bias at its end: the residual sum that follows
/// adds that in the same operator.
pub(super) struct BlockOutput<'a> {
    /// Name of the value, `[rows, width, hidden]`.
    pub(super) value: String,
    /// `[hidden]`, if the block ends with a bias.
    pub(super) bias: Option<Source<'a>>,
}

impl<'a> EncoderGraph<'a> {
    /// The name of a tensor of a transformer layer.
    pub(super) fn in_layer(&self, layer: usize, name: &str) -> String {
        self.spec.names.in_layer(layer, name)
    }

    /// A tensor as it is stored.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Source<'a>, GraphError> {
        let prefixes = self.spec.names.prefixes;
        Ok(Source::stored(
            self.checkpoint.tensor(prefixes, name, shape)?,
        ))
    }

    /// The weights of a linear layer.
    pub(super) fn linear(
        &self,
        name: &str,
        [inputs, outputs]: [usize; 2],
        bias: bool,
    ) -> Result<Linear<'a>, GraphError> {
        let weight = format!("{name}.weight");
        let matrix = match self.spec.linear {
            LinearLayout::InOut => self.tensor(&weight, &[inputs, outputs])?,
            LinearLayout::OutIn => self.tensor(&weight, &[outputs, inputs])?.transposed(),
        };
        Ok(Linear {
            matrix,
            bias: self.bias(name, outputs, bias)?,
        })
    }

    /// The bias of a linear layer or a norm, `[size]`, if it has one.
    pub(super) fn bias(
        &self,
        name: &str,
        size: usize,
        has_bias: bool,
    ) -> Result<Option<Source<'a>>, GraphError> {
        has_bias
            .then(|| self.tensor(&format!("{name}.bias"), &[size]))
            .transpose()
    }
}
