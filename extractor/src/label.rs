//! Labels of another task for the text of a store. Two data sets over one text need not have its
//! sentences in one order, nor all of them, so sentences are found again by their words, and what
//! is not found goes without a label.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;

use cache::{Labels, SplitReader, Store};
use serde::Serialize;
use shared::datasets::{Dataset, Split, SplitName};
use shared::exit::{ExitStatus, HasExitStatus};
use shared::tasks::Task;
use thiserror::Error;

use crate::labels::LabelBuilder;

/// Why a data set cannot label a store.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabelError {
    /// The labels that came with the store are part of its identity.
    #[error(
        "{store} was made with its labels for {task}, they are part of its identity; \
         name another --task, or extract a store of the other data set",
        store = store.display()
    )]
    OwnTask {
        /// The store.
        store: PathBuf,
        /// The task.
        task: Task,
    },
    /// Most sentences of the store are not in the data set.
    #[error(
        "{dataset} has only {found} of the {wanted} sentences of {store}: the two are not the same text; {first}",
        store = store.display(),
        first = .first.as_ref().map_or_else(|| "no split of theirs is called the same".to_owned(), ToString::to_string)
    )]
    OtherText {
        /// The store.
        store: PathBuf,
        /// The data set.
        dataset: String,
        /// Sentences of the store that the data set has.
        found: usize,
        /// Sentences of the store, in splits that the data set has.
        wanted: usize,
        /// The first sentence that the data set has not.
        first: Option<Box<Difference>>,
    },
}

impl HasExitStatus for LabelError {
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::User
    }
}

/// A sentence of the store that the data set has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The split.
    pub split: SplitName,
    /// Number of the sentence in its split, from 1.
    pub sentence: usize,
    /// Its words.
    pub words: Vec<String>,
    /// What stands at its place in the data set.
    pub instead: Option<Instead>,
}

/// The sentence of the data set at the same place, where it begins to differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instead {
    /// The file.
    pub path: PathBuf,
    /// The line on which it begins.
    pub line: usize,
    /// Number of the first other word, from 1.
    pub word: usize,
    /// The word in the store; none at its end.
    pub stored: Option<String>,
    /// The word in the data set; none at its end.
    pub got: Option<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (split, sentence) = (self.split, self.sentence);
        let begin = self.words[..self.words.len().min(8)].join(" ");
        let more = if self.words.len() > 8 { " ..." } else { "" };
        write!(
            formatter,
            "the first that is not there is sentence {sentence} of {split}, \"{begin}{more}\""
        )?;
        let Some(instead) = &self.instead else {
            return Ok(());
        };
        let told = |word: &Option<String>| {
            word.as_ref()
                .map_or_else(|| "no more".to_owned(), |word| format!("{word:?}"))
        };
        let (stored, got) = (told(&instead.stored), told(&instead.got));
        write!(
            formatter,
            "; in its place {}, line {}, has {got} as word {}, not {stored}",
            instead.path.display(),
            instead.line,
            instead.word,
        )
    }
}

/// What was found again in one split of a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Matches {
    /// Sentences of the store.
    pub sentences: usize,
    /// Those that the same split of the data set has.
    pub matched: usize,
    /// Those that only another split of the data set has.
    pub elsewhere: usize,
    /// Words, or sentences of a task with one label a text, that got a class.
    pub labelled: usize,
}

impl Matches {
    /// Sentences that go without a label.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.sentences - self.matched - self.elsewhere
    }
}

/// The labels of a data set, in the order of a store.
#[derive(Debug)]
pub struct Labelling {
    /// A table for each split of the store.
    pub labels: Vec<(SplitName, Labels)>,
    /// How many of the sentences were found.
    pub matches: BTreeMap<SplitName, Matches>,
    /// The first sentence of the store that was not.
    pub first_missing: Option<Difference>,
    /// Sentences of the data set that the store has not.
    pub unused: usize,
}

impl Labelling {
    /// Finds the sentences of `store` in `dataset` by their words: in the split of the same name,
    /// else in another one; sentences that occur several times are taken in order.
    ///
    /// # Errors
    /// [`LabelError::OwnTask`]; [`LabelError::OtherText`] when less than half of the sentences are
    /// found, of those splits that the data set has.
    pub fn new(store: &Store, dataset: &Dataset) -> Result<Self, LabelError> {
        if dataset.task == store.manifest().dataset.task {
            return Err(LabelError::OwnTask {
                store: store.path().to_owned(),
                task: dataset.task,
            });
        }
        let mut places = Places::in_dataset(dataset);
        let mut found: Vec<(&SplitReader, Vec<Option<Place>>)> = store
            .splits()
            .map(|split| (split, places.in_split(split)))
            .collect();
        let mut matches = BTreeMap::new();
        let mut labels = Vec::new();
        for (split, found) in &mut found {
            let in_split = found.iter().flatten().count();
            places.elsewhere(split, found);
            let table = table(dataset, split, found);
            let counts = Matches {
                sentences: split.sentences(),
                matched: in_split,
                elsewhere: found.iter().flatten().count() - in_split,
                labelled: table.labelled(),
            };
            matches.insert(split.name(), counts);
            labels.push((split.name(), table.finish()));
        }
        let first_missing = found
            .iter()
            .find_map(|(split, found)| difference(dataset, split, found));
        let labelling = Self {
            labels,
            matches,
            first_missing,
            unused: places.left(),
        };
        labelling.check(store, dataset)?;
        Ok(labelling)
    }

    fn check(&self, store: &Store, dataset: &Dataset) -> Result<(), LabelError> {
        let common = || {
            let there = |name: &SplitName| dataset.split(*name).is_some();
            self.matches.iter().filter(move |(name, _)| there(name))
        };
        let wanted: usize = common().map(|(_, matches)| matches.sentences).sum();
        let missing: usize = common().map(|(_, matches)| matches.missing()).sum();
        let found = wanted - missing;
        if found * 2 >= wanted && found > 0 {
            return Ok(());
        }
        Err(LabelError::OtherText {
            store: store.path().to_owned(),
            dataset: dataset.id.clone(),
            found,
            wanted,
            first: self.first_missing.clone().map(Box::new),
        })
    }
}

/// A sentence of the data set: the number of its split, and its own.
type Place = (usize, usize);

/// The sentences of a data set by their words; those that are taken are gone.
struct Places<'a> {
    dataset: &'a Dataset,
    by_words: HashMap<Vec<&'a str>, VecDeque<Place>>,
}

impl<'a> Places<'a> {
    fn in_dataset(dataset: &'a Dataset) -> Self {
        let mut by_words: HashMap<Vec<&str>, VecDeque<Place>> = HashMap::new();
        for (number, split) in dataset.splits.iter().enumerate() {
            for sentence in 0..split.sentences.len() {
                let words = split.sentences.words(sentence).collect();
                by_words
                    .entry(words)
                    .or_default()
                    .push_back((number, sentence));
            }
        }
        Self { dataset, by_words }
    }

    /// The places of a split's sentences in the split of the same name.
    fn in_split(&mut self, split: &'a SplitReader) -> Vec<Option<Place>> {
        let mut splits = self.dataset.splits.iter();
        let same = splits.position(|other| other.name == split.name());
        let sentences = 0..split.sentences();
        sentences
            .map(|sentence| self.take(&split.words(sentence), |(number, _)| Some(*number) == same))
            .collect()
    }

    /// Fills in the places of sentences that other splits have.
    fn elsewhere(&mut self, split: &'a SplitReader, found: &mut [Option<Place>]) {
        for (sentence, place) in found.iter_mut().enumerate() {
            if place.is_none() {
                *place = self.take(&split.words(sentence), |_| true);
            }
        }
    }

    fn take(&mut self, words: &[&'a str], fits: impl Fn(&Place) -> bool) -> Option<Place> {
        let places = self.by_words.get_mut(words)?;
        let at = places.iter().position(fits)?;
        places.remove(at)
    }

    fn left(&self) -> usize {
        self.by_words.values().map(VecDeque::len).sum()
    }
}

/// The labels of a split; what was not found has none.
fn table<'a>(
    dataset: &'a Dataset,
    split: &SplitReader,
    found: &[Option<Place>],
) -> LabelBuilder<'a> {
    let mut labels = LabelBuilder::new(dataset.task, &dataset.classes);
    for (sentence, place) in found.iter().enumerate() {
        let known = place.is_some_and(|(number, place)| {
            let sentences = &dataset.splits[number].sentences;
            labels
                .add(sentences.labels(place), sentences.heads(place))
                .is_ok()
        });
        if !known {
            labels.add_unlabelled(split.words(sentence).len());
        }
    }
    labels
}

/// The first sentence of a split that was not found, beside what the data set has in its place.
fn difference(
    dataset: &Dataset,
    split: &SplitReader,
    found: &[Option<Place>],
) -> Option<Difference> {
    let same = dataset
        .splits
        .iter()
        .position(|other| other.name == split.name())?;
    let sentence = found.iter().position(Option::is_none)?;
    let words = split.words(sentence);
    // After the one before it, where that is in the same split.
    let before = found[..sentence].last().copied().flatten();
    let place = before
        .filter(|(split, _)| *split == same)
        .map_or(sentence, |(_, place)| place + 1);
    Some(Difference {
        split: split.name(),
        sentence: sentence + 1,
        instead: instead(&dataset.splits[same], place, &words),
        words: words.into_iter().map(str::to_owned).collect(),
    })
}

fn instead(other: &Split, place: usize, words: &[&str]) -> Option<Instead> {
    if place >= other.sentences.len() {
        return None;
    }
    let got: Vec<&str> = other.sentences.words(place).collect();
    let word = (0..words.len().max(got.len())).find(|&word| words.get(word) != got.get(word))?;
    let text = |words: &[&str]| words.get(word).map(|&word| word.to_owned());
    Some(Instead {
        path: other.path.clone(),
        line: other.sentences.line(place),
        word: word + 1,
        stored: text(words),
        got: text(&got),
    })
}
