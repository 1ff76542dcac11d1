//! Words of raw text. Heads are trained on words that somebody has cut already, so text has to be
//! cut much as they cut it; the rule is simple enough to be told in a few sentences and knows no
//! language. Texts whose labels are spans of characters are cut by it as well.
//!
//! 1. Text is cut at white space.
//! 2. A dash (`—`, `–`) or an ellipsis (`…`) is a word wherever it stands.
//! 3. Of what remains, signs that are neither letters nor digits come off at the front and at the
//!    back, one by one; equal ones that touch stay together (`...`, `!!`). The middle is one word,
//!    whatever it contains: `don't`, `U.S.-based`, `3.14`, `and/or`, `https://example.org/a`.
//! 4. A character as a reader sees it is never cut: an emoji joined of several, a flag, a sign or letter
//!    with its marks (extended grapheme clusters, UAX #29).
//! 5. `@` and `#` stay at the front of a word (`@user`, `#tag`), an apostrophe stays at its end
//!    after `s` (`James'`), and a full stop stays behind letters that full stops part by ones or
//!    twos (`U.N.`, `e.g.`, `Ph.D.`).

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

/// The words of `text`, as ranges of its bytes, in order.
#[must_use]
pub fn words(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut piece: Vec<Unit<'_>> = Vec::new();
    for unit in units(text) {
        match unit.first {
            first if first.is_whitespace() => add_piece(&mut piece, &mut words),
            '—' | '–' | '…' => {
                add_piece(&mut piece, &mut words);
                words.push(unit.range());
            }
            _ => piece.push(unit),
        }
    }
    add_piece(&mut piece, &mut words);
    words
}

/// What is never cut: a character as a reader sees it.
#[derive(Debug, Clone, Copy)]
struct Unit<'a> {
    at: usize,
    text: &'a str,
    first: char,
}

impl Unit<'_> {
    fn range(&self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }

    fn is(&self, signs: &[&str]) -> bool {
        signs.contains(&self.text)
    }
}

/// The characters of a text; white space is parted from the marks on it, and from signs that belong to
/// what follows them.
fn units(text: &str) -> impl Iterator<Item = Unit<'_>> {
    text.grapheme_indices(true).flat_map(|(mut at, cluster)| {
        let mut rest = cluster;
        std::iter::from_fn(move || {
            let first = rest.chars().next()?;
            let is_other = |next: char| next.is_whitespace() != first.is_whitespace();
            let (text, behind) = rest.split_at(rest.find(is_other).unwrap_or(rest.len()));
            let unit = Unit { at, text, first };
            (at, rest) = (at + text.len(), behind);
            Some(unit)
        })
    })
}

/// Adds the words of a piece of text without white space, and empties it.
fn add_piece(piece: &mut Vec<Unit<'_>>, words: &mut Vec<Range<usize>>) {
    let is_core = |unit: &Unit<'_>| is_core(unit.first);
    let Some(mut first) = piece.iter().position(is_core) else {
        signs(piece, words);
        piece.clear();
        return;
    };
    let mut last = piece.iter().rposition(is_core).unwrap_or(first) + 1;
    if first > 0 && piece[first - 1].is(&["@", "#"]) {
        first -= 1;
    }
    let core: String = piece[first..last].iter().map(|unit| unit.text).collect();
    let next = |sign: &[&str]| piece.get(last).is_some_and(|unit| unit.is(sign));
    let dots = piece[last..]
        .iter()
        .take_while(|unit| unit.is(&["."]))
        .count();
    let is_abbreviation = dots == 1 && has_short_parts(&core);
    let is_genitive = core.ends_with(['s', 'S']) && next(&["'", "’"]);
    if is_abbreviation || is_genitive {
        last += 1;
    }
    signs(&piece[..first], words);
    words.push(piece[first].at..piece[last - 1].range().end);
    signs(&piece[last..], words);
    piece.clear();
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
fn signs(units: &[Unit<'_>], words: &mut Vec<Range<usize>>) {
    let mut previous = None;
    for unit in units {
        match words.last_mut() {
            Some(word) if previous == Some(unit.text) => word.end = unit.range().end,
            _ => words.push(unit.range()),
        }
        previous = Some(unit.text);
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
        let cases: [(&str, &[&str]); 18] = [
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
            // A family, a flag, a skin tone, a heart with its selector, a keycap.
            (
                "ok\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}!",
                &["ok", "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}", "!"],
            ),
            (
                "\u{1f1f3}\u{1f1f1}\u{1f1e7}\u{1f1ea}",
                &["\u{1f1f3}\u{1f1f1}", "\u{1f1e7}\u{1f1ea}"],
            ),
            (
                "\u{1f44d}\u{1f3fd}\u{1f44d}\u{1f3fd}.",
                &["\u{1f44d}\u{1f3fd}\u{1f44d}\u{1f3fd}", "."],
            ),
            ("a \u{2764}\u{fe0f}.", &["a", "\u{2764}\u{fe0f}", "."]),
            ("#\u{fe0f}\u{20e3}, x", &["#\u{fe0f}\u{20e3}", ",", "x"]),
            // A mark that Unicode does not count among letters.
            (
                "\u{5d1}\u{5bc}, x\u{20e0}.",
                &["\u{5d1}\u{5bc}", ",", "x\u{20e0}", "."],
            ),
            // A sign that belongs to the letter behind it, which is white space here.
            ("\u{11941} x", &["\u{11941}", "x"]),
            ("a \u{301}b", &["a", "\u{301}b"]),
        ];
        for (text, expected) in cases {
            assert_eq!(cut(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn characters_are_never_cut(text in "[a-z .!\u{1f468}\u{1f3fd}\u{200d}\u{1f1f3}\u{fe0f}\u{301}\u{20e0}\u{93f}#@]{0,20}") {
            let borders: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).collect();
            for word in words(&text) {
                prop_assert!(borders.contains(&word.end), "{:?}", cut(&text));
                // Behind white space a mark has nothing to stand on.
                let behind = text[..word.start].ends_with(char::is_whitespace);
                prop_assert!(behind || borders.contains(&word.start), "{:?}", cut(&text));
            }
        }

        #[test]
        fn nothing_is_lost_but_white_space(text in "\\PC{0,60}") {
            let joined: String = cut(&text).concat();
            let expected: String = text.split_whitespace().collect();
            prop_assert_eq!(joined, expected);
            prop_assert!(cut(&text).iter().all(|word| !word.is_empty()));
        }
    }
}
