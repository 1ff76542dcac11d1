//! From the labels of a data set, which are names, to those of a store, which are numbers.

use std::collections::HashMap;

use cache::{Labels, TextLabels};
use shared::tasks::dependencies::NO_HEAD;
use shared::tasks::{NO_CLASS, NO_SET, Output, Task, UNLABELLED};

/// The labels of a split, put together sentence by sentence.
pub(crate) struct LabelBuilder<'a> {
    task: Task,
    classes: &'a [String],
    numbers_of_classes: HashMap<&'a str, i32>,
    ids: Vec<i32>,
    heads: Option<Vec<i32>>,
    numbers: Vec<f32>,
    sets: Vec<u8>,
}

impl<'a> LabelBuilder<'a> {
    pub(crate) fn new(task: Task, classes: &'a [String]) -> Self {
        Self {
            task,
            classes,
            numbers_of_classes: classes.iter().map(String::as_str).zip(0..).collect(),
            ids: Vec::new(),
            heads: task.has_heads().then(Vec::new),
            numbers: Vec::new(),
            sets: Vec::new(),
        }
    }

    /// Adds the labels of the next sentence, and the heads of its words where it has them.
    ///
    /// # Errors
    /// A label that is none of the classes, or no number.
    pub(crate) fn add<'l>(
        &mut self,
        labels: impl IntoIterator<Item = &'l str>,
        heads: Option<&[i32]>,
    ) -> Result<(), &'l str> {
        match self.task.output() {
            Output::Class => {
                for label in labels {
                    let id = if label == UNLABELLED {
                        NO_CLASS
                    } else {
                        *self.numbers_of_classes.get(label).ok_or(label)?
                    };
                    self.ids.push(id);
                }
                if let (Some(all), Some(heads)) = (&mut self.heads, heads) {
                    all.extend_from_slice(heads);
                }
            }
            Output::Number => {
                for label in labels {
                    self.numbers.push(label.parse().map_err(|_| label)?);
                }
            }
            Output::Set => {
                let begin = self.sets.len();
                self.sets.resize(begin + self.classes.len(), 0);
                for label in labels {
                    let id = *self.numbers_of_classes.get(label).ok_or(label)?;
                    self.sets[begin + usize::try_from(id).unwrap_or(0)] = 1;
                }
            }
        }
        Ok(())
    }

    /// Adds a sentence of so many words that has no labels.
    pub(crate) fn add_unlabelled(&mut self, words: usize) {
        match self.task.output() {
            Output::Class => {
                let missing = if self.task.labels_words() { words } else { 1 };
                self.ids.extend(std::iter::repeat_n(NO_CLASS, missing));
                if let Some(heads) = &mut self.heads {
                    heads.extend(std::iter::repeat_n(NO_HEAD, missing));
                }
            }
            Output::Number => self.numbers.push(f32::NAN),
            Output::Set => {
                let missing = std::iter::repeat_n(NO_SET, self.classes.len());
                self.sets.extend(missing);
            }
        }
    }

    /// How many words or sentences have a label.
    pub(crate) fn labelled(&self) -> usize {
        match self.task.output() {
            Output::Class => self.ids.iter().filter(|&&id| id != NO_CLASS).count(),
            Output::Number => self
                .numbers
                .iter()
                .filter(|number| !number.is_nan())
                .count(),
            Output::Set => {
                let sets = self.sets.chunks_exact(self.classes.len().max(1));
                sets.filter(|set| set.first() != Some(&NO_SET)).count()
            }
        }
    }

    /// The labels of all sentences that were added.
    pub(crate) fn finish(self) -> Labels {
        Labels {
            task: self.task,
            classes: self.classes.to_vec(),
            level: self.task.level(),
            ids: self.ids,
            heads: self.heads,
            texts: match self.task.output() {
                Output::Class => None,
                Output::Number => Some(TextLabels::Numbers(self.numbers)),
                Output::Set => Some(TextLabels::Sets(self.sets)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_numbers_of_their_kind() {
        let classes = ["a", "b", "c"].map(str::to_owned);
        let mut sets = LabelBuilder::new(Task::Multilabel, &classes);
        sets.add(["c", "a"], None).unwrap();
        sets.add([], None).unwrap();
        sets.add_unlabelled(7);
        assert_eq!(sets.add(["a", "z"], None), Err("z"));
        assert_eq!(sets.labelled(), 3, "with what was added of the wrong one");
        let expected = vec![1, 0, 1, 0, 0, 0, 255, 255, 255, 1, 0, 0];
        assert_eq!(sets.finish().texts, Some(TextLabels::Sets(expected)));

        let mut numbers = LabelBuilder::new(Task::Regression, &[]);
        numbers.add(["2.5"], None).unwrap();
        numbers.add_unlabelled(3);
        assert_eq!(numbers.add(["good"], None), Err("good"));
        assert_eq!(numbers.labelled(), 1);
        let Some(TextLabels::Numbers(numbers)) = numbers.finish().texts else {
            panic!("no numbers");
        };
        assert!((numbers[0] - 2.5).abs() < 1e-9 && numbers[1].is_nan());

        let mut words = LabelBuilder::new(Task::Pos, &classes);
        words.add(["b", UNLABELLED], None).unwrap();
        words.add_unlabelled(2);
        assert_eq!(words.labelled(), 1);
        assert_eq!(words.finish().ids, [1, NO_CLASS, NO_CLASS, NO_CLASS]);
    }

    #[test]
    fn heads_go_with_the_labels_of_words() {
        let classes = ["root", "det"].map(str::to_owned);
        let mut words = LabelBuilder::new(Task::Dep, &classes);
        words.add(["det", "root"], Some(&[1, -1])).unwrap();
        words.add_unlabelled(1);
        let labels = words.finish();
        assert_eq!(labels.heads, Some(vec![1, -1, NO_HEAD]));
        assert_eq!(labels.ids, [1, 0, NO_CLASS]);
    }
}
