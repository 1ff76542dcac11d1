//! Heads of words, as CoNLL-U has them: a column with the number of each word's head in the
//! sentence, 0 for the root.

use clap::ValueEnum;

use super::LineError;
use super::lines::Line;
use crate::tasks::dependencies::{NO_HEAD, ROOT, check};

/// How relations are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Relations {
    /// As they are written, with subtypes (nmod:poss)
    #[default]
    Full,
    /// Without subtypes (nmod)
    Universal,
}

/// The heads of the sentence that is being read.
#[derive(Debug, Default)]
pub(super) struct Tree {
    heads: Vec<i32>,
    /// The line of each word.
    lines: Vec<usize>,
}

impl Tree {
    /// Adds the next word: its number, its head and whether it has a relation.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub(super) fn add(
        &mut self,
        line: &Line<'_>,
        (id, head): (&str, &str),
        has_relation: bool,
    ) -> Result<(), LineError> {
        let expected = self.heads.len() + 1;
        if id.parse() != Ok(expected) {
            let got = id.to_owned();
            return Err(LineError::WordNumber { expected, got });
        }
        let head = match head {
            "_" => NO_HEAD,
            number => {
                let number = number.parse::<i32>().ok().filter(|&number| number >= 0);
                let got = || LineError::Head(head.to_owned());
                number.ok_or_else(got)?.checked_sub(1).unwrap_or(ROOT)
            }
        };
        if (head == NO_HEAD) == has_relation {
            return Err(LineError::HalfAnArc { has_relation });
        }
        self.heads.push(head);
        self.lines.push(line.number);
        Ok(())
    }

    /// Ends the sentence: its heads, which must make a tree.
    ///
    /// # Errors
    /// What is wrong, with its line.
    pub(super) fn close(&mut self) -> Result<Vec<i32>, (usize, LineError)> {
        let heads = std::mem::take(&mut self.heads);
        let lines = std::mem::take(&mut self.lines);
        match check(&heads) {
            Ok(()) => Ok(heads),
            Err((word, error)) => Err((lines[word], LineError::Tree(error))),
        }
    }
}
