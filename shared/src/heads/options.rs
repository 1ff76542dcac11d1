//! Which head a run has, and its sizes: what the command line offers, `config.json` records and
//! both programs read.

use serde::{Deserialize, Serialize};

use super::error::HeadOptionsError;
use super::kind::{AdapterOptions, HeadKind, Sizes};
use super::parameters::Parameter;
use super::parser::{self, ParserOptions};
use super::{Subword, Threshold, classifier, crf};
use crate::tasks::{Chain, Decoder, Decoding, Level, Output};

/// Everything that a head's parameters' names and shapes depend on, and its dropout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadOptions {
    /// Which head.
    pub kind: HeadKind,
    /// The encoder's number of each layer in the store, in the store's order.
    pub layers: Vec<usize>,
    /// Hidden size of the encoder.
    pub hidden: usize,
    /// Number of classes; 1 for a head that gives a number.
    pub classes: usize,
    /// What the adapter alone has; recorded for other kinds too.
    #[serde(flatten)]
    pub adapter: AdapterOptions,
    /// Share of numbers that training drops.
    pub dropout: f64,
    /// Width of the classifier's inner layer; 0 for a single layer.
    pub classifier_size: usize,
    /// What gets a class: every token, or every sentence, by the mean of its tokens' features.
    #[serde(with = "super::level")]
    pub level: Level,
    /// How predictions are chosen; runs from before there was a choice took the largest logit.
    #[serde(default)]
    pub decode: Decoding,
    /// Which vector a word has; runs from before there was a choice took the first sub-word's.
    #[serde(default)]
    pub subword: Subword,
    /// The scorer of trees in place of the classifier, for tasks whose words have heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parser: Option<ParserOptions>,
    /// What the head computes for each token or sentence; runs from before there was a choice have
    /// classes.
    #[serde(default, skip_serializing_if = "Output::is_usual")]
    pub output: Output,
    /// From which probability on a class is predicted, where any number of them may be.
    #[serde(default, skip_serializing_if = "Threshold::is_usual")]
    pub threshold: Threshold,
}

impl HeadOptions {
    /// The paper's settings for a store of these layers and this hidden size.
    #[must_use]
    pub fn new(kind: HeadKind, layers: Vec<usize>, hidden: usize, classes: usize) -> Self {
        let dropout = kind.form().dropout;
        Self {
            kind,
            layers,
            hidden,
            classes,
            adapter: AdapterOptions::default(),
            dropout,
            classifier_size: 256,
            level: Level::Token,
            decode: Decoding::default(),
            subword: Subword::default(),
            parser: None,
            output: Output::default(),
            threshold: Threshold::default(),
        }
    }

    /// Says what cannot be built.
    ///
    /// # Errors
    /// A size of zero, a dropout outside [0, 1), heads that do not divide the attention size, or no
    /// layer to read. Whether the store holds the layers is for [`Self::layers_read`] to say.
    pub fn check(&self) -> Result<(), HeadOptionsError> {
        let wrong = |message: String| Err(HeadOptionsError::Size(message));
        if self.layers.is_empty() || self.hidden == 0 {
            return wrong(format!(
                "a head needs hidden states: got {} layers of size {}",
                self.layers.len(),
                self.hidden
            ));
        }
        if self.classes == 0 {
            return wrong("a head needs at least one class; the data set has none".to_owned());
        }
        self.adapter.check()?;
        if !(0.0..1.0).contains(&self.dropout) {
            return wrong(format!(
                "--dropout must be at least 0 and below 1, got {}",
                self.dropout
            ));
        }
        if let Some(parser) = &self.parser {
            if parser.arc_size == 0 || parser.relation_size == 0 {
                return wrong("--arc-size and --relation-size must be at least 1".to_owned());
            }
            if !(0.0..1.0).contains(&parser.dropout) {
                return wrong(format!(
                    "--parser-dropout must be at least 0 and below 1, got {}",
                    parser.dropout
                ));
            }
        }
        if self.kind.layers(&self.layers).is_empty() {
            let usage = self.kind.form().usage;
            return wrong(format!("--head {usage} needs at least one layer"));
        }
        Ok(())
    }

    /// The encoder's layers that the head reads, in its order.
    ///
    /// # Errors
    /// [`HeadOptionsError::Layer`] when the store lacks one.
    pub fn layers_read(&self) -> Result<Vec<usize>, HeadOptionsError> {
        let layers = self.kind.layers(&self.layers);
        layers
            .iter()
            .try_for_each(|&layer| self.column(layer).map(drop))?;
        Ok(layers)
    }

    /// Places in the store of the layers that the head reads, in its order.
    ///
    /// # Errors
    /// As [`Self::layers_read`].
    pub fn columns_read(&self) -> Result<Vec<usize>, HeadOptionsError> {
        let layers = self.kind.layers(&self.layers);
        layers.into_iter().map(|layer| self.column(layer)).collect()
    }

    /// Where in the store an encoder's layer stands.
    fn column(&self, wanted: usize) -> Result<usize, HeadOptionsError> {
        let found = self.layers.iter().position(|&layer| layer == wanted);
        found.ok_or_else(|| HeadOptionsError::Layer {
            wanted,
            stored: self.layers.clone(),
        })
    }

    /// Width of what the classifier reads.
    #[must_use]
    pub fn features(&self) -> usize {
        if self.kind.is_beside() {
            self.kind.layers(&self.layers).len() * self.hidden
        } else {
            self.hidden
        }
    }

    /// How many heads of these options are computed as one on a GPU, at most.
    #[must_use]
    pub fn most_as_one(&self) -> usize {
        self.kind.form().most_as_one
    }

    /// What chooses predictions among classes of these names; `learned` gives the scores that were
    /// learned, if there are some.
    ///
    /// # Errors
    /// Those of `learned`.
    pub fn decoder<E>(
        &self,
        classes: &[String],
        learned: impl FnOnce(&crf::Parameters) -> Result<Chain, E>,
    ) -> Result<Decoder, E> {
        Ok(match self.decode {
            Decoding::Argmax => Decoder::Single,
            Decoding::Viterbi => Decoder::Sentence(Chain::of_legal_tags(classes)),
            Decoding::Crf => Decoder::Sentence(learned(&crf::Parameters::new(self.classes))?),
        })
    }

    /// Names and shapes of the parameters behind the logits, if there are some.
    #[must_use]
    pub fn crf(&self) -> Option<crf::Parameters> {
        (self.decode == Decoding::Crf).then(|| crf::Parameters::new(self.classes))
    }

    /// All parameters, in the order in which they are stored.
    #[must_use]
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut list = self.kind.parameters(&Sizes {
            layers: self.layers.len(),
            hidden: self.hidden,
            adapter: &self.adapter,
        });
        match self.parser() {
            Some(parser) => list.extend(parser.list()),
            None => list.extend(self.classifier().list()),
        }
        list.extend(self.crf().into_iter().flat_map(crf::Parameters::list));
        list
    }

    /// Names and shapes of the parameters of the scorer of trees, if there is one in place of the
    /// classifier.
    #[must_use]
    pub fn parser(&self) -> Option<parser::Parameters> {
        let parser = self.parser.as_ref();
        parser.map(|options| parser::Parameters::new(options, self.features(), self.classes))
    }

    /// Names and shapes of the classifier's parameters.
    #[must_use]
    pub fn classifier(&self) -> classifier::Parameters {
        classifier::Parameters::new(self.features(), self.classifier_size, self.classes)
    }
}
