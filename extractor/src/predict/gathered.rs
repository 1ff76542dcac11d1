//! Labels of sentences from the logits of their rows, which come in any order: a long sentence is
//! several rows, and what is chosen for its words may depend on all of them.

use rayon::prelude::*;
use shared::heads::Subword;
use shared::tasks::{Decoder, largest, sets};

use super::Sentence;
use super::row::{Labels, Row};
use crate::head::Level;

/// See the module.
pub(super) struct Gathered {
    labels: Vec<Labels>,
    /// Sums over a sentence's rows of logits times tokens, `[sentences, classes]`, where sentences
    /// are classified.
    sums: Vec<f32>,
    /// Tokens of each sentence.
    tokens: Vec<usize>,
    /// The logits of each word of each sentence, `[words, classes]`; empty where words are labelled
    /// one by one.
    words: Vec<Vec<f32>>,
    classes: usize,
    subword: Subword,
}

impl Gathered {
    pub(super) fn new(
        sentences: &[Sentence],
        (level, subword): (Level, Subword),
        classes: usize,
        decoder: &Decoder,
    ) -> Self {
        let unseen = |sentence: &Sentence| match (level, decoder) {
            (Level::Token, _) => Labels::Words(vec![None; sentence.words.len()]),
            (Level::Sentence, Decoder::Set(_)) => Labels::Set(None),
            (Level::Sentence, Decoder::Number) => Labels::Number(None),
            (Level::Sentence, _) => Labels::Whole(None),
        };
        let kept = |sentence: &Sentence| match decoder {
            Decoder::Single | Decoder::Set(_) | Decoder::Number => Vec::new(),
            Decoder::Sentence(_) => vec![0.0; sentence.words.len() * classes],
        };
        Self {
            labels: sentences.iter().map(unseen).collect(),
            sums: vec![0.0; sentences.len() * classes],
            tokens: vec![0; sentences.len()],
            words: sentences.iter().map(kept).collect(),
            classes,
            subword,
        }
    }

    /// Takes the logits of a row, `[width, classes]` or `[classes]`.
    pub(super) fn take(&mut self, row: &Row, logits: &[f32]) {
        let classes = self.classes;
        match &mut self.labels[row.sentence] {
            Labels::Words(labels) => {
                let kept = &mut self.words[row.sentence];
                for (word, logits) in row.of_words(logits, classes, self.subword) {
                    // Chosen anew at the end where other words count too.
                    labels[word] = Some(largest(&logits));
                    if let Some(kept) = kept.get_mut(word * classes..(word + 1) * classes) {
                        kept.copy_from_slice(&logits);
                    }
                }
            }
            // Trees are made elsewhere.
            Labels::Tree(_) => {}
            Labels::Whole(_) | Labels::Set(_) | Labels::Number(_) => {
                self.tokens[row.sentence] += row.ids.len();
                let sums = self.sums[row.sentence * classes..].iter_mut();
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a row is no longer than a window"
                )]
                let weight = row.ids.len() as f32;
                for (sum, logit) in sums.zip(logits) {
                    *sum += weight * logit;
                }
            }
        }
    }

    /// The labels of all sentences, after their last row.
    pub(super) fn finish(mut self, decoder: &Decoder) -> Vec<Labels> {
        let classes = self.classes;
        let sums = self.sums.par_chunks_exact(classes.max(1));
        let kept = sums.zip(&self.tokens).zip(&self.words);
        let sentences = self.labels.par_iter_mut().zip(kept);
        sentences.for_each(|(labels, ((sums, &tokens), words))| match labels {
            Labels::Whole(whole) if tokens > 0 => {
                let logits = means(sums, tokens);
                let class = largest(&logits);
                *whole = Some((class, probability(&logits, class)));
            }
            Labels::Set(set) if tokens > 0 => {
                let logits = means(sums, tokens);
                let thresholds: &[f64] = match decoder {
                    Decoder::Set(thresholds) => thresholds,
                    _ => &[],
                };
                let probabilities = logits.iter().map(|&logit| sets::probability(logit));
                let probabilities = probabilities.collect();
                *set = Some((sets::chosen(&logits, thresholds), probabilities));
            }
            Labels::Number(number) if tokens > 0 => {
                *number = means(sums, tokens).first().copied();
            }
            Labels::Words(labels) if !words.is_empty() => {
                let logits = labels.iter().zip(words.chunks_exact(classes));
                let logits: Vec<_> = logits.map(|(seen, row)| seen.map(|_| row)).collect();
                *labels = decoder.words(&logits);
            }
            Labels::Whole(_)
            | Labels::Set(_)
            | Labels::Number(_)
            | Labels::Words(_)
            | Labels::Tree(_) => {}
        });
        self.labels
    }
}

/// The logits of a sentence, from sums of its rows' logits times tokens.
fn means(sums: &[f32], tokens: usize) -> Vec<f32> {
    #[expect(clippy::cast_precision_loss, reason = "a text of millions of tokens")]
    sums.iter().map(|sum| sum / tokens as f32).collect()
}

/// The softmax of one logit.
fn probability(logits: &[f32], class: usize) -> f32 {
    let sum: f32 = logits
        .iter()
        .map(|&logit| (logit - logits[class]).exp())
        .sum();
    1.0 / sum
}

#[cfg(test)]
mod tests {
    use shared::tasks::Chain;

    use super::*;

    #[test]
    fn probabilities_are_those_of_the_softmax() {
        assert!((probability(&[0.0, 0.0], 0) - 0.5).abs() < 1e-6);
        assert!((probability(&[1.0, 3.0], 1) - 0.880_797).abs() < 1e-6);
    }

    /// Two windows of a sentence of four words, the second of which has no sub-word, the later
    /// window first.
    #[test]
    fn tags_are_chosen_over_all_windows_of_a_sentence() {
        let words = ["Ada", "", "King", "wrote"].map(str::to_owned).to_vec();
        let sentence = Sentence {
            words,
            source: None,
            line: 1,
            bytes: 0,
        };
        let classes = ["O", "B-PER", "I-PER"];
        let words_by_first = (Level::Token, Subword::First);
        let labelled = |decoder: Decoder, unseen: usize| {
            let mut gathered =
                Gathered::new(std::slice::from_ref(&sentence), words_by_first, 3, &decoder);
            let row = |first_of: &[Option<usize>]| {
                let words = (0..).zip(first_of);
                let words = words.filter_map(|(token, word)| Some(((*word)?, token..token + 1)));
                Row {
                    sentence: 0,
                    ids: vec![0; first_of.len()],
                    words: words.collect(),
                }
            };
            gathered.take(&row(&[Some(3), None]), &[1.0, 0.0, 3.0, 9.0, 9.0, 9.0]);
            let seen: Vec<_> = (0..3)
                .map(|word| (word != unseen).then_some(word))
                .collect();
            gathered.take(&row(&seen), &[0.0, 2.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 2.0]);
            gathered.finish(&decoder).remove(0)
        };
        let chain = || Decoder::Sentence(Chain::of_legal_tags(&classes));
        let tags = |tags: [Option<usize>; 4]| Labels::Words(tags.to_vec());
        let all = [Some(1), Some(2), Some(2), Some(2)];
        assert_eq!(labelled(chain(), 9), tags(all));
        // Behind a word in no span a span begins.
        let parted = [Some(1), None, Some(1), Some(2)];
        assert_eq!(labelled(chain(), 1), tags(parted));
        let single = [Some(1), None, Some(2), Some(2)];
        assert_eq!(labelled(Decoder::Single, 1), tags(single));
    }
}
