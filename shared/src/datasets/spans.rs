//! The tags of spans, in whatever way they are written, turned into IOB2 over all splits at once:
//! a split by itself may lack what tells its scheme.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use super::{DatasetError, Split};
use crate::tasks::OUTSIDE;
use crate::tasks::schemes::{
    Evidence, Notation, Scheme, SchemeError, from_brackets, from_canonical,
};

/// What was found out of the tags and has to be told.
#[derive(Debug)]
pub(super) struct Converted {
    pub(super) scheme: Scheme,
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// Turns the tags of all splits, which occur `counts` times, into IOB2; `wanted` is the scheme that
/// the user named.
pub(super) fn convert(
    splits: &mut [Split],
    counts: &BTreeMap<String, usize>,
    wanted: Option<Scheme>,
) -> Result<Converted, DatasetError> {
    let notation = Notation::find(counts, wanted).map_err(|cause| tag_error(splits, cause))?;
    let mut told = Converted {
        scheme: Scheme::Iob2,
        notes: Vec::new(),
        warnings: Vec::new(),
    };
    if notation.has_brackets() {
        told.scheme = Scheme::Brackets;
        splits.iter_mut().try_for_each(unfold)?;
    } else {
        let canonical: HashMap<String, String> = counts
            .keys()
            .map(|tag| (tag.clone(), notation.canonical(tag)))
            .collect();
        let order = Order::of(splits, &canonical);
        if wanted.is_none() && notation.marks_ends() {
            order.check(&notation, splits)?;
        }
        told.scheme = notation.scheme().unwrap_or_else(|| order.evidence.scheme());
        let mut changed = 0;
        let clean = order.evidence.is_clean_iob2() && notation.is_usual();
        if told.scheme != Scheme::Iob2 || !clean {
            changed = relabel(splits, &canonical);
        }
        // What the way of writing made different is no slip.
        if told.scheme == Scheme::Iob2 && changed > 0 {
            told.notes.push(format!(
                "{changed} tags that IOB2 does not allow were read as the beginning of a span"
            ));
        }
    }
    if !matches!(told.scheme, Scheme::Iob1 | Scheme::Iob2) || !notation.is_usual() {
        told.notes.push(format!(
            "tags are read as {} ({notation}) and kept as IOB2; --scheme says otherwise",
            told.scheme
        ));
    }
    if !notation.has_outside() {
        told.warnings
            .push("no word is outside of spans: is this the column of the span tags?".to_owned());
    }
    Ok(told)
}

/// Replaces all tags; gives how many were not where the scheme allows them.
fn relabel(splits: &mut [Split], canonical: &HashMap<String, String>) -> usize {
    let mut slips = 0;
    for split in splits {
        split.sentences.relabel(|tags| {
            let old: Vec<&str> = tags
                .iter()
                .map(|tag| canonical.get(*tag).map_or(OUTSIDE, String::as_str))
                .collect();
            let new = from_canonical(&old);
            let slip = |(old, new): &(&&str, &String)| old.as_bytes()[0] != new.as_bytes()[0];
            slips += old.iter().zip(&new).filter(slip).count();
            new
        });
    }
    slips
}

/// Replaces brackets.
fn unfold(split: &mut Split) -> Result<(), DatasetError> {
    let mut wrong = None;
    let mut index = 0;
    split.sentences.relabel(|tags| {
        let read = from_brackets(tags);
        index += 1;
        read.unwrap_or_else(|(word, cause)| {
            wrong.get_or_insert((index - 1, word, cause));
            tags.iter().map(|_| OUTSIDE.to_owned()).collect()
        })
    });
    match wrong {
        Some((sentence, word, cause)) => Err(DatasetError::Tag {
            path: split.path.clone(),
            line: split.sentences.line(sentence),
            word: word + 1,
            cause: Box::new(cause),
        }),
        None => Ok(()),
    }
}

/// Which tags follow which.
struct Order {
    evidence: Evidence,
    /// Tags of spans, and those among them that go on with a span that none began, or do not begin
    /// one where the last has ended.
    tags: u64,
    illegal: u64,
    /// The first of those: its split, sentence and word.
    first: Option<(usize, usize, usize)>,
}

impl Order {
    fn of(splits: &[Split], canonical: &HashMap<String, String>) -> Self {
        let mut order = Self {
            evidence: Evidence::default(),
            tags: 0,
            illegal: 0,
            first: None,
        };
        for (number, split) in splits.iter().enumerate() {
            for index in 0..split.sentences.len() {
                let mut previous = OUTSIDE;
                for (word, tag) in split.sentences.labels(index).enumerate() {
                    let tag = canonical.get(tag).map_or(OUTSIDE, String::as_str);
                    order.evidence.add(previous, tag);
                    order.tags += u64::from(tag != OUTSIDE);
                    let goes_on = tag.starts_with(['I', 'E']);
                    let open = previous.starts_with(['B', 'I']) && previous[1..] == tag[1..];
                    if goes_on && !open {
                        order.illegal += 1;
                        order.first.get_or_insert((number, index, word));
                    }
                    previous = tag;
                }
            }
        }
        order
    }

    /// Slips are allowed, but no more than one tag in ten.
    fn check(&self, notation: &Notation, splits: &[Split]) -> Result<(), DatasetError> {
        let Some((split, sentence, word)) = self.first.filter(|_| self.illegal * 10 > self.tags)
        else {
            return Ok(());
        };
        let split = &splits[split];
        let mut tags = split
            .sentences
            .labels(sentence)
            .skip(word.saturating_sub(1));
        let previous = if word == 0 { None } else { tags.next() };
        let cause = SchemeError::Order {
            illegal: self.illegal,
            tags: self.tags,
            scheme: notation
                .scheme()
                .map_or_else(|| notation.to_string(), |scheme| scheme.to_string()),
            tag: tags.next().unwrap_or_default().to_owned(),
            previous: previous.unwrap_or("the beginning of a sentence").to_owned(),
        };
        Err(DatasetError::Tag {
            path: split.path.clone(),
            line: split.sentences.line(sentence),
            word: word + 1,
            cause: Box::new(cause),
        })
    }
}

/// An error about tags, at the first place of the tag that it is about.
fn tag_error(splits: &[Split], cause: SchemeError) -> DatasetError {
    let wanted = match &cause {
        SchemeError::Unknown { tag, .. } | SchemeError::NotOfScheme { tag, .. } => Some(tag),
        SchemeError::Letters { second, .. } | SchemeError::Outsides { second, .. } => Some(second),
        _ => None,
    };
    let place = splits.iter().find_map(|split| {
        let sentences = &split.sentences;
        (0..sentences.len()).find_map(|index| {
            let mut labels = sentences.labels(index);
            let word = labels.position(|label| wanted.is_none_or(|tag| tag == label))?;
            Some((split.path.clone(), sentences.line(index), word + 1))
        })
    });
    let (path, line, word) = place.unwrap_or_else(|| (PathBuf::new(), 0, 0));
    DatasetError::Tag {
        path,
        line,
        word,
        cause: Box::new(cause),
    }
}
