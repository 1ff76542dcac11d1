//! How spans are written as one tag a word. Data sets use several schemes; inside there is one,
//! IOB2, in which every span begins with `B-` (Ramshaw and Marcus 1995; Tjong Kim Sang and Veenstra
//! 1999).

mod brackets;
mod error;
mod letters;
mod notation;

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::spans::{Span, spans};
pub use error::SchemeError;
use letters::Writing;
pub(crate) use notation::{Notation, look_like_spans};

/// A way to write spans as tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// `I-` in and at the beginning of spans, `B-` only where a span of the same type ends right
    /// before.
    Iob1,
    /// `B-` at the beginning of every span.
    Iob2,
    /// One tag per type (`I-PER` or `PER`): adjacent spans of one type run together.
    Io,
    /// `B-`, `I-`, `E-` at the end, `S-` for a single word.
    Iobes,
    /// `B-`, `I-`, `L-` at the end, `U-` for a single word.
    Bilou,
    /// `B-`, `M-` inside, `E-` at the end, `S-` or `W-` for a single word.
    Bmes,
    /// `(PER*` at the first word, `*` inside, `*)` at the last, `(PER)` for a single word.
    Brackets,
}

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Iob1 => "IOB1",
            Self::Iob2 => "IOB2",
            Self::Io => "IO",
            Self::Iobes => "IOBES",
            Self::Bilou => "BILOU",
            Self::Bmes => "BMES",
            Self::Brackets => "brackets",
        })
    }
}

/// The scheme of some sentences' tags; without any span, IOB2.
///
/// Tags that no scheme allows count as slips: of IOB1 and IOB2 the one with fewer is taken.
pub fn detect<S: AsRef<str>, T: AsRef<[S]>>(sentences: impl IntoIterator<Item = T>) -> Scheme {
    let mut evidence = Evidence::default();
    for sentence in sentences {
        let mut previous = "O";
        for tag in sentence.as_ref() {
            evidence.add(previous, tag.as_ref());
            previous = tag.as_ref();
        }
    }
    evidence.scheme()
}

/// What was seen of the tags so far.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// Tags with the prefixes `E-` or `S-`, and with `L-` or `U-`.
    iobes: u64,
    bilou: u64,
    begins: u64,
    insides: u64,
    plain: u64,
    /// `I-` at the beginning of a span: no IOB2.
    inside_first: u64,
    /// `B-` where no span of the type ends right before: no IOB1.
    begin_apart: u64,
}

impl Evidence {
    /// Looks at `tag`, which comes right after `previous`; that is `O` at the beginning of a
    /// sentence.
    pub(crate) fn add(&mut self, previous: &str, tag: &str) {
        let Some((prefix, kind)) = split(tag) else {
            self.plain += u64::from(tag != "O");
            return;
        };
        let adjoins = split(previous).is_some_and(|(_, before)| before == kind);
        match prefix {
            b'B' => {
                self.begins += 1;
                self.begin_apart += u64::from(!adjoins);
            }
            b'I' => {
                self.insides += 1;
                self.inside_first += u64::from(!adjoins);
            }
            b'E' | b'S' => self.iobes += 1,
            _ => self.bilou += 1,
        }
    }

    /// Whether no tag has to change to be IOB2.
    pub(crate) fn is_clean_iob2(&self) -> bool {
        self.inside_first + self.plain + self.iobes + self.bilou == 0
    }

    /// Which of the schemes whose letters do not tell it, where there are no others than `B` and
    /// `I`.
    pub(crate) fn scheme(&self) -> Scheme {
        let prefixed = self.begins + self.insides + self.iobes + self.bilou;
        if self.plain > prefixed {
            Scheme::Io
        } else if self.bilou > self.iobes {
            Scheme::Bilou
        } else if self.iobes > 0 {
            Scheme::Iobes
        } else if self.begins == 0 && self.insides > 0 {
            Scheme::Io
        } else if self.inside_first > self.begin_apart {
            Scheme::Iob1
        } else {
            Scheme::Iob2
        }
    }
}

/// The tags of one sentence in IOB2, with the same spans; tags that the scheme does not allow are
/// read as [`spans`] reads them, so that a span is never lost.
#[must_use]
pub fn to_iob2(scheme: Scheme, tags: &[&str]) -> Vec<String> {
    let prefixed: Vec<String> = tags.iter().map(|tag| as_iobes(scheme, tag)).collect();
    let prefixed: Vec<&str> = prefixed.iter().map(String::as_str).collect();
    render(&spans(&prefixed), tags.len())
}

/// `B-PER` as `B` and `PER`, a bare `B` or `I` as a tag without a type; none for what has no prefix
/// of any scheme.
fn split(tag: &str) -> Option<(u8, &str)> {
    match tag.as_bytes() {
        [prefix @ (b'B' | b'I' | b'E' | b'S' | b'L' | b'U'), b'-', ..] => {
            Some((*prefix, &tag[2..]))
        }
        [prefix @ (b'B' | b'I')] => Some((*prefix, "")),
        _ => None,
    }
}

/// Whether a tag looks like one of a span: `O`, a bare `B` or `I`, a letter of some scheme before or
/// behind a type, or brackets.
#[must_use]
pub fn is_span_tag(tag: &str) -> bool {
    let lettered = || {
        Writing::all()
            .filter(|writing| writing.separator.is_some())
            .any(|writing| writing.cut(tag).is_some_and(|parts| !parts.kind.is_empty()))
    };
    tag == "O" || split(tag).is_some() || brackets::is_bracket(tag) || lettered()
}

/// Tags of one sentence, as [`Notation::canonical`] has them, in IOB2; those without a type stay
/// without.
pub(crate) fn from_canonical(tags: &[&str]) -> Vec<String> {
    let mut tags = to_iob2(Scheme::Iobes, tags);
    for tag in &mut tags {
        if tag.ends_with("-_") && tag.len() == 3 {
            tag.truncate(1);
        }
    }
    tags
}

/// The tags of one sentence of brackets in IOB2.
///
/// # Errors
/// The index of the tag that cannot be right, and why.
pub(crate) fn from_brackets(tags: &[&str]) -> Result<Vec<String>, (usize, SchemeError)> {
    brackets::to_iob2(tags)
}

/// One tag in the prefixes that [`spans`] knows.
fn as_iobes(scheme: Scheme, tag: &str) -> String {
    match split(tag) {
        _ if tag.is_empty() || tag == "O" => "O".to_owned(),
        Some((b'L', kind)) if scheme == Scheme::Bilou => format!("E-{kind}"),
        Some((b'U', kind)) if scheme == Scheme::Bilou => format!("S-{kind}"),
        Some((b'B' | b'I' | b'E' | b'S', _)) => tag.to_owned(),
        // A tag without a prefix is a type by itself.
        _ => format!("I-{tag}"),
    }
}

/// The IOB2 tags of a sentence of `length` words.
fn render(spans: &[Span<'_>], length: usize) -> Vec<String> {
    let mut tags = vec!["O".to_owned(); length];
    for span in spans {
        tags[span.start] = format!("B-{}", span.kind);
        for tag in &mut tags[span.start + 1..span.end] {
            *tag = format!("I-{}", span.kind);
        }
    }
    tags
}

#[cfg(test)]
mod tests;
