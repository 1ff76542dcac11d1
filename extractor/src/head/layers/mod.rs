//! From the layers that a head reads, each `[rows, width, hidden]`, to one vector of features a
//! token: one file a kind of head.

mod adapter;
mod attention_fusion;
mod scalar_mix;

use super::nodes::{Nodes, Rows};
use super::{HeadKind, HeadOptions};
use crate::graph::GraphError;

/// `[rows, width, features]`.
pub(super) fn features(
    nodes: &mut Nodes<'_>,
    options: &HeadOptions,
    layers: &[&str],
    rows: &Rows,
) -> Result<String, GraphError> {
    match &options.kind {
        HeadKind::Adapter => adapter::features(nodes, options, layers, rows),
        HeadKind::AttentionFusion => attention_fusion::features(nodes, options, layers),
        HeadKind::ScalarMix => scalar_mix::features(nodes, options, layers),
        HeadKind::Last | HeadKind::Layer(_) | HeadKind::Concat(_) => {
            nodes.along("Concat", "layers.beside", layers, -1)
        }
    }
}
