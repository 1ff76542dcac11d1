//! The biaffine scorer of dependency trees behind a head's features (Dozat and Manning 2017): what
//! each word is as a dependent and as a head, for arcs and for relations, from one linear layer
//! with `ReLU`; then how well each word hangs on each other one, and in which relation. The root is
//! a learned vector beside the words' features.

use serde::{Deserialize, Serialize};

use super::parameters::{Linear, Parameter, Start};

/// The sizes of a scorer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ParserOptions {
    /// Width of the vectors that arcs are scored by.
    pub arc_size: usize,
    /// Width of the vectors that relations are scored by.
    pub relation_size: usize,
    /// Share of these vectors that training drops.
    pub dropout: f64,
}

impl ParserOptions {
    /// The usual sizes for an encoder of this hidden size: those of Dozat and Manning are for
    /// larger inputs and slower optimisers.
    #[must_use]
    pub fn usual(hidden: usize) -> Self {
        let arc_size = (hidden / 3).clamp(16, 256);
        Self {
            arc_size,
            relation_size: (arc_size / 4).clamp(8, 64),
            dropout: 0.33,
        }
    }

    /// Width of what [`Parameters::words`] makes of a word.
    #[must_use]
    pub fn word_size(&self) -> usize {
        2 * (self.arc_size + self.relation_size)
    }

    /// Width of what is kept of a word for [`super::TreeScorer`]: for arcs as a dependent and as a
    /// head, for relations as a dependent, a vector and a number a class, and as a head.
    #[must_use]
    pub fn projected_size(&self, classes: usize) -> usize {
        2 * self.arc_size + classes * (self.relation_size + 1) + self.relation_size
    }
}

/// The parameters of a scorer; A and R are the sizes for arcs and for relations.
#[derive(Debug)]
pub struct Parameters {
    /// `[2A + 2R, features]`: rows for words as dependents and as heads of arcs, then of relations.
    pub words: Linear,
    /// `[features]`: the root, in place of a word's features.
    pub root: Parameter,
    /// `[A, A]`: the score of an arc is the product of the head's vector and of what this makes of
    /// the dependent's.
    pub arcs: Linear,
    /// `[classes * (R + 1), R]`: likewise for relations; the last row of a class gives a number
    /// that does not depend on the head.
    pub relations: Linear,
}

impl Parameters {
    /// Names and shapes for so many features and classes.
    #[must_use]
    pub fn new(options: &ParserOptions, features: usize, classes: usize) -> Self {
        let (arc, relation) = (options.arc_size, options.relation_size);
        let start = Start::Linear { inputs: features };
        Self {
            words: Linear::new("parser.words", features, options.word_size()),
            root: Parameter::new("parser.root", [features], start),
            arcs: Linear::new("parser.arcs", arc, arc),
            relations: Linear::new("parser.relations", relation, classes * (relation + 1)),
        }
    }

    pub(super) fn list(&self) -> Vec<Parameter> {
        let mut list = self.words.list();
        list.push(self.root.clone());
        list.extend(self.arcs.list());
        list.extend(self.relations.list());
        list
    }
}
