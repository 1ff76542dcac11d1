//! How a data set writes its tags, found out from all of them together: one tag by itself says
//! little, `B-S` may be a type `S` behind a letter or a type `B` before one. What not every tag
//! fits is refused, because a tag that is misunderstood would become a type of its own in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::letters::{Parts, Place, Writing};
use super::{Scheme, SchemeError, brackets};

/// Tags that may say that a word is in no span, the most usual first.
const OUTSIDES: [&str; 7] = ["O", "o", "0", "_", "*", "-", ""];

/// The universal parts of speech (<https://universaldependencies.org/u/pos/>): no types of spans.
const UPOS: [&str; 17] = [
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN",
    "PUNCT", "SCONJ", "SYM", "VERB", "X",
];

/// How often each tag occurs.
type Counts = BTreeMap<String, usize>;

/// How the tags of a data set are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notation {
    form: Form,
    /// What stands for words in no span.
    outsides: Vec<String>,
    /// The letters that occur, by their place in a span.
    letters: BTreeMap<Place, char>,
    /// What the user said.
    wanted: Option<Scheme>,
}

/// What tags are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A letter and, mostly, a type.
    Letters(Writing),
    /// A type alone.
    Types,
    Brackets,
}

/// Whether labels look like tags of spans, well written or not: most have a letter that says where
/// in a span the word is, or the most frequent one says that words are in no span.
pub(crate) fn look_like_spans(counts: &Counts) -> bool {
    let total: usize = counts.values().sum();
    let inner = || {
        counts
            .keys()
            .filter(|tag| !is_outside(tag))
            .map(String::as_str)
    };
    if inner().any(brackets::is_bracket)
        && brackets::are_brackets(counts.keys().map(String::as_str))
    {
        return true;
    }
    let outside: usize = counts
        .iter()
        .filter(|(tag, _)| is_outside(tag))
        .map(|(_, count)| count)
        .sum();
    let lettered = Writing::all().any(|writing| {
        let parts = |tag| writing.cut(tag);
        let fitting: usize = counts
            .iter()
            .filter(|(tag, _)| !is_outside(tag) && parts(tag).is_some())
            .map(|(_, count)| count)
            .sum();
        let most = fitting > 0 && (fitting + outside) * 10 >= total * 9;
        let pair = has_pair(inner().filter_map(parts));
        let usual = writing == Writing::USUAL;
        // Parts of speech may look so by chance.
        let most = most && (usual || pair || outside > 0);
        let some = usual && pair && fitting * 10 >= total;
        if writing.separator.is_none() {
            most && letters_alone(counts) == Some(writing)
        } else {
            let begins = inner().filter_map(parts).any(|parts| {
                matches!(parts.place, Place::Begin | Place::Inside) || !parts.kind.is_empty()
            });
            (most && begins) || some
        }
    });
    lettered || mostly_outside(counts)
}

fn is_outside(tag: &str) -> bool {
    OUTSIDES.contains(&tag)
}

/// Whether no label is more frequent than one for words in no span. Numbers may be anything.
fn mostly_outside(counts: &Counts) -> bool {
    let numbers = counts.keys().all(|tag| tag.parse::<i64>().is_ok());
    // An empty label is more often one that was forgotten.
    OUTSIDES[..6].iter().any(|outside| {
        counts
            .get(*outside)
            .is_some_and(|most| !numbers && counts.values().all(|count| count <= most))
    })
}

/// Whether some type stands at the beginning and inside of spans.
fn has_pair<'a>(tags: impl Iterator<Item = Parts<'a>>) -> bool {
    let mut seen: BTreeMap<&str, BTreeSet<Place>> = BTreeMap::new();
    for parts in tags.filter(|parts| !parts.kind.is_empty()) {
        seen.entry(parts.kind).or_default().insert(parts.place);
    }
    seen.values().any(|places| {
        places.contains(&Place::Begin)
            && (places.contains(&Place::Inside) || places.contains(&Place::End))
    })
}

/// The way without a separator in which all tags are written, if it cannot be chance: some type has
/// several letters, and none goes on that never begins.
fn letters_alone(counts: &Counts) -> Option<Writing> {
    let tags = || counts.keys().filter(|tag| !is_outside(tag));
    [false, true]
        .map(|behind| Writing {
            behind,
            separator: None,
        })
        .into_iter()
        .find(|writing| {
            let parts: Option<Vec<Parts<'_>>> = tags().map(|tag| writing.cut(tag)).collect();
            let Some(parts) = parts else {
                return false;
            };
            let begun: BTreeSet<&str> = parts
                .iter()
                .filter(|parts| parts.place == Place::Begin)
                .map(|parts| parts.kind)
                .collect();
            let goes_on = |parts: &&Parts<'_>| matches!(parts.place, Place::Inside | Place::End);
            has_pair(parts.iter().copied())
                && parts
                    .iter()
                    .filter(goes_on)
                    .all(|parts| begun.contains(parts.kind))
        })
}

impl Notation {
    /// How tags are written that occur so often; `wanted` is what the user says of it.
    pub(crate) fn find(counts: &Counts, wanted: Option<Scheme>) -> Result<Self, SchemeError> {
        let inner: Counts = counts
            .iter()
            .filter(|(tag, _)| !is_outside(tag))
            .map(|(tag, count)| (tag.clone(), *count))
            .collect();
        let tags = || inner.keys().map(String::as_str);
        let form = match wanted {
            Some(Scheme::Brackets) => Form::Brackets,
            None if brackets::are_brackets(counts.keys().map(String::as_str)) => Form::Brackets,
            _ => written(&inner, wanted).map_or(Form::Types, Form::Letters),
        };
        let mut letters = BTreeMap::new();
        match form {
            Form::Letters(writing) => letters = self::letters(writing, &inner)?,
            // Nothing but words in no span.
            _ if inner.is_empty() => {}
            Form::Types => check_types(counts, &inner, wanted)?,
            Form::Brackets => {
                if let Some(tag) = tags().find(|tag| !brackets::is_bracket(tag)) {
                    let (scheme, tag) = (Scheme::Brackets, tag.to_owned());
                    return Err(SchemeError::NotOfScheme { scheme, tag });
                }
            }
        }
        let notation = Self {
            outsides: outsides(counts, form)?,
            form: if inner.is_empty() && form != Form::Brackets {
                Form::Letters(Writing::USUAL)
            } else {
                form
            },
            letters,
            wanted,
        };
        notation.check_wanted(&inner)?;
        Ok(notation)
    }

    /// Whether the tags have what the scheme has that the user named.
    fn check_wanted(&self, inner: &Counts) -> Result<(), SchemeError> {
        let allowed = match self.wanted {
            None | Some(Scheme::Brackets) => return Ok(()),
            Some(Scheme::Io) => "IM",
            Some(Scheme::Iob1 | Scheme::Iob2) => "BI",
            Some(Scheme::Iobes) => "BIES",
            Some(Scheme::Bilou) => "BILU",
            Some(Scheme::Bmes) => "BMESW",
        };
        let wrong = inner.keys().find(|tag| match self.form {
            Form::Letters(writing) => writing
                .cut(tag)
                .is_none_or(|parts| !allowed.contains(parts.letter.to_ascii_uppercase())),
            Form::Types => self.wanted != Some(Scheme::Io),
            Form::Brackets => false,
        });
        match (self.wanted, wrong) {
            (Some(scheme), Some(tag)) => Err(SchemeError::NotOfScheme {
                scheme,
                tag: tag.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether tags have to be read sentence by sentence.
    pub(crate) fn has_brackets(&self) -> bool {
        self.form == Form::Brackets
    }

    /// A tag as IOBES writes it, a tag without a type as `B-`.
    pub(crate) fn canonical(&self, tag: &str) -> String {
        let letters = match self.form {
            Form::Letters(writing) => writing.cut(tag),
            Form::Types | Form::Brackets => None,
        };
        match letters {
            _ if self.outsides.iter().any(|outside| outside == tag) => "O".to_owned(),
            Some(Parts { place, kind, .. }) => format!("{}-{kind}", place.letter()),
            None => format!("I-{tag}"),
        }
    }

    /// Whether some tag stands for the end of spans, or for a single word.
    pub(crate) fn marks_ends(&self) -> bool {
        self.letters.contains_key(&Place::End) || self.letters.contains_key(&Place::Single)
    }

    /// The scheme, where the letters tell it.
    pub(crate) fn scheme(&self) -> Option<Scheme> {
        let letter = |letter: char| {
            let mut letters = self.letters.values();
            letters.any(|known| known.to_ascii_uppercase() == letter)
        };
        match self.form {
            _ if self.wanted.is_some() => self.wanted,
            Form::Brackets => Some(Scheme::Brackets),
            Form::Types => Some(Scheme::Io),
            Form::Letters(_) if letter('M') => Some(Scheme::Bmes),
            Form::Letters(_) if letter('L') || letter('U') => Some(Scheme::Bilou),
            Form::Letters(_) if self.marks_ends() => Some(Scheme::Iobes),
            Form::Letters(_) => None,
        }
    }

    /// Whether tags are written as IOB2 has them: `B-TYPE`, and `O` if there are words in no span.
    pub(crate) fn is_usual(&self) -> bool {
        let upper = self.letters.values().all(char::is_ascii_uppercase);
        let usual = matches!(self.form, Form::Letters(Writing::USUAL) | Form::Types);
        usual && upper && self.outsides.iter().all(|outside| outside == "O")
    }

    /// Whether some tag says that a word is in no span.
    pub(crate) fn has_outside(&self) -> bool {
        !self.outsides.is_empty()
    }
}

impl fmt::Display for Notation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.form {
            Form::Letters(writing) => {
                let letters: String = self.letters.values().collect();
                write!(formatter, "letters {letters} as in `{}`", writing.example())?;
            }
            Form::Types => formatter.write_str("types without a letter")?,
            Form::Brackets => formatter.write_str("brackets as in `(TYPE*`")?,
        }
        if let ([outside, ..], false) = (self.outsides.as_slice(), self.has_brackets()) {
            let empty = if outside.is_empty() {
                "an empty label"
            } else {
                outside
            };
            write!(formatter, ", `{empty}` outside")?;
        }
        Ok(())
    }
}

/// The way in which all tags are written with letters.
fn written(inner: &Counts, wanted: Option<Scheme>) -> Option<Writing> {
    if inner.is_empty() {
        return None;
    }
    let only_inside = |parts: Parts<'_>| parts.place == Place::Inside;
    let all = Writing::all().filter(|writing| writing.separator.is_some());
    let fits = |writing: &Writing| {
        let parts: Option<Vec<Parts<'_>>> = inner.keys().map(|tag| writing.cut(tag)).collect();
        parts.is_some_and(|parts| {
            let places: BTreeSet<Place> = parts.iter().map(|parts| parts.place).collect();
            let letters = places.contains(&Place::Begin)
                || places.contains(&Place::Inside)
                || places == BTreeSet::from([Place::Single]);
            // A letter alone is a tag only where no tag has a type.
            let bare = parts.iter().filter(|parts| parts.kind.is_empty()).count();
            letters
                && (bare == 0 || bare == parts.len())
                && (wanted != Some(Scheme::Io) || parts.into_iter().all(only_inside))
        })
    };
    all.into_iter()
        .find(fits)
        .or_else(|| letters_alone(inner).filter(fits))
}

/// The letters of all tags.
fn letters(writing: Writing, inner: &Counts) -> Result<BTreeMap<Place, char>, SchemeError> {
    let mut letters: BTreeMap<Place, (char, &str)> = BTreeMap::new();
    for tag in inner.keys() {
        let Some(parts) = writing.cut(tag) else {
            continue;
        };
        let (letter, first) = *letters.entry(parts.place).or_insert((parts.letter, tag));
        if !letter.eq_ignore_ascii_case(&parts.letter) {
            return Err(SchemeError::Letters {
                first: first.to_owned(),
                second: tag.clone(),
                place: parts.place.about(),
            });
        }
    }
    Ok(letters
        .into_iter()
        .map(|(place, (letter, _))| (place, letter))
        .collect())
}

/// What stands for words in no span; two such tags may mean two things.
fn outsides(counts: &Counts, form: Form) -> Result<Vec<String>, SchemeError> {
    let found: Vec<String> = OUTSIDES
        .iter()
        .filter(|outside| counts.contains_key(**outside))
        .map(|outside| (*outside).to_owned())
        .collect();
    let different = |outside: &&String| !outside.eq_ignore_ascii_case("O");
    match (found.first(), found.iter().skip(1).find(different)) {
        (Some(first), Some(second)) if form != Form::Brackets => Err(SchemeError::Outsides {
            first: first.clone(),
            second: second.clone(),
        }),
        _ => Ok(found),
    }
}

/// Whether labels without letters can be types of spans.
fn check_types(counts: &Counts, inner: &Counts, wanted: Option<Scheme>) -> Result<(), SchemeError> {
    if wanted == Some(Scheme::Io) {
        return Ok(());
    }
    let examples = |tags: &mut dyn Iterator<Item = &String>| {
        let tags: Vec<String> = tags.take(3).map(|tag| format!("`{tag}`")).collect();
        tags.join(", ")
    };
    // How most tags are written that have a letter, and one that is not written so.
    let best = Writing::all()
        .filter(|writing| writing.separator.is_some())
        .map(|writing| {
            let fitting = inner
                .iter()
                .filter(|(tag, _)| writing.cut(tag).is_some_and(|parts| !parts.kind.is_empty()));
            (fitting.map(|(_, count)| *count).sum::<usize>(), writing)
        })
        .filter(|(fitting, _)| *fitting > 0)
        .reduce(|best, next| if next.0 > best.0 { next } else { best });
    if let Some((_, writing)) = best {
        let fits = |tag: &&String| writing.cut(tag).is_some_and(|parts| !parts.kind.is_empty());
        let unknown = inner.keys().find(|tag| !fits(tag)).or(inner.keys().next());
        return Err(SchemeError::Unknown {
            tag: unknown.cloned().unwrap_or_default(),
            examples: examples(&mut inner.keys().filter(fits)),
            scheme: format!("`{}`", writing.example()),
            types: "; --scheme io takes every label for a type",
        });
    }
    if let Some(tag) = foreign_letters(inner) {
        return Err(SchemeError::Unknown {
            tag,
            examples: examples(&mut inner.keys()),
            scheme: "a letter that no known scheme has".to_owned(),
            types: "; --scheme io takes every label for a type",
        });
    }
    let outside = match () {
        () if inner.keys().all(|tag| UPOS.contains(&tag.as_str())) => "they are parts of speech",
        () if !counts.keys().any(|tag| is_outside(tag)) => {
            "none says that a word is in no span (O)"
        }
        () if !mostly_outside(counts) => "the one for words in no span is not the most frequent",
        () => return Ok(()),
    };
    Err(SchemeError::NotTags {
        examples: examples(&mut inner.keys()),
        outside,
    })
}

/// A label that begins with a letter and a sign which no scheme has, before a type that stands
/// behind another such letter too.
fn foreign_letters(inner: &Counts) -> Option<String> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    inner.keys().find_map(|tag| {
        let (letter, kind) = tag.split_once(['-', '_', ':'])?;
        if letter.chars().count() != 1 || kind.is_empty() {
            return None;
        }
        let before = seen.insert(kind, letter)?;
        (before != letter).then(|| tag.clone())
    })
}
