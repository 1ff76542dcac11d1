//! One tag in its parts: the letter that says where in a span a word is, and the type, in whichever
//! order and with whichever sign between them.

/// What stands between letter and type; that nothing does is tried last.
pub(super) const SEPARATORS: [Option<char>; 7] = [
    Some('-'),
    Some('_'),
    Some(':'),
    Some('/'),
    Some('|'),
    Some('.'),
    None,
];

/// Where a word is in a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Begin,
    Inside,
    End,
    Single,
}

impl Place {
    /// The letter in IOBES.
    pub(super) fn letter(self) -> char {
        match self {
            Self::Begin => 'B',
            Self::Inside => 'I',
            Self::End => 'E',
            Self::Single => 'S',
        }
    }

    /// What errors call it.
    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Begin => "the first word",
            Self::Inside => "the words inside",
            Self::End => "the last word",
            Self::Single => "the only word",
        }
    }

    fn of(letter: char) -> Option<Self> {
        Some(match letter.to_ascii_uppercase() {
            'B' => Self::Begin,
            'I' | 'M' => Self::Inside,
            'E' | 'L' => Self::End,
            'S' | 'U' | 'W' => Self::Single,
            _ => return None,
        })
    }
}

/// How a tag is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Writing {
    /// Whether the letter comes after the type.
    pub(super) behind: bool,
    pub(super) separator: Option<char>,
}

/// A tag in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub(super) place: Place,
    /// As it is written.
    pub(super) letter: char,
    /// Empty for a tag without a type.
    pub(super) kind: &'a str,
}

impl Writing {
    pub(super) const USUAL: Self = Self {
        behind: false,
        separator: Some('-'),
    };

    /// All that are known, the usual one first, those without a separator last.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        SEPARATORS
            .into_iter()
            .flat_map(|separator| [false, true].map(|behind| Self { behind, separator }))
    }

    /// The parts of a tag that is written so; a letter alone is a tag without a type in every way.
    pub(super) fn cut(self, tag: &str) -> Option<Parts<'_>> {
        let mut rest = tag.chars();
        let letter = if self.behind {
            rest.next_back()
        } else {
            rest.next()
        }?;
        let place = Place::of(letter)?;
        let rest = rest.as_str();
        let kind = match self.separator {
            _ if rest.is_empty() => rest,
            Some(sign) if self.behind => rest.strip_suffix(sign)?,
            Some(sign) => rest.strip_prefix(sign)?,
            None if letter.is_ascii_uppercase() => rest,
            None => return None,
        };
        Some(Parts {
            place,
            letter,
            kind,
        })
    }

    /// `TYPE-B`, to be shown.
    pub(super) fn example(self) -> String {
        let separator = self.separator.map(String::from).unwrap_or_default();
        if self.behind {
            format!("TYPE{separator}B")
        } else {
            format!("B{separator}TYPE")
        }
    }
}
