//! Many sentences in little memory. A string per word would take ten times the file; here all words
//! are one text, and a label is a number.

use std::collections::HashMap;

/// One sentence, or one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// The words.
    pub words: Vec<String>,
    /// One label a word; for tasks that label texts exactly one, or any number.
    pub labels: Vec<String>,
    /// The line of the file on which it begins, from 1.
    pub line: usize,
    /// Where it is a pair of texts, the index of the first word of the second one.
    pub second: Option<usize>,
}

/// Stands for a word that is empty in the file: U+FFFD, which Unicode has for what cannot be
/// represented.
const EMPTY_WORD: &str = "\u{fffd}";

/// The sentences of a split, stored compactly.
#[derive(Debug, Clone, Default)]
pub struct Sentences {
    /// All words of all sentences, without separators.
    text: String,
    /// The bytes of each word.
    lengths: Vec<u32>,
    labels: Vec<u32>,
    /// The head of each word, where the file has heads; else empty.
    heads: Vec<i32>,
    classes: LabelNames,
    /// Where each sentence ends.
    ends: Vec<End>,
    empty_words: usize,
    /// The line and the column of the first label that is empty in the file.
    first_empty: Option<(usize, usize)>,
    /// Of the sentence that is being added, see [`End::second`].
    second: u32,
}

/// The ends of a sentence in the parts of [`Sentences`], and its line.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    text: usize,
    word: usize,
    label: usize,
    line: usize,
    /// Words of the first text of a pair; 0 for a single text.
    second: u32,
}

/// Label names by number.
#[derive(Debug, Clone, Default)]
struct LabelNames {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
    /// The one asked for last: most often also the next.
    last: u32,
}

impl LabelNames {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "four billion different labels do not fit into memory"
    )]
    fn number(&mut self, name: &str) -> u32 {
        if self
            .texts
            .get(self.last as usize)
            .is_some_and(|last| last == name)
        {
            return self.last;
        }
        self.last = self.numbers.get(name).copied().unwrap_or_else(|| {
            let number = self.texts.len() as u32;
            self.texts.push(name.to_owned());
            self.numbers.insert(name.to_owned(), number);
            number
        });
        self.last
    }
}

impl Sentences {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many words there are in all sentences.
    #[must_use]
    pub fn word_count(&self) -> usize {
        self.lengths.len()
    }

    /// One sentence, copied out; none past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Sentence> {
        let line = self.ends.get(index)?.line;
        let second = self.second(index);
        let words = self.words(index).map(str::to_owned).collect();
        let labels = self.labels(index).map(str::to_owned).collect();
        Some(Sentence {
            words,
            labels,
            line,
            second,
        })
    }

    /// All sentences, each copied out.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Sentence> + '_ {
        (0..self.len()).map(|index| Sentence {
            words: self.words(index).map(str::to_owned).collect(),
            labels: self.labels(index).map(str::to_owned).collect(),
            line: self.line(index),
            second: self.second(index),
        })
    }

    /// The words of one sentence, without a copy.
    ///
    /// # Panics
    /// When there is no sentence `index`.
    #[must_use]
    pub fn words(&self, index: usize) -> impl ExactSizeIterator<Item = &str> {
        let (begin, end) = (self.begin(index), self.ends[index]);
        let mut rest = &self.text[begin.text..end.text];
        self.lengths[begin.word..end.word]
            .iter()
            .map(move |length| {
                let (word, after) = rest.split_at(*length as usize);
                rest = after;
                word
            })
    }

    /// The labels of one sentence, without a copy.
    ///
    /// # Panics
    /// When there is no sentence `index`.
    #[must_use]
    pub fn labels(&self, index: usize) -> impl ExactSizeIterator<Item = &str> {
        let (begin, end) = (self.begin(index), self.ends[index]);
        self.labels[begin.label..end.label]
            .iter()
            .map(|number| self.classes.texts[*number as usize].as_str())
    }

    /// The heads of one sentence's words, as [`crate::tasks::dependencies`] has them; none where
    /// the file has no heads.
    ///
    /// # Panics
    /// When there is no sentence `index`.
    #[must_use]
    pub fn heads(&self, index: usize) -> Option<&[i32]> {
        self.heads
            .get(self.begin(index).word..self.ends[index].word)
    }

    /// Where a sentence is a pair of texts, the index of the first word of the second one.
    ///
    /// # Panics
    /// When there is no sentence `index`.
    #[must_use]
    pub fn second(&self, index: usize) -> Option<usize> {
        let second = self.ends[index].second;
        (second > 0).then_some(second as usize)
    }

    /// Whether a sentence is a pair of texts.
    #[must_use]
    pub fn has_pairs(&self) -> bool {
        self.ends.iter().any(|end| end.second > 0)
    }

    /// The line on which a sentence begins, from 1.
    ///
    /// # Panics
    /// When there is no sentence `index`.
    #[must_use]
    pub fn line(&self, index: usize) -> usize {
        self.ends[index].line
    }

    /// The different labels, in the order in which they first occur.
    #[must_use]
    pub fn label_names(&self) -> &[String] {
        &self.classes.texts
    }

    /// How many words were empty.
    pub(super) fn empty_words(&self) -> usize {
        self.empty_words
    }

    /// The line and the column of the first label that is empty in the file.
    pub(super) fn first_empty(&self) -> Option<(usize, usize)> {
        self.first_empty
    }

    /// The different labels and how often each occurs.
    pub(super) fn label_counts(&self) -> impl Iterator<Item = (&str, usize)> {
        let mut counts = vec![0; self.classes.texts.len()];
        self.labels
            .iter()
            .for_each(|number| counts[*number as usize] += 1);
        self.classes.texts.iter().map(String::as_str).zip(counts)
    }

    /// Adds a sentence at the end.
    pub fn push<W: AsRef<str>, L: AsRef<str>>(&mut self, words: &[W], labels: &[L], line: usize) {
        for word in words {
            self.add_word(word.as_ref());
        }
        for label in labels {
            self.add_label(label.as_ref());
        }
        self.close(line);
    }

    /// Says that the second text of a pair begins behind the words that were added.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "four billion words do not fit into memory"
    )]
    pub(super) fn begin_second(&mut self) {
        let first = self.ends.last().map_or(0, |end| end.word);
        self.second = (self.lengths.len() - first) as u32;
    }

    /// Adds a word to the sentence that [`Self::close`] will end. For an empty one, whose
    /// characters were lost before it was written, the place is kept by [`EMPTY_WORD`].
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a word is shorter than a line, which is bounded"
    )]
    pub(super) fn add_word(&mut self, word: &str) {
        let word = if word.trim().is_empty() {
            self.empty_words += 1;
            EMPTY_WORD
        } else {
            word
        };
        self.text.push_str(word);
        self.lengths.push(word.len() as u32);
    }

    /// Adds a label to the sentence that [`Self::close`] will end.
    pub(super) fn add_label(&mut self, label: &str) {
        let number = self.classes.number(label);
        self.labels.push(number);
    }

    /// Adds the heads of all words of the sentence that [`Self::close`] will end.
    pub(super) fn add_heads(&mut self, heads: &[i32]) {
        self.heads.extend_from_slice(heads);
    }

    /// Says that there is a label of this name, whether it occurs or not.
    pub(super) fn declare_label(&mut self, label: &str) {
        self.classes.number(label);
    }

    /// Adds a label that is empty in the file, which may mean that the word is in no span.
    pub(super) fn add_empty_label(&mut self, line: usize, column: usize) {
        self.first_empty.get_or_insert((line, column));
        self.add_label(crate::tasks::UNLABELLED);
    }

    /// Ends the sentence that began on `line`; without a word since the last one there is none.
    pub(super) fn close(&mut self, line: usize) {
        let second = std::mem::take(&mut self.second);
        if self.lengths.len() > self.ends.last().map_or(0, |end| end.word) {
            self.ends.push(End {
                text: self.text.len(),
                word: self.lengths.len(),
                label: self.labels.len(),
                line,
                second,
            });
        }
    }

    /// Adds the sentences of another collection behind these.
    pub(super) fn append(&mut self, other: &Self) {
        for index in 0..other.len() {
            self.add_copy(other, index);
        }
        self.empty_words += other.empty_words;
    }

    /// Adds a sentence of another collection.
    fn add_copy(&mut self, other: &Self, index: usize) {
        for (word, text) in other.words(index).enumerate() {
            if other.second(index) == Some(word) {
                self.begin_second();
            }
            self.add_word(text);
        }
        other.labels(index).for_each(|label| self.add_label(label));
        self.add_heads(other.heads(index).unwrap_or_default());
        self.close(other.line(index));
    }

    /// Gives back what the vectors took in advance.
    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.lengths.shrink_to_fit();
        self.labels.shrink_to_fit();
        self.heads.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// Replaces the labels of every sentence by as many others.
    pub(super) fn relabel(&mut self, mut change: impl FnMut(&[&str]) -> Vec<String>) {
        let mut names = LabelNames::default();
        let mut start = 0;
        for end in &self.ends {
            let numbers = &mut self.labels[start..end.label];
            let old: Vec<&str> = numbers
                .iter()
                .map(|number| self.classes.texts[*number as usize].as_str())
                .collect();
            for (number, label) in numbers.iter_mut().zip(change(&old)) {
                *number = names.number(&label);
            }
            start = end.label;
        }
        self.classes = names;
    }

    /// Takes the chosen sentences out into a collection of their own; the others close up, in
    /// place.
    pub(super) fn take_out(&mut self, chosen: impl Fn(usize) -> bool) -> Self {
        let mut taken = Self::default();
        for index in (0..self.len()).filter(|index| chosen(*index)) {
            taken.add_copy(self, index);
        }
        let mut bytes = std::mem::take(&mut self.text).into_bytes();
        let (mut begin, mut kept, mut count) = (End::default(), End::default(), 0);
        for index in 0..self.ends.len() {
            let end = self.ends[index];
            if !chosen(index) {
                bytes.copy_within(begin.text..end.text, kept.text);
                self.lengths.copy_within(begin.word..end.word, kept.word);
                if !self.heads.is_empty() {
                    self.heads.copy_within(begin.word..end.word, kept.word);
                }
                self.labels.copy_within(begin.label..end.label, kept.label);
                kept = End {
                    text: kept.text + end.text - begin.text,
                    word: kept.word + end.word - begin.word,
                    label: kept.label + end.label - begin.label,
                    line: end.line,
                    second: end.second,
                };
                self.ends[count] = kept;
                count += 1;
            }
            begin = end;
        }
        self.ends.truncate(count);
        self.lengths.truncate(kept.word);
        self.heads.truncate(kept.word);
        self.labels.truncate(kept.label);
        bytes.truncate(kept.text);
        // Only whole words were moved, so this is text again.
        self.text = String::from_utf8(bytes).unwrap_or_default();
        taken
    }

    /// Where a sentence begins: where the one before it ends.
    fn begin(&self, index: usize) -> End {
        index
            .checked_sub(1)
            .map_or_else(End::default, |before| self.ends[before])
    }
}

impl FromIterator<Sentence> for Sentences {
    fn from_iter<T: IntoIterator<Item = Sentence>>(sentences: T) -> Self {
        let mut collected = Self::default();
        for sentence in sentences {
            for (word, text) in sentence.words.iter().enumerate() {
                if sentence.second == Some(word) {
                    collected.begin_second();
                }
                collected.add_word(text);
            }
            for label in &sentence.labels {
                collected.add_label(label);
            }
            collected.close(sentence.line);
        }
        collected
    }
}

impl From<Vec<Sentence>> for Sentences {
    fn from(sentences: Vec<Sentence>) -> Self {
        sentences.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(text: &str, line: usize) -> Sentence {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let labels = words.iter().map(|word| word.to_uppercase()).collect();
        Sentence {
            // Some are pairs of texts.
            second: (words.len() > 2).then_some(words.len() - 1),
            words,
            labels,
            line,
        }
    }

    #[test]
    fn sentences_come_out_as_they_went_in() {
        let given = vec![sentence("a bc", 1), sentence("ü", 4), sentence("d e f", 6)];
        let stored = Sentences::from(given.clone());
        assert_eq!(stored.iter().collect::<Vec<_>>(), given);
        assert_eq!(stored.get(1).as_ref(), Some(&given[1]));
        assert_eq!(stored.get(3), None);
        assert_eq!(stored.word_count(), 6);
    }

    #[test]
    fn chosen_sentences_are_taken_out_and_the_rest_stays_whole() {
        let given: Vec<Sentence> = ["a bc", "ü", "d e f", "g"]
            .iter()
            .zip(1..)
            .map(|(text, line)| sentence(text, line))
            .collect();
        for chosen in 0..16_usize {
            let mut kept = Sentences::from(given.clone());
            let taken = kept.take_out(|index| chosen >> index & 1 == 1);
            let (expected_taken, expected_kept): (Vec<_>, Vec<_>) = given
                .iter()
                .cloned()
                .enumerate()
                .partition(|(index, _)| chosen >> index & 1 == 1);
            assert!(
                taken
                    .iter()
                    .eq(expected_taken.into_iter().map(|(_, sentence)| sentence))
            );
            assert!(
                kept.iter()
                    .eq(expected_kept.into_iter().map(|(_, sentence)| sentence))
            );
        }
    }

    #[test]
    fn labels_are_replaced_and_unused_names_forgotten() {
        let mut stored = Sentences::from(vec![sentence("a a", 1), sentence("b", 2)]);
        stored.relabel(|labels| {
            labels
                .iter()
                .map(|label| format!("{label}{}", labels.len()))
                .collect()
        });
        assert_eq!(stored.label_names(), ["A2", "B1"]);
        assert_eq!(stored.labels(0).collect::<Vec<_>>(), ["A2", "A2"]);
    }
}
