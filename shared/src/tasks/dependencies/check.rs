//! Whether the heads of a sentence's words make a tree.

use super::{NO_HEAD, ROOT};

/// Heads that make no tree. Words are counted from 1, as in CoNLL-U.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A head that is no word of the sentence.
    #[error("the head of word {word} is word {got}, but the sentence has {words} words")]
    OutOfRange {
        /// The word.
        word: usize,
        /// Its head.
        got: i64,
        /// Words of the sentence.
        words: usize,
    },
    /// More than one word without a head.
    #[error("words {first} and {second} are both the root; a sentence has one")]
    TwoRoots {
        /// The first root.
        first: usize,
        /// The second root.
        second: usize,
    },
    /// Every word has a head.
    #[error("no word is the root: one of the {words} words must have the head 0")]
    NoRoot {
        /// Words of the sentence.
        words: usize,
    },
    /// Words that hang on each other.
    #[error("the heads go in a circle: {}", told(.words))]
    Cycle {
        /// The words, each the dependent of the next.
        words: Vec<usize>,
    },
}

fn told(words: &[usize]) -> String {
    let all = words.iter().chain(words.first());
    let all: Vec<String> = all.map(|word| format!("word {word}")).collect();
    all.join(" hangs on ")
}

/// Checks the heads of a sentence, `[words]`: indices from 0, [`ROOT`], or [`NO_HEAD`] for words
/// whose head is not said; where all are said, one must be the root.
///
/// # Errors
/// What is wrong, with the index of the first word that makes it so.
pub fn check(heads: &[i32]) -> Result<(), (usize, TreeError)> {
    let words = heads.len();
    let mut root = None;
    for (word, &head) in heads.iter().enumerate() {
        if head == ROOT {
            if let Some(first) = root.replace(word) {
                let (first, second) = (first + 1, word + 1);
                return Err((word, TreeError::TwoRoots { first, second }));
            }
        } else if head != NO_HEAD && usize::try_from(head).map_or(true, |head| head >= words) {
            let got = i64::from(head) + 1;
            let word_number = word + 1;
            let error = TreeError::OutOfRange {
                word: word_number,
                got,
                words,
            };
            return Err((word, error));
        }
    }
    if let Some(cycle) = cycle(heads) {
        let first = cycle[0];
        let words = cycle.iter().map(|word| word + 1).collect();
        return Err((first, TreeError::Cycle { words }));
    }
    if root.is_none() && words > 0 && !heads.contains(&NO_HEAD) {
        return Err((0, TreeError::NoRoot { words }));
    }
    Ok(())
}

/// The first circle of heads, which are in range; it begins with its first word.
fn cycle(heads: &[i32]) -> Option<Vec<usize>> {
    // 0: not seen yet; else the number of the walk on which a word was met.
    let mut met = vec![0_usize; heads.len()];
    for start in 0..heads.len() {
        let mut word = start;
        while met[word] == 0 {
            met[word] = start + 1;
            match usize::try_from(heads[word]) {
                Ok(head) => word = head,
                Err(_) => break,
            }
        }
        let is_closed = met[word] == start + 1 && heads[word] >= 0;
        if is_closed {
            let mut cycle = vec![word];
            let next = |word: usize| usize::try_from(heads[word]).unwrap_or(word);
            let mut at = next(word);
            while at != word {
                cycle.push(at);
                at = next(at);
            }
            let first = cycle.iter().enumerate().min_by_key(|(_, word)| **word);
            let first = first.map_or(0, |(place, _)| place);
            cycle.rotate_left(first);
            return Some(cycle);
        }
    }
    None
}
