//! The adapter (Basirat 2024, NEJLT 10(1)): every token attends over the layers of its sentence,
//! and a tailor adjusts what it found. Its parameters are called as in the published PyTorch
//! adapter, so that weights move both ways.

use super::adapter_options::AdapterOptions;
use super::form::{Form, Reads};
use crate::heads::parameters::{Attention, LayerNorm, Linear, Parameter, Start};

pub(super) static FORM: Form = Form {
    name: "adapter",
    usage: "adapter",
    examples: &[
        "--head adapter",
        "--head adapter --no-tailor",
        "--head adapter --no-tailor-attention --attention-size 8 --heads 4",
        "--head adapter --classifier-size 0",
    ],
    dropout: 0.1,
    most_as_one: 16,
    reads: Reads::All,
    parameters: |sizes| Parameters::new(sizes.hidden, sizes.adapter).list(),
};

/// The epsilon of the tailor's layer norm.
pub const EPSILON: f64 = 1e-12;

/// The adapter's parameters; D is the hidden size, A the attention size.
#[derive(Debug)]
pub struct Parameters {
    /// Keys of layers, `[A, D]`.
    pub key_projector: Linear,
    /// Queries of tokens, `[A, D]`.
    pub query_projector: Linear,
    /// Attention of tokens over layers.
    pub token_layer_attention: Attention,
    /// What adjusts the result.
    pub tailor: Option<Tailor>,
}

/// A residual feed-forward layer, and attention among tokens.
#[derive(Debug)]
pub struct Tailor {
    /// `[D]`
    pub norm: LayerNorm,
    /// `[D, D]`
    pub dense: Linear,
    /// None where the tailor has no attention among tokens.
    pub attention: Option<TokenAttention>,
}

/// Attention of the tokens of a sentence over each other.
#[derive(Debug)]
pub struct TokenAttention {
    /// `[A, D]`
    pub reducer: Linear,
    /// Attention over tokens.
    pub attention: Attention,
}

impl Parameters {
    /// Names and shapes for this hidden size.
    #[must_use]
    pub fn new(hidden: usize, own: &AdapterOptions) -> Self {
        let size = own.attention_size;
        Self {
            key_projector: Linear::new("adapter.key_projector", hidden, size),
            query_projector: Linear::new("adapter.query_projector", hidden, size),
            token_layer_attention: Attention::new("adapter.token_layer_attention", size, own.heads),
            tailor: own.tailor.then(|| Tailor::new(hidden, own)),
        }
    }

    fn list(&self) -> Vec<Parameter> {
        let mut list = self.key_projector.list();
        list.extend(self.query_projector.list());
        list.extend(self.token_layer_attention.list());
        if let Some(tailor) = &self.tailor {
            list.extend(tailor.norm.list());
            list.extend(tailor.dense.list());
            if let Some(own) = &tailor.attention {
                list.extend(own.reducer.list());
                list.extend(own.attention.list());
            }
        }
        list
    }
}

impl Tailor {
    fn new(hidden: usize, options: &AdapterOptions) -> Self {
        let reducer = Linear::new(
            "adapter.tailor.tailor_query_dim_reducer",
            hidden,
            options.attention_size,
        );
        let attention = TokenAttention {
            reducer: Linear {
                start: Start::Xavier,
                ..reducer
            },
            attention: Attention::new(
                "adapter.tailor.self_attention",
                options.attention_size,
                options.heads,
            ),
        };
        Self {
            norm: LayerNorm::new("adapter.tailor.FF.0", vec![hidden]),
            dense: Linear::new("adapter.tailor.FF.1", hidden, hidden),
            attention: options.tailor_attention.then_some(attention),
        }
    }
}
