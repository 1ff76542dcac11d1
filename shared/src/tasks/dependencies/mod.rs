//! Dependency trees: each word of a sentence has a head, another word of it or none for the one
//! that is the root, and a relation to it. What makes a tree, which tree has the highest score, and
//! how trees are compared; data sets, store and both programs have trees in this form.

mod check;
mod conllu;
mod scores;
mod spanning;
#[cfg(test)]
mod tests;

use super::NO_CLASS;

pub use check::{TreeError, check};
pub use conllu::write_conllu;
pub use scores::{Arc, AttachmentScores, DISTANCES, distance};
pub use spanning::best_tree;

/// In place of a head's index: the word is the root of its sentence.
pub const ROOT: i32 = -1;

/// In place of a head's index: the data set does not say it.
pub const NO_HEAD: i32 = NO_CLASS;

/// The relation of a word that hangs somewhere for want of anything better, as in Universal
/// Dependencies.
pub const UNSPECIFIED: &str = "dep";

/// A relation without its subtype: `nmod` of `nmod:poss`.
#[must_use]
pub fn universal(relation: &str) -> &str {
    relation.split_once(':').map_or(relation, |(kind, _)| kind)
}
