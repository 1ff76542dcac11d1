//! Why tags cannot be read as spans, in words that say how to mend them.

use super::Scheme;

/// Why the tags of a data set cannot be read as spans.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemeError {
    /// A tag that the others' way of writing has no place for.
    #[error(
        "the tag `{tag}` is not written like the others ({examples}, read as {scheme}): correct it, or say with --scheme how spans are tagged{types}"
    )]
    Unknown {
        /// The tag.
        tag: String,
        /// Some that fit.
        examples: String,
        /// How most tags are written.
        scheme: String,
        /// What else may help.
        types: &'static str,
    },
    /// Two letters for one place in a span.
    #[error(
        "the tags `{first}` and `{second}` are of different schemes, both mark {place} of a span: write all files in one scheme"
    )]
    Letters {
        /// A tag with the one letter.
        first: String,
        /// A tag with the other.
        second: String,
        /// Which place.
        place: &'static str,
    },
    /// Two tags that both say that a word is in no span.
    #[error(
        "both `{first}` and `{second}` may mean that a word is in no span: use one of them in all files"
    )]
    Outsides {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// Letters that say end or single word where spans go on.
    #[error(
        "{illegal} of {tags} tags stand where {scheme} does not allow them, here `{tag}` after `{previous}`: the letters mean something else; correct the tags, or say with --scheme how spans are tagged"
    )]
    Order {
        /// Tags in a wrong place.
        illegal: u64,
        /// All tags of spans.
        tags: u64,
        /// As which scheme they were read.
        scheme: String,
        /// The first such tag.
        tag: String,
        /// The tag before it.
        previous: String,
    },
    /// Labels without a prefix, none of which is for words in no span.
    #[error(
        "labels such as {examples} are no tags of spans: none has a prefix (B-, I-), and {outside}; --task pos reads them as one class a word, --scheme io as types of spans"
    )]
    NotTags {
        /// Some of the labels.
        examples: String,
        /// What is wrong with the tag for words in no span.
        outside: &'static str,
    },
    /// Tags that the scheme the user named does not have.
    #[error("{scheme} has no tag `{tag}`: name another --scheme, or leave it out")]
    NotOfScheme {
        /// What the user said.
        scheme: Scheme,
        /// The tag.
        tag: String,
    },
    /// Brackets that do not make spans.
    #[error(
        "the bracket tag `{tag}` {problem}: a span is (TYPE* at its first word, * inside and *) at its last, or (TYPE) for a single word, and spans do not overlap"
    )]
    Bracket {
        /// The tag.
        tag: String,
        /// What is wrong.
        problem: &'static str,
    },
}
