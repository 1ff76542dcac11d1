//! The best sequence of classes for the words of a sentence, where it counts which class follows
//! which: the sum of the words' logits and of scores of neighbouring classes is largest (Viterbi
//! 1967). That logits are no logarithms of probabilities is no matter: the softmax takes the same
//! number from all logits of a word, whatever the sequence.

use super::super::OUTSIDE;
use super::super::spans::may_follow;

/// Which class may follow which, and what that adds to a sequence's score.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// The score of class `to` right after class `from`, at `from * classes + to`; none where that
    /// is not allowed.
    steps: Vec<Option<f32>>,
    /// The score of each class as a sentence's first, `[classes]`; none where that is not allowed.
    first: Vec<Option<f32>>,
    /// The score of each class as a sentence's last, `[classes]`.
    last: Vec<f32>,
    /// Whether a word without logits, which is in no span, parts a sentence in two; else the words
    /// on both sides of it are neighbours.
    is_parted: bool,
}

impl Chain {
    /// Allows the sequences of tags in which every span that is gone on with was begun, all with a
    /// score of 0. Where no class can begin a sentence, all sequences are allowed.
    #[must_use]
    pub fn of_legal_tags<S: AsRef<str>>(classes: &[S]) -> Self {
        let allowed = |from: &str, to: &S| may_follow(from, to.as_ref()).then_some(0.0);
        let first: Vec<_> = classes.iter().map(|to| allowed(OUTSIDE, to)).collect();
        let steps = classes
            .iter()
            .flat_map(|from| classes.iter().map(move |to| allowed(from.as_ref(), to)));
        let mut chain = Self {
            steps: steps.collect(),
            first,
            last: vec![0.0; classes.len()],
            is_parted: true,
        };
        if chain.first.iter().all(Option::is_none) {
            chain.first.fill(Some(0.0));
            chain.steps.fill(Some(0.0));
        }
        chain
    }

    /// Allows all sequences, with these scores of classes beside each other `[classes, classes]`, as
    /// the first and as the last, `[classes]`.
    #[must_use]
    pub fn of_scores(transitions: &[f32], start: &[f32], end: &[f32]) -> Self {
        let allowed = |scores: &[f32]| scores.iter().copied().map(Some).collect();
        Self {
            steps: allowed(transitions),
            first: allowed(start),
            last: end.to_vec(),
            is_parted: false,
        }
    }

    /// The score of class `to` right after class `from`; none where that is not allowed.
    #[must_use]
    pub fn step(&self, from: usize, to: usize) -> Option<f32> {
        self.steps[from * self.last.len() + to]
    }

    /// The score of a class as a sentence's first; none where that is not allowed.
    #[must_use]
    pub fn first(&self, class: usize) -> Option<f32> {
        self.first[class]
    }

    /// The score of a class as a sentence's last.
    #[must_use]
    pub fn last(&self, class: usize) -> f32 {
        self.last[class]
    }

    /// See [`super::Decoder::words`].
    pub(super) fn words(&self, logits: &[Option<&[f32]>]) -> Vec<Option<usize>> {
        let mut classes = vec![None; logits.len()];
        let (mut places, mut rows) = (Vec::new(), Vec::new());
        let mut end = |places: &mut Vec<usize>, rows: &mut Vec<&[f32]>| {
            for (place, class) in places.drain(..).zip(self.best(rows)) {
                classes[place] = Some(class);
            }
            rows.clear();
        };
        for (place, row) in logits.iter().enumerate() {
            match row {
                Some(row) => {
                    places.push(place);
                    rows.push(*row);
                }
                None if self.is_parted => end(&mut places, &mut rows),
                None => {}
            }
        }
        end(&mut places, &mut rows);
        classes
    }

    /// The best sequence for words with these logits, `[classes]` each; of equal ones that with the
    /// first class at the last word, then at the word before it, and so on.
    fn best(&self, logits: &[&[f32]]) -> Vec<usize> {
        let classes = self.last.len();
        let Some((first, others)) = logits.split_first() else {
            return Vec::new();
        };
        // The best score of a sequence that ends with each class; none where there is none.
        let mut scores: Vec<Option<f64>> = (0..classes)
            .map(|class| Some(f64::from(self.first[class]?) + finite(first[class])))
            .collect();
        // The class before that, for each word but the first.
        let mut before = vec![0; classes * others.len()];
        for (row, before) in others.iter().zip(before.chunks_exact_mut(classes.max(1))) {
            let next = |(to, before): (usize, &mut usize)| {
                let step = |from: usize| Some(scores[from]? + f64::from(self.step(from, to)?));
                let (from, score) = highest((0..classes).map(step))?;
                *before = from;
                Some(score + finite(row[to]))
            };
            scores = before.iter_mut().enumerate().map(next).collect();
        }
        let with_end = |class: usize| Some(scores[class]? + f64::from(self.last[class]));
        let mut class = highest((0..classes).map(with_end)).map_or(0, |(class, _)| class);
        let mut path = vec![class];
        for before in before.chunks_exact(classes.max(1)).rev() {
            class = before[class];
            path.push(class);
        }
        path.reverse();
        path
    }
}

/// The highest of the scores that are there, and its place, the first of equal ones.
fn highest(scores: impl Iterator<Item = Option<f64>>) -> Option<(usize, f64)> {
    let mut best: Option<(usize, f64)> = None;
    for (place, score) in scores.enumerate() {
        let Some(score) = score else { continue };
        if best.is_none_or(|(_, highest)| score > highest) {
            best = Some((place, score));
        }
    }
    best
}

/// A logit that can be added up: NaN is no better than any other.
fn finite(logit: f32) -> f64 {
    const LARGEST: f64 = 1e30;
    if logit.is_nan() {
        return -LARGEST;
    }
    f64::from(logit).clamp(-LARGEST, LARGEST)
}
