//! Words of raw text. Heads are trained on words that somebody has cut already, so text has to be
//! cut much as they cut it; the rule is simple enough to be told in a few sentences and knows no
//! language.
//!
//! 1. Text is cut at white space.
//! 2. A dash (`—`, `–`) or an ellipsis (`…`) is a word wherever it stands.
//! 3. Of what remains, signs that are neither letters nor digits come off at the front and at the
//!    back, one by one; equal ones that touch stay together (`...`, `!!`). The middle is one word,
//!    whatever it contains: `don't`, `U.S.-based`, `3.14`, `and/or`, `https://example.org/a`.
//! 4. `@` and `#` stay at the front of a word (`@user`, `#tag`), an apostrophe stays at its end
//!    after `s` (`James'`), and a full stop stays behind letters that full stops part by ones or
//!    twos (`U.N.`, `e.g.`, `Ph.D.`).

use std::ops::Range;

/// The words of `text`, as ranges of its bytes, in order.
#[must_use]
pub fn words(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut begin = 0;
    for (at, character) in text.char_indices() {
        let end = at + character.len_utf8();
        if character.is_whitespace() {
            chunk(text, begin..at, &mut words);
            begin = end;
        } else if matches!(character, '—' | '–' | '…') {
            chunk(text, begin..at, &mut words);
            words.push(at..end);
            begin = end;
        }
    }
    chunk(text, begin..text.len(), &mut words);
    words
}

/// Adds the words of a piece of text without white space.
fn chunk(text: &str, range: Range<usize>, words: &mut Vec<Range<usize>>) {
    let piece = &text[range.clone()];
    let Some(mut first) = piece.find(is_core) else {
        signs(text, range, words);
        return;
    };
    let mut last = piece.rfind(is_core).unwrap_or(first);
    last += piece[last..].chars().next().map_or(0, char::len_utf8);
    if piece[..first].ends_with(['@', '#']) {
        first -= 1;
    }
    let (core, rest) = (&piece[first..last], &piece[last..]);
    let is_abbreviation = rest.starts_with('.') && !rest.starts_with("..") && has_short_parts(core);
    let is_genitive = core.ends_with(['s', 'S']) && rest.starts_with(['\'', '’']);
    if is_abbreviation || is_genitive {
        last += rest.chars().next().map_or(0, char::len_utf8);
    }
    signs(text, range.start..range.start + first, words);
    words.push(range.start + first..range.start + last);
    signs(text, range.start + last..range.end, words);
}

/// Whether full stops part letters by ones or twos.
fn has_short_parts(core: &str) -> bool {
    let is_short = |part: &str| {
        (1..=2).contains(&part.chars().count()) && part.chars().all(char::is_alphabetic)
    };
    core.contains('.') && core.split('.').all(is_short)
}

/// Letters, digits, and the marks that belong to the letter before them.
fn is_core(character: char) -> bool {
    // Combining marks are alphanumeric where they are vowels; the others never stand alone.
    character.is_alphanumeric() || matches!(character, '\u{300}'..='\u{36f}' | '_')
}

/// Adds signs, equal ones together.
fn signs(text: &str, range: Range<usize>, words: &mut Vec<Range<usize>>) {
    let mut previous = None;
    for (at, character) in text[range.clone()].char_indices() {
        let end = range.start + at + character.len_utf8();
        match words.last_mut() {
            Some(word) if previous == Some(character) => word.end = end,
            _ => words.push(range.start + at..end),
        }
        previous = Some(character);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        words(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn words_are_cut_by_the_rule() {
        let cases: [(&str, &[&str]); 10] = [
            (
                "Mr. Smith (42) isn't here.",
                &["Mr", ".", "Smith", "(", "42", ")", "isn't", "here", "."],
            ),
            (
                "The U.N. met in the U.S.-based office...",
                &[
                    "The",
                    "U.N.",
                    "met",
                    "in",
                    "the",
                    "U.S.-based",
                    "office",
                    "...",
                ],
            ),
            ("It costs $3.14!!", &["It", "costs", "$", "3.14", "!!"]),
            (
                "@user likes #rust \u{1f600}",
                &["@user", "likes", "#rust", "\u{1f600}"],
            ),
            (
                "James' «mots»—là…",
                &["James'", "«", "mots", "»", "—", "là", "…"],
            ),
            (
                "see https://example.org/a?b=1.",
                &["see", "https://example.org/a?b=1", "."],
            ),
            ("Version 2.0.", &["Version", "2.0", "."]),
            (
                "'quoted', \"both\"",
                &["'", "quoted", "'", ",", "\"", "both", "\""],
            ),
            ("e\u{301}te\u{301}, x", &["e\u{301}te\u{301}", ",", "x"]),
            (" \t ", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(cut(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_but_white_space(text in "\\PC{0,60}") {
            let joined: String = cut(&text).concat();
            let expected: String = text.split_whitespace().collect();
            prop_assert_eq!(joined, expected);
            prop_assert!(cut(&text).iter().all(|word| !word.is_empty()));
        }
    }
}
