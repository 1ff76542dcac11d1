//! From spans of characters to tags of words. Offsets count characters (Unicode code points), or
//! UTF-16 units, as browsers count, where the tool says what a span reads and only those fit. That is
//! the same in a whole file.

use std::collections::BTreeSet;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

use super::annotation::{Annotated, Marked};
use crate::datasets::{LineError, Sentences};
use crate::words::words;

/// What offsets count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counting {
    /// Unicode code points, as Python counts.
    Characters,
    /// UTF-16 code units, as browsers count.
    Units,
}

/// Whether a text's offsets can only be UTF-16 units: by them all spans read what the file says of
/// them, by characters one does not.
pub(super) fn counts_units(annotated: &Annotated) -> bool {
    let (text, spans) = (annotated.text.as_str(), annotated.spans.as_slice());
    // Characters of two units begin with four bytes.
    if !text.bytes().any(|byte| byte >= 0xf0) {
        return false;
    }
    let places = Places::new(text);
    !places.fit(Counting::Characters, spans) && places.fit(Counting::Units, spans)
}

/// Adds a text as a sentence; gives how many words were cut at the border of a span.
pub(super) fn add(
    annotated: &Annotated,
    counting: Counting,
    sentences: &mut Sentences,
    line: usize,
) -> Result<usize, LineError> {
    let text = annotated.text.as_str();
    let places = Places::new(text);
    let spans = ordered(annotated, counting, &places)?;
    let mut pieces = match &annotated.tokens {
        Some(tokens) => of_file(tokens, &places)?,
        None => words(text),
    };
    let mut cuts = 0;
    for (span, range) in &spans {
        for border in [range.start, range.end] {
            cuts += cut(text, &mut pieces, border, annotated.tokens.is_some())
                .map_err(|problem| error(span, problem))?;
        }
    }
    if pieces.is_empty() {
        return Err(LineError::NoWord);
    }
    let mut spans = spans.iter().peekable();
    for piece in pieces {
        while spans
            .next_if(|(_, range)| range.end <= piece.start)
            .is_some()
        {}
        sentences.add_word(&text[piece.clone()]);
        match spans.peek() {
            Some((span, range)) if range.start <= piece.start => {
                let letter = if range.start == piece.start { 'B' } else { 'I' };
                sentences.add_label(&format!("{letter}-{}", span.label));
            }
            _ => sentences.add_label("O"),
        }
    }
    sentences.close(line);
    Ok(cuts)
}

fn error(span: &Marked, problem: impl Into<String>) -> LineError {
    LineError::Span {
        start: span.start,
        end: span.end,
        label: span.label.clone(),
        problem: problem.into(),
    }
}

/// The bytes at which characters begin, by either way to count them.
struct Places<'a> {
    text: &'a str,
    characters: Vec<usize>,
    /// None in the middle of a pair of units.
    units: Vec<Option<usize>>,
    /// Where what a reader sees as one character begins.
    borders: BTreeSet<usize>,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        let mut units = Vec::new();
        for (at, character) in text.char_indices() {
            units.push(Some(at));
            units.extend((1..character.len_utf16()).map(|_| None));
        }
        units.push(Some(text.len()));
        Self {
            text,
            characters: text
                .char_indices()
                .map(|(at, _)| at)
                .chain([text.len()])
                .collect(),
            units,
            borders: text
                .grapheme_indices(true)
                .map(|(at, _)| at)
                .chain([text.len()])
                .collect(),
        }
    }

    fn characters(&self, start: usize, end: usize) -> Option<Range<usize>> {
        Some(*self.characters.get(start)?..*self.characters.get(end)?)
    }

    fn units(&self, start: usize, end: usize) -> Option<Range<usize>> {
        Some((*self.units.get(start)?)?..(*self.units.get(end)?)?)
    }

    fn range(&self, counting: Counting, span: &Marked) -> Option<Range<usize>> {
        match counting {
            Counting::Characters => self.characters(span.start, span.end),
            Counting::Units => self.units(span.start, span.end),
        }
    }

    /// Whether all spans read what the file says of them, counted so.
    fn fit(&self, counting: Counting, spans: &[Marked]) -> bool {
        spans.iter().all(|span| match &span.surface {
            Some(surface) if span.start < span.end => self
                .range(counting, span)
                .is_some_and(|range| alike(&self.text[range], surface)),
            _ => true,
        })
    }

    /// The bytes of a span without the white space at its ends.
    fn of(&self, counting: Counting, span: &Marked) -> Result<Range<usize>, LineError> {
        if span.start >= span.end {
            return Err(error(span, "is empty: its end is not behind its start"));
        }
        let range = self.range(counting, span);
        if let (Some(range), Some(surface)) = (&range, &span.surface)
            && !alike(&self.text[range.clone()], surface)
        {
            return Err(error(
                span,
                format!("does not read {surface:?}, as the file says"),
            ));
        }
        let Some(range) = range else {
            let length = self.characters.len() - 1;
            return Err(error(span, format!("is past the text's end at {length}")));
        };
        let read = &self.text[range.clone()];
        let start = range.start + read.len() - read.trim_start().len();
        let end = range.end - (read.len() - read.trim_end().len());
        if start >= end {
            return Err(error(span, "is nothing but white space"));
        }
        if !self.borders.contains(&start) || !self.borders.contains(&end) {
            return Err(error(
                span,
                "cuts a character from its marks: offsets count code points",
            ));
        }
        Ok(start..end)
    }
}

/// Whether two texts are equal but for white space, which tools change.
fn alike(one: &str, other: &str) -> bool {
    let plain = |text: &str| {
        text.replace("\\n", "")
            .split_whitespace()
            .collect::<String>()
    };
    plain(one) == plain(other)
}

/// The spans in the order of the text, none over another.
fn ordered<'a>(
    annotated: &'a Annotated,
    counting: Counting,
    places: &Places<'_>,
) -> Result<Vec<(&'a Marked, Range<usize>)>, LineError> {
    let mut spans = Vec::new();
    for span in &annotated.spans {
        spans.push((span, places.of(counting, span)?));
    }
    spans.sort_by_key(|(_, range)| (range.start, range.end));
    // The same span twice says nothing new.
    spans.dedup_by(|(one, range), (other, before)| range == before && one.label == other.label);
    for pair in spans.windows(2) {
        let [(first, before), (second, after)] = pair else {
            continue;
        };
        if after.start < before.end {
            let other = format!("{} to {} ({})", first.start, first.end, first.label);
            return Err(error(
                second,
                format!("overlaps that from {other}: a word has one tag"),
            ));
        }
    }
    Ok(spans)
}

/// The file's own words, without those of white space.
fn of_file(tokens: &[(usize, usize)], places: &Places<'_>) -> Result<Vec<Range<usize>>, LineError> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    for &(start, end) in tokens {
        let before = pieces.last().map_or(0, |piece| piece.end);
        let range = places
            .characters(start, end)
            .filter(|range| range.start >= before && range.start <= range.end)
            .ok_or(LineError::Token { start, end })?;
        if !places.text[range.clone()].trim().is_empty() {
            pieces.push(range);
        }
    }
    Ok(pieces)
}

/// Cuts the word in whose middle a border is, if it may be cut there.
fn cut(
    text: &str,
    pieces: &mut Vec<Range<usize>>,
    border: usize,
    fixed: bool,
) -> Result<usize, String> {
    let index = pieces.partition_point(|piece| piece.end <= border);
    let Some(piece) = pieces
        .get(index)
        .filter(|piece| piece.start < border)
        .cloned()
    else {
        return Ok(0);
    };
    let before = text[..border].chars().next_back();
    let after = text[border..].chars().next();
    let joined = before.is_some_and(is_joined) && after.is_some_and(is_joined);
    if fixed || joined {
        let word = &text[piece];
        return Err(format!(
            "begins or ends inside the word {word:?}: move it to the word's ends"
        ));
    }
    pieces[index].end = border;
    pieces.insert(index + 1, border..piece.end);
    Ok(1)
}

/// Whether a letter or digit belongs to the one beside it: in scripts that put no space between
/// words it need not.
fn is_joined(character: char) -> bool {
    let spaceless = matches!(character,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}');
    character.is_alphanumeric() && !spaceless
}
