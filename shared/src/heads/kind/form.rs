//! What is to be known of a kind of head: its name, how it is typed, which layers it reads, its
//! parameters, and the defaults of its authors.

use super::adapter_options::AdapterOptions;
use crate::heads::parameters::Parameter;

/// What is to be known of a kind of head.
#[derive(Debug)]
pub struct Form {
    /// The first part of its name.
    pub name: &'static str,
    /// The whole name as the user types it, with placeholders.
    pub usage: &'static str,
    /// Options of `trainer` that give one of each variant, for an encoder with layers 0 to 2 at
    /// least.
    pub examples: &'static [&'static str],
    /// The dropout of the head's authors.
    pub dropout: f64,
    /// How many heads of the same options are computed as one on a GPU, at most.
    pub most_as_one: usize,
    /// Which of the stored layers it reads.
    pub(super) reads: Reads,
    /// Its own parameters, without the classifier's.
    pub(super) parameters: fn(&Sizes<'_>) -> Vec<Parameter>,
}

/// Which of the stored layers a head reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// All of them, summed up.
    All,
    /// The last one.
    Last,
    /// Those in its name, side by side.
    Named,
}

/// What the parameters of a head depend on.
#[derive(Debug)]
pub(in crate::heads) struct Sizes<'a> {
    /// Number of layers that it reads.
    pub layers: usize,
    /// Size of a hidden state.
    pub hidden: usize,
    /// The options that the adapter alone has.
    pub adapter: &'a AdapterOptions,
}

/// The parameters of a head that has none but its classifier's.
pub(super) fn no_parameters(_: &Sizes<'_>) -> Vec<Parameter> {
    Vec::new()
}
