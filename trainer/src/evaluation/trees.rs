//! Dependency trees of a split: what the data set says, what a head predicts, and how much of the
//! one the other has.

use shared::heads::{Attached, TreeScorer};
use shared::tasks::dependencies::{Arc, AttachmentScores, DISTANCES, ROOT, UNSPECIFIED, universal};
use shared::tasks::{Task, UNLABELLED};

use super::scores::{Attachment, Confusion};
use super::{ClassScore, Scores};
use crate::batches::{LabelledBatch, LabelledSplit};

/// The tree of a sentence of a batch, and its loss.
pub(super) struct Parsed {
    /// For each word that the encoder saw the row of its first token in the split, and its arc.
    pub(super) words: Vec<(usize, Attached)>,
    /// Of the words with a label, added up, in nats; and how many these are.
    pub(super) loss: f64,
    pub(super) labels: u32,
}

/// Parses a sentence whose tokens are `own` in the batch and begin at `row` in the split; `kept`
/// has of each token, `[tokens, width]`, what `scorer` needs of words.
pub(super) fn parsed(
    scorer: &TreeScorer,
    split: &LabelledSplit<'_>,
    batch: &LabelledBatch<'_>,
    (own, row): (std::ops::Range<usize>, usize),
    kept: &[f32],
) -> Parsed {
    let width = scorer.width();
    let lengths = batch.activations.words().map(|words| &words[own.clone()]);
    let begins = |token: &usize| lengths.is_none_or(|lengths| lengths[*token] > 0);
    let firsts: Vec<usize> = (0..own.len()).filter(begins).collect();
    let vectors: Vec<&[f32]> = firsts
        .iter()
        .map(|&token| &kept[token * width..(token + 1) * width])
        .collect();
    let seen: Vec<Option<&[f32]>> = vectors.iter().copied().map(Some).collect();
    let word_of = |token: usize| split.reader.word_ids()[row + token];
    let place = |word: usize| usize::try_from(word_of(firsts[word])).unwrap_or(0);
    let tree = scorer.tree(&seen).into_iter().zip(&firsts);
    let words = tree.map(|(attached, &token)| {
        let head = attached.head.map(place);
        (row + token, Attached { head, ..attached })
    });
    let words = words.collect();

    let (mut loss, mut labels) = (0.0, 0);
    let arcs = scorer.arcs(&vectors);
    let gold = batch.activations.heads().map(|heads| &heads[own.clone()]);
    for (word, &token) in firsts.iter().enumerate() {
        let class = usize::try_from(batch.targets[own.start + token]);
        let (Ok(class), Some(gold)) = (class, gold) else {
            continue;
        };
        let head = usize::try_from(gold[token]).ok();
        let head = head.and_then(|head| firsts.binary_search(&(head - own.start)).ok());
        let row = &arcs[word * (firsts.len() + 1)..(word + 1) * (firsts.len() + 1)];
        loss += scorer.loss(row, (&vectors, word), (head, class));
        labels += 1;
    }
    Parsed {
        words,
        loss,
        labels,
    }
}

/// Trees of all words of a split: of its rows the heads (`ROOT` for none) and classes are those
/// predicted at the first tokens of words; words without a token hang on the root's word.
pub(super) fn complete<'s>(
    split: &LabelledSplit<'s>,
    heads: &[i32],
    classes: &[usize],
) -> Vec<Vec<Arc<'s>>> {
    let names = &split.table.classes;
    let of_sentence = |sentence: usize| {
        let words = split.reader.words(sentence).len();
        let mut tree: Vec<Option<Arc<'s>>> = vec![None; words];
        let tokens = split.tokens(sentence);
        let mut lengths = Vec::with_capacity(tokens.len());
        split.words(sentence, &mut lengths);
        for (row, _) in tokens.zip(lengths).filter(|(_, length)| *length > 0) {
            let word = usize::try_from(split.reader.word_ids()[row]);
            if let Some(arc) = word.ok().and_then(|word| tree.get_mut(word)) {
                *arc = Some(Arc {
                    head: usize::try_from(heads[row]).ok(),
                    relation: names[classes[row]].as_str(),
                });
            }
        }
        let is_root = |arc: &Option<Arc<'s>>| arc.is_some_and(|arc| arc.head.is_none());
        let root = tree.iter().position(is_root).unwrap_or(0);
        let unseen = |word: usize| Arc {
            head: (word != root).then_some(root),
            relation: UNSPECIFIED,
        };
        let words = tree.into_iter().enumerate();
        words
            .map(|(word, arc)| arc.unwrap_or_else(|| unseen(word)))
            .collect()
    };
    (0..split.reader.sentences()).map(of_sentence).collect()
}

/// The gold trees of a split; what has no label is [`UNLABELLED`].
#[must_use]
pub fn gold_trees<'s>(split: &LabelledSplit<'s>) -> Vec<Vec<Arc<'s>>> {
    let (relations, heads) = (split.gold(), split.table.heads.as_deref());
    let sentences = relations.into_iter().enumerate();
    let of_sentence = |(sentence, relations): (usize, Vec<&'s str>)| {
        let first = split.reader.first_word(sentence);
        let words = relations.into_iter().enumerate();
        let arc = |(word, relation)| {
            let head = heads.map_or(ROOT, |heads| heads[first + word]);
            Arc {
                head: usize::try_from(head).ok(),
                relation,
            }
        };
        words.map(arc).collect()
    };
    sentences.map(of_sentence).collect()
}

impl Scores {
    /// Scores trees; `loss` is passed on.
    #[must_use]
    pub fn of_trees(
        task: Task,
        gold: &[Vec<Arc<'_>>],
        predicted: &[Vec<Arc<'_>>],
        loss: f64,
    ) -> Self {
        let mut counted = AttachmentScores::default();
        for (gold, predicted) in gold.iter().zip(predicted) {
            counted.add(gold, predicted);
        }
        let named = |name: &str, counts: shared::tasks::spans::Counts| {
            ClassScore::new(name, counts.scores())
        };
        let words = gold.iter().flatten().zip(predicted.iter().flatten());
        let labelled = words.filter(|(gold, _)| gold.relation != UNLABELLED);
        let relations =
            labelled.map(|(gold, found)| (universal(gold.relation), universal(found.relation)));
        let distances = counted.distances.iter();
        Self {
            metric: task.metric().name().to_owned(),
            value: counted.las(),
            loss,
            accuracy: counted.exact(),
            micro: ClassScore::new("micro", counted.relations.micro()),
            macro_average: ClassScore::new("macro", counted.relations.macro_average()),
            classes: counted
                .relations
                .types
                .iter()
                .map(|(name, counts)| named(name, *counts))
                .collect(),
            matthews: None,
            numbers: None,
            confusion: Confusion::count(relations),
            attachment: Some(Attachment {
                uas: counted.uas(),
                clas: counted.clas(),
                distances: distances
                    .map(|(&distance, counts)| named(DISTANCES[distance], *counts))
                    .collect(),
            }),
        }
    }
}
