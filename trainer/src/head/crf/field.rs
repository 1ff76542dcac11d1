//! Sums over all sequences of tags that words can have, on the CPU: the logarithm of the likelihood
//! of the right one, and its gradient, by the forward-backward algorithm (Rabiner 1989). Vectors
//! over the classes are divided by their sums at every word and logits lowered by the highest of
//! their word, so that exponentials are taken once a logit and not once a pair of classes. In
//! float64 that holds for transitions up to some 700 nats apart; ones further apart give NaN, at
//! which training ends.

use shared::tasks::Chain;

/// The scores of a field; C is the number of classes.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    classes: usize,
    /// `[C, C]`: of class `to` right after class `from`.
    transitions: Vec<f32>,
    /// `[C]`
    start: Vec<f32>,
    /// `[C]`
    end: Vec<f32>,
    /// The exponentials of the three, each lowered by its highest number.
    factors: [Vec<f64>; 3],
    /// What they are lowered by.
    highest: [f64; 3],
}

/// Gradients by the scores of a field, shaped like these.
#[derive(Debug, Clone)]
pub(crate) struct Gradients {
    pub(crate) transitions: Vec<f64>,
    pub(crate) start: Vec<f64>,
    pub(crate) end: Vec<f64>,
}

/// What the way forward over a sentence's words leaves, `[words, C]` each.
struct Forward {
    /// Exponentials of logits, lowered by the highest of their word.
    emissions: Vec<f64>,
    /// Share of the sequences up to a word by the class there, without the word's own logits.
    reached: Vec<f64>,
    /// The same with them; adds up to 1 at each word.
    shares: Vec<f64>,
    /// The logarithm of the sum over all sequences.
    total: f64,
}

impl Gradients {
    /// Zeros for so many classes.
    pub(crate) fn zeros(classes: usize) -> Self {
        Self {
            transitions: vec![0.0; classes * classes],
            start: vec![0.0; classes],
            end: vec![0.0; classes],
        }
    }
}

impl Field {
    /// A field of scores `[C, C]`, `[C]` and `[C]`.
    pub(crate) fn new(transitions: Vec<f32>, start: Vec<f32>, end: Vec<f32>) -> Self {
        let scores = [&transitions, &start, &end];
        let highest = scores.map(|scores| {
            let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            f64::from(highest)
        });
        let factors = [0, 1, 2].map(|part: usize| {
            let scores = scores[part].iter();
            let factor = |&score: &f32| (f64::from(score) - highest[part]).exp();
            scores.map(factor).collect()
        });
        Self {
            classes: start.len(),
            transitions,
            start,
            end,
            factors,
            highest,
        }
    }

    /// Number of classes.
    pub(crate) const fn classes(&self) -> usize {
        self.classes
    }

    /// The same scores, to choose the best sequence by.
    pub(crate) fn chain(&self) -> Chain {
        Chain::of_scores(&self.transitions, &self.start, &self.end)
    }

    /// Minus the logarithm of the likelihood of classes `gold` for words with these logits, `[C]`
    /// each; 0 for no word.
    pub(crate) fn loss(&self, logits: &[&[f32]], gold: &[usize]) -> f64 {
        if logits.is_empty() {
            return 0.0;
        }
        self.forward(logits).total - self.score(logits, gold)
    }

    /// The same, and its gradients: those by the scores are added to `sums`, those by the logits
    /// given to `by_logits(word, class, gradient)`.
    pub(crate) fn loss_and_gradients(
        &self,
        logits: &[&[f32]],
        gold: &[usize],
        sums: &mut Gradients,
        mut by_logits: impl FnMut(usize, usize, f64),
    ) -> f64 {
        let classes = self.classes;
        let (Some(&first), Some(&last)) = (gold.first(), gold.last()) else {
            return 0.0;
        };
        let forward = self.forward(logits);
        let at = |values: &[f64], word: usize| {
            let own = &values[word * classes..(word + 1) * classes];
            own.to_vec()
        };
        // Of the sequences from a word on, its logits included, by the class there.
        let mut rest = at(&forward.emissions, gold.len() - 1);
        multiply(&mut rest, &self.factors[2]);
        for word in (0..gold.len()).rev() {
            normalise(&mut rest);
            let mut likely = at(&forward.reached, word);
            multiply(&mut likely, &rest);
            let sum = normalise(&mut likely);
            for (class, &share) in likely.iter().enumerate() {
                let gradient = share - f64::from(u8::from(class == gold[word]));
                by_logits(word, class, gradient);
            }
            if word + 1 == gold.len() {
                add(&mut sums.end, &likely);
            }
            if word == 0 {
                add(&mut sums.start, &likely);
                break;
            }
            let before = at(&forward.shares, word - 1);
            let mut next = at(&forward.emissions, word - 1);
            let rows = self.factors[0].chunks_exact(classes);
            let sums = sums.transitions.chunks_exact_mut(classes);
            for (from, (factors, sums)) in rows.zip(sums).enumerate() {
                let mut all = 0.0;
                for ((factor, rest), to) in factors.iter().zip(&rest).zip(sums) {
                    let way = factor * rest;
                    all += way;
                    *to += before[from] * way / sum;
                }
                next[from] *= all;
            }
            rest = next;
        }
        sums.start[first] -= 1.0;
        sums.end[last] -= 1.0;
        for pair in gold.windows(2) {
            sums.transitions[pair[0] * classes + pair[1]] -= 1.0;
        }
        forward.total - self.score(logits, gold)
    }

    /// The score of one sequence of classes.
    fn score(&self, logits: &[&[f32]], gold: &[usize]) -> f64 {
        let words = logits.iter().zip(gold);
        let own: f64 = words.map(|(logits, &class)| f64::from(logits[class])).sum();
        let step = |pair: &[usize]| self.transitions[pair[0] * self.classes + pair[1]];
        let steps: f64 = gold.windows(2).map(|pair| f64::from(step(pair))).sum();
        let ends = gold.first().zip(gold.last());
        let ends = ends.map_or(0.0, |(&first, &last)| {
            f64::from(self.start[first]) + f64::from(self.end[last])
        });
        own + steps + ends
    }

    fn forward(&self, logits: &[&[f32]]) -> Forward {
        let classes = self.classes;
        let room = logits.len() * classes;
        let [mut emissions, mut reached, mut shares] =
            [(); 3].map(|()| Vec::<f64>::with_capacity(room));
        let mut total = self.highest[1] + self.highest[2];
        for (word, logits) in logits.iter().enumerate() {
            let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let highest = f64::from(highest);
            emissions.extend(
                logits
                    .iter()
                    .map(|&logit| (f64::from(logit) - highest).exp()),
            );
            let mut here = if word == 0 {
                self.factors[1].clone()
            } else {
                total += self.highest[0];
                let before = &shares[(word - 1) * classes..];
                let mut here = vec![0.0; classes];
                let rows = self.factors[0].chunks_exact(classes);
                for (share, factors) in before.iter().zip(rows) {
                    for (here, factor) in here.iter_mut().zip(factors) {
                        *here += share * factor;
                    }
                }
                here
            };
            reached.extend_from_slice(&here);
            multiply(&mut here, &emissions[word * classes..]);
            total += highest + normalise(&mut here).ln();
            shares.extend(here);
        }
        let last = shares[room - classes..].iter().zip(&self.factors[2]);
        total += last.map(|(share, factor)| share * factor).sum::<f64>().ln();
        Forward {
            emissions,
            reached,
            shares,
            total,
        }
    }
}

fn multiply(values: &mut [f64], factors: &[f64]) {
    for (value, factor) in values.iter_mut().zip(factors) {
        *value *= factor;
    }
}

fn add(sums: &mut [f64], values: &[f64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

/// Divides values by their sum, which is given back.
fn normalise(values: &mut [f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    for value in values.iter_mut() {
        *value /= sum;
    }
    sum
}
