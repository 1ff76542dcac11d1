//! What an encoder makes of token ids before its first layer.

/// From token ids to the first hidden state: the sum of table rows, and what is done with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Embedding {
    /// The word table, `[vocabulary, size]`.
    pub words: &'static str,
    /// Another name that checkpoints may have for it.
    pub words_also: Option<&'static str>,
    /// Rows of the word table: every token id is below it.
    pub vocabulary: usize,
    /// Size of an embedding.
    pub size: usize,
    /// The token type table, if there is one.
    pub token_types: Option<TokenTypes>,
    /// What embeddings are multiplied with, if with anything.
    pub scale: Option<f32>,
    /// The norm of the sum, if there is one.
    pub norm: Option<&'static str>,
    /// The linear layer from `size` to the hidden size, if they differ.
    pub projection: Option<Projection>,
    /// The id of the mask, where its embedding counts as dropped: it becomes zero, and those of the
    /// other tokens of a sequence grow with the share of masks among them (ESM).
    pub dropped_mask: Option<i32>,
}

/// The linear layer from embeddings to the hidden size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Projection {
    /// Its name.
    pub name: &'static str,
    /// Whether it has a bias.
    pub bias: bool,
    /// What it is applied to.
    pub of: Projected,
}

/// Which embeddings go through the linear layer to the hidden size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projected {
    /// Those of words; positions have the hidden size (OPT).
    Words,
    /// The sum, before its norm (`DeBERTa`).
    Sum,
    /// The normalised sum (ELECTRA).
    Normalised,
}

impl Embedding {
    /// Rows of a word table of this name, `[vocabulary, size]`, and nothing besides.
    #[must_use]
    pub const fn words_alone(words: &'static str, vocabulary: usize, size: usize) -> Self {
        Self {
            words,
            words_also: None,
            vocabulary,
            size,
            token_types: None,
            scale: None,
            norm: None,
            projection: None,
            dropped_mask: None,
        }
    }

    /// Whether there is a linear layer of these embeddings.
    #[must_use]
    pub fn projects(&self, of: Projected) -> bool {
        self.projection.is_some_and(|layer| layer.of == of)
    }
}

/// A token type table, `[rows, size]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenTypes {
    /// The table.
    pub table: &'static str,
    /// Its rows.
    pub rows: usize,
    /// Whether the graph is told the type of each token; else all are of type 0.
    pub told: bool,
}
