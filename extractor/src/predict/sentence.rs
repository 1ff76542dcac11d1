//! What is to be labelled: the words of a sentence, of a text or of two texts, and how they were
//! read.

use super::words;

/// A sentence that is to be labelled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sentence {
    /// Its words; none for an empty line, which keeps its place.
    pub words: Vec<String>,
    /// The line as it was read and where in it each word stands, in characters: of raw text alone.
    pub source: Option<(String, Vec<(usize, usize)>)>,
    /// The two texts of a pair, whose words stand one after another.
    pub pair: Option<Pair>,
    /// Where it begins, from 1.
    pub line: usize,
    /// Bytes that were read for it.
    pub bytes: usize,
}

/// Two texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pair {
    /// Index of the first word of the second one.
    pub second: usize,
    /// Both as they were read.
    pub texts: [String; 2],
}

/// Raw text on a line of this number.
pub(super) fn text(text: &str, number: usize, whole: bool) -> Sentence {
    if whole {
        let source = Some((text.to_owned(), Vec::new()));
        return Sentence {
            source,
            ..separated(text, number)
        };
    }
    let ranges = words(text);
    // Characters before a byte, counted once for all words.
    let (mut byte, mut count) = (0, 0);
    let mut character = |at: usize| {
        count += text[byte..at].chars().count();
        byte = at;
        count
    };
    let places = ranges
        .iter()
        .map(|range| (character(range.start), character(range.end)))
        .collect();
    Sentence {
        words: ranges
            .into_iter()
            .map(|range| text[range].to_owned())
            .collect(),
        source: Some((text.to_owned(), places)),
        pair: None,
        line: number,
        bytes: text.len() + 1,
    }
}

/// Words on a line of this number.
pub(super) fn separated(text: &str, number: usize) -> Sentence {
    Sentence {
        words: text.split_whitespace().map(str::to_owned).collect(),
        source: None,
        pair: None,
        line: number,
        bytes: text.len() + 1,
    }
}
