//! From what a parser keeps of the words of a sentence to its tree: both programs choose heads and
//! relations here, so that they choose alike.

use super::parser::ParserOptions;
use crate::tasks::dependencies::{UNSPECIFIED, best_tree};
use crate::tasks::largest;

/// Scores arcs and relations of words.
#[derive(Debug, Clone, PartialEq)]
pub struct TreeScorer {
    options: ParserOptions,
    classes: usize,
    /// The root as a head of arcs, `[arc_size]`, and of relations, `[relation_size]`.
    root_arc: Vec<f32>,
    root_relation: Vec<f32>,
}

/// The head and the class of the relation that are predicted for a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// Index of the head in the sentence; none for the root.
    pub head: Option<usize>,
    /// None for a word that the encoder never saw: it hangs on the root's word in the relation
    /// [`UNSPECIFIED`].
    pub class: Option<usize>,
}

impl Attached {
    /// The relation's name among those of the classes.
    #[must_use]
    pub fn relation<'c>(&self, classes: &'c [String]) -> &'c str {
        self.class
            .map_or(UNSPECIFIED, |class| classes[class].as_str())
    }
}

impl TreeScorer {
    /// A scorer of so many classes, from the parameters of the words' layer, `[word_size,
    /// features]` and `[word_size]`, and of the root, `[features]`.
    #[must_use]
    pub fn new(
        options: ParserOptions,
        classes: usize,
        (weight, bias): (&[f32], &[f32]),
        root: &[f32],
    ) -> Self {
        let rows = weight.chunks_exact(root.len().max(1)).zip(bias);
        let of_root = rows.map(|(row, bias)| {
            let sum: f32 = row.iter().zip(root).map(|(one, other)| one * other).sum();
            (sum + bias).max(0.0)
        });
        let of_root: Vec<f32> = of_root.collect();
        let (arc, relation) = (options.arc_size, options.relation_size);
        Self {
            root_arc: of_root[arc..2 * arc].to_vec(),
            root_relation: of_root[2 * arc + relation..].to_vec(),
            options,
            classes,
        }
    }

    /// The root as a head of arcs, `[arc_size]`, and of relations, `[relation_size]`.
    #[must_use]
    pub fn root(&self) -> (&[f32], &[f32]) {
        (&self.root_arc, &self.root_relation)
    }

    /// Width of what is kept of a word.
    #[must_use]
    pub fn width(&self) -> usize {
        self.options.projected_size(self.classes)
    }

    /// The scores of words (rows) hanging on the root (column 0) and on each word,
    /// `[words, words + 1]`, from what is kept of each, `[width]`.
    #[must_use]
    pub fn arcs(&self, words: &[&[f32]]) -> Vec<f32> {
        let size = self.options.arc_size;
        let mut scores = Vec::with_capacity(words.len() * (words.len() + 1));
        for word in words {
            let dependent = &word[..size];
            scores.push(product(dependent, &self.root_arc));
            let heads = words.iter().map(|head| &head[size..2 * size]);
            scores.extend(heads.map(|head| product(dependent, head)));
        }
        scores
    }

    /// The scores of the relations of a word to its head, none for the root, `[classes]`.
    #[must_use]
    pub fn relations(&self, word: &[f32], head: Option<&[f32]>) -> Vec<f32> {
        let size = self.options.relation_size;
        let first = 2 * self.options.arc_size;
        let end = first + self.classes * (size + 1);
        let head = head.map_or(self.root_relation.as_slice(), |head| &head[end..end + size]);
        let of_classes = word[first..end].chunks_exact(size + 1);
        of_classes
            .map(|class| product(&class[..size], head) + class[size])
            .collect()
    }

    /// The tree of a sentence with the highest sum of scores, and of each word the relation with
    /// the highest score, from what is kept of each word; none for words that the encoder never
    /// saw.
    #[must_use]
    pub fn tree(&self, words: &[Option<&[f32]>]) -> Vec<Attached> {
        let seen: Vec<usize> = (0..words.len())
            .filter(|&word| words[word].is_some())
            .collect();
        let vectors: Vec<&[f32]> = words.iter().copied().flatten().collect();
        let heads = best_tree(&self.arcs(&vectors), vectors.len());
        let root = heads.iter().position(Option::is_none);
        // Where nothing was seen the first word is the root.
        let root = root.map_or(0, |root| seen[root]);
        let unseen = |word: usize| Attached {
            head: (word != root).then_some(root),
            class: None,
        };
        let mut tree: Vec<Attached> = (0..words.len()).map(unseen).collect();
        for ((&place, head), word) in seen.iter().zip(&heads).zip(&vectors) {
            let relations = self.relations(word, head.map(|head| vectors[head]));
            tree[place] = Attached {
                head: head.map(|head| seen[head]),
                class: Some(largest(&relations)),
            };
        }
        tree
    }

    /// Minus the logarithms of the probabilities of a word's gold head and relation, added up, in
    /// nats; `arcs` are the scores of the word's row, `[words + 1]`.
    #[must_use]
    pub fn loss(
        &self,
        arcs: &[f32],
        (words, word): (&[&[f32]], usize),
        (head, class): (Option<usize>, usize),
    ) -> f64 {
        let relations = self.relations(words[word], head.map(|head| words[head]));
        surprise(arcs, head.map_or(0, |head| head + 1)) + surprise(&relations, class)
    }
}

fn product(one: &[f32], other: &[f32]) -> f32 {
    // Eight sums side by side, which a processor computes at once.
    let mut sums = [0.0_f32; 8];
    let (one, other) = (one.chunks(8), other.chunks(8));
    for (one, other) in one.zip(other) {
        for ((sum, one), other) in sums.iter_mut().zip(one).zip(other) {
            *sum += one * other;
        }
    }
    sums.iter().sum()
}

/// Minus the logarithm of a softmax probability.
fn surprise(scores: &[f32], chosen: usize) -> f64 {
    let highest = f64::from(scores.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let all = scores
        .iter()
        .map(|&score| (f64::from(score) - highest).exp());
    all.sum::<f64>().ln() + highest - f64::from(scores[chosen])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One number for arcs and relations each, two classes, one feature.
    fn scorer() -> TreeScorer {
        let options = ParserOptions {
            arc_size: 1,
            relation_size: 1,
            dropout: 0.0,
        };
        let weight = [1.0, 2.0, 3.0, 4.0];
        TreeScorer::new(options, 2, (&weight, &[0.0, 1.0, 0.0, -1.0]), &[0.5])
    }

    #[test]
    fn words_that_were_not_seen_hang_on_the_root() {
        let scorer = scorer();
        assert_eq!(scorer.width(), 2 + 4 + 1);
        // As the root's head: 2 * 0.5 + 1 for arcs, 4 * 0.5 - 1 for relations.
        let first = [1.0, 3.0, 0.0, 0.5, 1.0, 0.0, 2.0];
        let second = [-1.0, 1.0, 1.0, 0.0, -1.0, 0.5, 1.0];
        let words = [None, Some(first.as_slice()), None, Some(second.as_slice())];
        let arcs = scorer.arcs(&[&first, &second]);
        assert_eq!(arcs, [2.0, 3.0, 1.0, -2.0, -3.0, -1.0]);
        let attached = |head, class| Attached { head, class };
        let tree = scorer.tree(&words);
        let expected = [
            attached(Some(1), None),
            attached(None, Some(1)),
            attached(Some(1), None),
            attached(Some(1), Some(0)),
        ];
        assert_eq!(tree, expected);
        let names = ["obj".to_owned(), "root".to_owned()];
        assert_eq!(tree[0].relation(&names), "dep");
        assert_eq!(tree[1].relation(&names), "root");
        let nothing = scorer.tree(&[None, None]);
        assert_eq!(nothing, [attached(None, None), attached(Some(0), None)]);
        assert!(scorer.tree(&[]).is_empty());

        // exp(2), exp(3), exp(1), the root being right; relations 0 * 1 + 0.5 and 1 * 1 + 0.
        let loss = scorer.loss(&arcs[..3], (&[&first, &second], 0), (None, 1));
        let sum = (2_f64.exp() + 3_f64.exp() + 1_f64.exp()).ln() - 2.0;
        let expected = sum + (0.5_f64.exp() + 1_f64.exp()).ln() - 1.0;
        assert!((loss - expected).abs() < 1e-6, "{loss}");
    }
}
