//! How much of the gold trees is found, counted on gold words as the evaluation of the CoNLL 2018
//! shared task counts (Zeman et al. 2018,
//! <https://universaldependencies.org/conll18/evaluation.html>): relations are compared without
//! subtypes, and CLAS leaves out function words and punctuation.

use std::collections::BTreeMap;

use serde::Serialize;

use super::universal;
use crate::tasks::UNLABELLED;
use crate::tasks::spans::{Counts, SpanScores, scores_ratio};

/// Relations of content words, by which CLAS counts (Nivre and Fang 2017); sorted.
const CONTENT: [&str; 29] = [
    "acl",
    "advcl",
    "advmod",
    "amod",
    "appos",
    "ccomp",
    "compound",
    "conj",
    "csubj",
    "dep",
    "discourse",
    "dislocated",
    "expl",
    "fixed",
    "flat",
    "goeswith",
    "iobj",
    "list",
    "nmod",
    "nsubj",
    "nummod",
    "obj",
    "obl",
    "orphan",
    "parataxis",
    "reparandum",
    "root",
    "vocative",
    "xcomp",
];

/// What lengths of arcs are told apart, in words between dependent and head.
pub const DISTANCES: [&str; 6] = ["root", "1", "2", "3 to 6", "7 to 10", "11 and more"];

/// The head and the relation of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arc<'a> {
    /// Index of the head in the sentence; none for the root.
    pub head: Option<usize>,
    /// The relation, with its subtype; [`UNLABELLED`] for a gold word that does not count.
    pub relation: &'a str,
}

/// Counts over the words of some sentences.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AttachmentScores {
    /// Gold words.
    pub words: u64,
    /// Words whose head is right.
    pub heads: u64,
    /// Words whose head and relation are right, subtypes apart.
    pub labelled: u64,
    /// Words whose head and relation are right, with its subtype.
    pub exact: u64,
    /// Content words: right, predicted and gold ones.
    pub content: Counts,
    /// By relation, without subtypes: words whose head and relation are right, predicted and gold
    /// ones.
    pub relations: SpanScores,
    /// The same by [`DISTANCES`].
    pub distances: BTreeMap<usize, Counts>,
}

impl AttachmentScores {
    /// Adds a sentence; both lists have all of its words.
    pub fn add(&mut self, gold: &[Arc<'_>], predicted: &[Arc<'_>]) {
        let pairs = gold.iter().zip(predicted).enumerate();
        for (word, (gold, predicted)) in pairs.filter(|(_, (gold, _))| gold.relation != UNLABELLED)
        {
            let (relation, found) = (universal(gold.relation), universal(predicted.relation));
            let head = gold.head == predicted.head;
            let labelled = head && relation == found;
            self.words += 1;
            self.heads += u64::from(head);
            self.labelled += u64::from(labelled);
            self.exact += u64::from(head && gold.relation == predicted.relation);
            let is_content = |relation: &str| CONTENT.binary_search(&relation).is_ok();
            if is_content(relation) {
                self.content.gold += 1;
                self.content.correct += u64::from(labelled);
            }
            self.content.predicted += u64::from(is_content(found));
            let counts = self.relations.counts(relation);
            counts.gold += 1;
            counts.correct += u64::from(labelled);
            self.relations.counts(found).predicted += 1;
            let counts = self.distances.entry(distance(word, gold.head)).or_default();
            counts.gold += 1;
            counts.correct += u64::from(labelled);
            let counts = self.distances.entry(distance(word, predicted.head));
            counts.or_default().predicted += 1;
        }
    }

    /// The share of words whose head and relation are right.
    #[must_use]
    pub fn las(&self) -> f64 {
        scores_ratio(self.labelled, self.words)
    }

    /// The share of words whose head is right.
    #[must_use]
    pub fn uas(&self) -> f64 {
        scores_ratio(self.heads, self.words)
    }

    /// F1 of content words' heads and relations.
    #[must_use]
    pub fn clas(&self) -> f64 {
        self.content.f1()
    }

    /// The share of words whose head and relation are right, with its subtype.
    #[must_use]
    pub fn exact(&self) -> f64 {
        scores_ratio(self.exact, self.words)
    }
}

/// The place in [`DISTANCES`] of the arc between a word and its head.
#[must_use]
pub fn distance(word: usize, head: Option<usize>) -> usize {
    match head.map(|head| head.abs_diff(word)) {
        None => 0,
        Some(0 | 1) => 1,
        Some(2) => 2,
        Some(3..=6) => 3,
        Some(7..=10) => 4,
        Some(_) => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::CONTENT;

    #[test]
    fn relations_of_content_words_can_be_searched() {
        assert!(CONTENT.is_sorted());
    }
}
