//! The same on a device, for all sentences at once, and all heads of a group: vectors `[sentences,
//! classes]` go word by word, forwards and backwards in one, so that a batch takes four operations for
//! each word of its longest sentence and some 75 besides. All of them give the same bits each
//! time. They are in float32, which holds for transitions up to some 80 nats apart; sums over words
//! are in float64.

use tch::{Device, Kind, TchError, Tensor};

use super::super::sizes::{size, sizes};
use super::{Crf, Likelihood, Sentences};
use crate::activations::memory::{single, upload};

/// Where words are, on the device: place `word * sentences + sentence`, of as many words as the
/// longest sentence has.
struct Places {
    sentences: i64,
    longest: i64,
    /// The row among the logits of the word at each place, and then of that at the same place counted
    /// from the sentence's end; any row where there is no word. `[2 * places]`
    rows: Tensor,
    /// The place, counted from the end, of the word at each place, `[places]`.
    reversed: Tensor,
    /// The place of each sentence's last word, `[sentences]`.
    last: Tensor,
    /// The place of each row among the logits, or one past all places, `[rows]`.
    of_rows: Tensor,
    /// 1 at the right class of each word, `[places, classes]`.
    gold: Tensor,
    /// Whether there is a word, `[places, 1]`.
    is_word: Tensor,
    /// How often each class follows each, `[classes, classes]`; comes first and comes last,
    /// `[classes]`.
    counts: [Tensor; 3],
}

impl Places {
    fn new(
        sentences: &Sentences,
        rows: i64,
        classes: i64,
        device: Device,
    ) -> Result<Self, TchError> {
        let [rows, classes] = [rows, classes].map(|size| usize::try_from(size).unwrap_or(0));
        let count = sentences.offsets.len() - 1;
        let longest = sentences.iter().map(<[_]>::len).max().unwrap_or(0);
        let places = count * longest;
        let mut forwards = vec![0; places];
        let mut backwards = vec![0; places];
        let mut reversed: Vec<usize> = (0..places).map(|place| place % count).collect();
        let mut of_rows = vec![places; rows];
        let mut last = Vec::with_capacity(count);
        let mut counts = vec![0_f32; (classes + 2) * classes];
        let mut gold = vec![0_f32; places * (classes + 1)];
        let (gold_classes, is_word) = gold.split_at_mut(places * classes);
        for (sentence, words) in sentences.iter().enumerate() {
            for (word, &(row, class)) in words.iter().enumerate() {
                let place = word * count + sentence;
                let from_end = (words.len() - 1 - word) * count + sentence;
                (forwards[place], backwards[from_end]) = (row, row);
                reversed[place] = from_end;
                of_rows[row] = place;
                gold_classes[place * classes + class] = 1.0;
                is_word[place] = 1.0;
                let before = word
                    .checked_sub(1)
                    .map_or(classes, |before| words[before].1);
                counts[before * classes + class] += 1.0;
            }
            if let Some((_, class)) = words.last() {
                last.push((words.len() - 1) * count + sentence);
                counts[(classes + 1) * classes + class] += 1.0;
            }
        }
        let numbers = [forwards, backwards, reversed, last, of_rows].concat();
        let numbers = upload(&Tensor::f_from_slice(&sizes(&numbers))?, device)?;
        let values = upload(&Tensor::f_from_slice(&[gold, counts].concat())?, device)?;
        let part = |first: usize, length: usize| numbers.f_narrow(0, size(first), size(length));
        let values = |first: usize, shape: &[usize]| {
            let length = shape.iter().product::<usize>();
            values
                .f_narrow(0, size(first), size(length))?
                .f_view(sizes(shape).as_slice())
        };
        let gold_end = places * (classes + 1);
        Ok(Self {
            sentences: size(count),
            longest: size(longest),
            rows: part(0, 2 * places)?,
            reversed: part(2 * places, places)?,
            last: part(3 * places, count)?,
            of_rows: part(3 * places + count, rows)?,
            gold: values(0, &[places, classes])?,
            is_word: values(places * classes, &[places, 1])?.f_gt_tensor(&single(0.0_f32)?)?,
            counts: [
                values(gold_end, &[classes, classes])?,
                values(gold_end + classes * classes, &[classes])?,
                values(gold_end + (classes + 1) * classes, &[classes])?,
            ],
        })
    }

    fn places(&self) -> i64 {
        self.sentences * self.longest
    }
}

/// The scores of `heads` fields as factors.
struct Factors {
    /// `[2 * heads, classes, classes]`: those of all heads from one class to the next, then the other
    /// way round.
    steps: Tensor,
    /// `[2 * heads, 1, classes]`: at the start, then at the end.
    ends: Tensor,
    /// The highest scores, by which those above are lowered: `[heads, 1, 1]`, `[2 * heads, 1, 1]`.
    highest_step: Tensor,
    highest_end: Tensor,
}

impl Factors {
    fn new(transitions: &Tensor, start: &Tensor, end: &Tensor) -> Result<Self, TchError> {
        let highest_step = transitions.f_amax([1, 2], true)?;
        let steps = transitions.f_sub(&highest_step)?.f_exp()?;
        let ends = Tensor::f_cat(&[start, end], 0)?.f_unsqueeze(1)?;
        let highest_end = ends.f_amax([2], true)?;
        Ok(Self {
            steps: Tensor::f_cat(&[&steps, &steps.f_transpose(1, 2)?], 0)?,
            ends: ends.f_sub(&highest_end)?.f_exp()?,
            highest_step,
            highest_end,
        })
    }
}

/// Shares of the sequences by the class at each word, and what they were divided by.
struct Ways {
    /// `[heads, places, classes]`: of the words up to each.
    forwards: Tensor,
    /// The same of the words from each on, at the places of these words.
    backwards: Tensor,
    /// The logarithms of the sums forwards, `[heads, places, 1]`.
    sums: Tensor,
}

impl Ways {
    /// Goes over the words, `emissions` being `[longest, 2 * heads, sentences, classes]`.
    fn new(factors: &Factors, emissions: &Tensor, places: &Places) -> Result<Self, TchError> {
        let heads = factors.ends.size()[0] / 2;
        let (mut states, mut sums) = (Vec::new(), Vec::new());
        let mut state = factors.ends.shallow_clone();
        for (word, emissions) in emissions.f_unbind(0)?.iter().enumerate() {
            let reached = if word == 0 {
                state
            } else {
                state.f_bmm(&factors.steps)?
            };
            let mut next = reached.f_mul(emissions)?;
            let sum = next.f_sum_dim_intlist([-1].as_slice(), true, Kind::Float)?;
            state = next.f_div_(&sum)?;
            states.push(state.shallow_clone());
            sums.push(sum);
        }
        // `[heads, places, ..]` of one direction.
        let all = |values: &[Tensor], first: i64| {
            let values = Tensor::f_stack(values, 1)?.f_narrow(0, first, heads)?;
            values.f_flatten(1, 2)
        };
        Ok(Self {
            forwards: all(&states, 0)?,
            backwards: all(&states, heads)?.f_index_select(1, &places.reversed)?,
            sums: all(&sums, 0)?.f_log()?,
        })
    }
}

/// See [`Crf::likelihood`].
pub(super) fn likelihood(
    crf: &Crf,
    logits: &Tensor,
    sentences: &Sentences,
) -> Result<Likelihood, TchError> {
    let in_group = logits.dim() == 3;
    let one = |tensor: &Tensor, dimensions: usize| {
        if tensor.dim() == dimensions {
            tensor.f_unsqueeze(0)
        } else {
            Ok(tensor.shallow_clone())
        }
    };
    let scores = one(logits, 2)?;
    let [transitions, start, end] = [(&crf.transitions, 2), (&crf.start, 1), (&crf.end, 1)]
        .map(|(tensor, dimensions)| one(tensor, dimensions));
    let (transitions, start, end) = (transitions?, start?, end?);
    let (heads, rows, classes) = scores.size3()?;
    let places = Places::new(sentences, rows, classes, logits.device())?;

    let gathered = scores.f_index_select(1, &places.rows)?;
    let shape = [heads, 2, places.longest, places.sentences, classes];
    let gathered = gathered.f_view(shape)?;
    let own = gathered.f_select(1, 0)?.f_flatten(1, 2)?;
    let gathered = gathered.f_permute([2, 1, 0, 3, 4])?.f_flatten(1, 2)?;
    let peaks = gathered.f_amax([-1], true)?;
    let emissions = gathered.f_sub(&peaks)?.f_exp()?;
    let factors = Factors::new(&transitions, &start, &end)?;
    let ways = Ways::new(&factors, &emissions, &places)?;

    // Up to each word without its own logits, and from each word on.
    let later = places.places() - places.sentences;
    let steps = factors.steps.f_narrow(0, 0, heads)?;
    let before = ways.forwards.f_narrow(1, 0, later)?;
    let first = factors.ends.f_narrow(0, 0, heads)?;
    let first = first.f_expand([heads, places.sentences, classes], false)?;
    let reached = Tensor::f_cat(&[&first, &before.f_bmm(&steps)?], 1)?;
    let shares = reached.f_mul(&ways.backwards)?;
    let sums = shares.f_sum_dim_intlist([-1].as_slice(), true, Kind::Float)?;
    let zero = Tensor::f_zeros([1], (Kind::Float, logits.device()))?;
    let likely = shares.f_div(&sums)?.f_where_self(&places.is_word, &zero)?;
    let is_later = places.is_word.f_narrow(0, places.sentences, later)?;
    let left = before.f_div(&sums.f_narrow(1, places.sentences, later)?)?;
    let left = left.f_where_self(&is_later, &zero)?;
    let right = ways.backwards.f_narrow(1, places.sentences, later)?;
    let pairs = left.f_transpose(1, 2)?.f_bmm(&right)?.f_mul(&steps)?;

    let loss = Terms {
        own: &own,
        peaks: &peaks
            .f_narrow(1, 0, heads)?
            .f_transpose(0, 1)?
            .f_flatten(1, 2)?,
        ways: &ways,
        factors: &factors,
        scores: [&transitions, &start, &end],
    };
    let loss = loss.loss(&places, sentences)?;
    let weight = single(sentences.weight())?;
    let by_words = likely.f_sub(&places.gold)?.f_mul(&weight)?;
    let none = Tensor::f_zeros([heads, 1, classes], (Kind::Float, logits.device()))?;
    let by_logits = Tensor::f_cat(&[&by_words, &none], 1)?.f_index_select(1, &places.of_rows)?;
    let at_ends = [
        likely.f_narrow(1, 0, places.sentences)?,
        likely.f_index_select(1, &places.last)?,
    ];
    let [at_start, at_end] =
        at_ends.map(|likely| likely.f_sum_dim_intlist([1].as_slice(), false, Kind::Float));
    let by_parameters = [pairs, at_start?, at_end?];
    let mut gradients = Vec::with_capacity(3);
    for (expected, counted) in by_parameters.iter().zip(&places.counts) {
        gradients.push(expected.f_sub(counted)?.f_mul(&weight)?);
    }
    let ungrouped = |tensor: &Tensor| {
        if in_group {
            Ok(tensor.shallow_clone())
        } else {
            tensor.f_select(0, 0)
        }
    };
    let gradients: Vec<Tensor> = gradients.iter().map(ungrouped).collect::<Result<_, _>>()?;
    Ok(Likelihood {
        loss: ungrouped(&loss.f_mul(&weight)?.f_to_kind(Kind::Float)?)?,
        by_logits: ungrouped(&by_logits)?,
        by_parameters: gradients
            .try_into()
            .map_err(|_| TchError::Shape("three gradients".to_owned()))?,
    })
}

/// What the loss is made of.
struct Terms<'t> {
    /// The logits of the words, `[heads, places, classes]`.
    own: &'t Tensor,
    /// The highest of each word, `[heads, places, 1]`.
    peaks: &'t Tensor,
    ways: &'t Ways,
    factors: &'t Factors,
    /// `[heads, classes, classes]`, `[heads, classes]` twice.
    scores: [&'t Tensor; 3],
}

impl Terms<'_> {
    /// The losses of all sentences together, `[heads]` float64.
    fn loss(&self, places: &Places, sentences: &Sentences) -> Result<Tensor, TchError> {
        let double = |tensor: &Tensor, dimensions: &[i64]| {
            tensor.f_sum_dim_intlist(dimensions, false, Kind::Double)
        };
        let heads = self.scores[0].size()[0];
        let gold = self.own.f_mul(&places.gold)?;
        let gold = gold.f_sum_dim_intlist([-1].as_slice(), true, Kind::Float)?;
        let zero = Tensor::f_zeros([1], (Kind::Float, gold.device()))?;
        let words = self.ways.sums.f_add(self.peaks)?.f_sub(&gold)?;
        let words = double(&words.f_where_self(&places.is_word, &zero)?, &[1, 2])?;
        // Of sequences the end, which no word has in it.
        let last = self.ways.forwards.f_index_select(1, &places.last)?;
        let ends = self.factors.ends.f_narrow(0, heads, heads)?;
        let last = last.f_mul(&ends)?;
        let last = last.f_sum_dim_intlist([-1].as_slice(), false, Kind::Float)?;
        let last = double(&last.f_log()?, &[1])?;
        // Scores less those of the right classes.
        let [steps, start, end] = self.scores;
        let highest = self.factors.highest_end.f_view([2, heads])?;
        let count = sentences.offsets.len() - 1;
        #[expect(clippy::cast_precision_loss, reason = "words of a batch")]
        let [sentences, pairs] = [count, sentences.words.len() - count].map(|many| many as f64);
        let of_steps = self.factors.highest_step.f_view([heads])?;
        let right_steps = double(&steps.f_mul(&places.counts[0])?, &[1, 2])?;
        let right_start = double(&start.f_mul(&places.counts[1])?, &[1])?;
        let right_end = double(&end.f_mul(&places.counts[2])?, &[1])?;
        let of_ends = double(&highest, &[0])?.f_mul(&single(sentences)?)?;
        let of_steps = of_steps.f_to_kind(Kind::Double)?.f_mul(&single(pairs)?)?;
        let terms = words.f_add(&last)?.f_add(&of_ends)?.f_add(&of_steps)?;
        terms
            .f_sub(&right_steps)?
            .f_sub(&right_start)?
            .f_sub(&right_end)
    }
}
