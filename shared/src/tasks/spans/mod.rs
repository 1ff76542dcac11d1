//! Spans read from tags, and how well predicted ones match. The rules are those of `conlleval`
//! (CoNLL-2000 shared task) and of `seqeval` in its default mode, illegal sequences included, so
//! that scores compare with published ones.

mod scores;

pub(crate) use scores::ratio as scores_ratio;
pub use scores::{Averages, Counts, SpanScores};

/// Words `start..end` of a sentence, which together are a `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span<'a> {
    /// The type, such as `PER`.
    pub kind: &'a str,
    /// The first word.
    pub start: usize,
    /// One past the last word.
    pub end: usize,
}

/// The spans of one sentence's tags (`B-`, `I-`, `E-`, `S-`, `O`), in order.
///
/// A span begins at `B-` and `S-`, at an `I-` or `E-` after `O`, after the end of a span, or of
/// another type than the tag before; it ends before the next beginning or `O`, and after `E-` and
/// `S-`.
#[must_use]
pub fn spans<'a>(tags: &[&'a str]) -> Vec<Span<'a>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut previous = Tag::OUTSIDE;
    let parsed = tags.iter().map(|tag| Tag::new(tag)).chain([Tag::OUTSIDE]);
    for (index, tag) in parsed.enumerate() {
        if ends(previous, tag) {
            found.push(Span {
                kind: previous.kind,
                start,
                end: index,
            });
        }
        if begins(previous, tag) {
            start = index;
        }
        previous = tag;
    }
    found
}

/// Whether `tag` is legal right after `previous`, which is `O` at the beginning of a sentence: `I-`
/// and `E-` go on with a span of their type, and with nothing else.
#[must_use]
pub fn may_follow(previous: &str, tag: &str) -> bool {
    let (previous, tag) = (Tag::new(previous), Tag::new(tag));
    let is_open = matches!(previous.prefix, 'B' | 'I') && previous.kind == tag.kind;
    is_open || !matches!(tag.prefix, 'I' | 'E')
}

/// A tag in two: `B-PER` is `B` and `PER`.
#[derive(Debug, Clone, Copy)]
struct Tag<'a> {
    prefix: char,
    kind: &'a str,
}

impl<'a> Tag<'a> {
    /// The type of a tag without one; `seqeval` writes it so.
    const NO_KIND: &'static str = "_";
    const OUTSIDE: Tag<'static> = Tag {
        prefix: 'O',
        kind: Self::NO_KIND,
    };

    fn new(text: &'a str) -> Self {
        let mut rest = text.chars();
        let Some(prefix) = rest.next() else {
            return Self::OUTSIDE;
        };
        let rest = rest.as_str();
        let kind = rest.split_once('-').map_or(rest, |(_, kind)| kind);
        Self {
            prefix,
            kind: if kind.is_empty() { Self::NO_KIND } else { kind },
        }
    }

    /// `.` stands for `O` in the output of old taggers.
    fn is_outside(self) -> bool {
        matches!(self.prefix, 'O' | '.')
    }
}

/// Whether a span ends between two tags.
fn ends(previous: Tag<'_>, tag: Tag<'_>) -> bool {
    matches!(
        (previous.prefix, tag.prefix),
        ('E' | 'S', _) | ('B' | 'I', 'B' | 'S' | 'O')
    ) || (!previous.is_outside() && previous.kind != tag.kind)
}

/// Whether a span begins at the second of two tags.
fn begins(previous: Tag<'_>, tag: Tag<'_>) -> bool {
    matches!(
        (previous.prefix, tag.prefix),
        (_, 'B' | 'S') | ('E' | 'S' | 'O', 'E' | 'I')
    ) || (!tag.is_outside() && previous.kind != tag.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tags: &str) -> Vec<(&str, usize, usize)> {
        let tags: Vec<&str> = tags.split(' ').collect();
        spans(&tags)
            .into_iter()
            .map(|span| (span.kind, span.start, span.end))
            .collect()
    }

    #[test]
    fn legal_tags() {
        assert_eq!(
            told("B-PER I-PER O B-LOC B-LOC"),
            [("PER", 0, 2), ("LOC", 3, 4), ("LOC", 4, 5)]
        );
        assert_eq!(
            told("S-PER B-LOC I-LOC E-LOC O"),
            [("PER", 0, 1), ("LOC", 1, 4)]
        );
        assert!(told("O O").is_empty());
        assert!(spans(&[]).is_empty());
    }

    #[test]
    fn illegal_tags_begin_a_span_as_conlleval_has_it() {
        assert_eq!(told("O I-PER I-PER"), [("PER", 1, 3)]);
        assert_eq!(told("B-PER I-LOC"), [("PER", 0, 1), ("LOC", 1, 2)]);
        assert_eq!(told("E-PER I-PER O"), [("PER", 0, 1), ("PER", 1, 2)]);
    }

    #[test]
    fn what_goes_on_with_a_span_follows_a_tag_of_it() {
        for (previous, tag) in [("B-PER", "I-PER"), ("I-PER", "I-PER"), ("B", "I")] {
            assert!(may_follow(previous, tag), "{previous} {tag}");
        }
        for previous in ["O", "B-LOC", "I-LOC", "E-PER", "S-PER", "B"] {
            assert!(!may_follow(previous, "I-PER"), "{previous} I-PER");
            assert!(may_follow(previous, "B-PER") && may_follow(previous, "O"));
        }
        assert!(!may_follow("B-a", "I-a-b") && may_follow("B-a-b", "I-a-b"));
    }

    #[test]
    fn types_may_hold_dashes() {
        assert_eq!(
            told("B-creative-work I-creative-work"),
            [("creative-work", 0, 2)]
        );
        assert_eq!(told("B I O"), [("_", 0, 2)]);
    }
}
