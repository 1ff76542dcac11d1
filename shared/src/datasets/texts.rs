//! Texts that become sentences: cut into words at white space, with their labels, and the second
//! text of a pair behind the first.

use super::{LineError, Sentences};

/// Adds a text, cut into words at white space, with its label, which stands in `column`.
pub(super) fn add_text(
    sentences: &mut Sentences,
    text: &str,
    label: &str,
    column: usize,
    line: usize,
) -> Result<(), LineError> {
    add_label(sentences, label, column)?;
    add_words(sentences, text)?;
    sentences.close(line);
    Ok(())
}

/// Adds the label of a text, which stands in `column`.
pub(super) fn add_label(
    sentences: &mut Sentences,
    label: &str,
    column: usize,
) -> Result<(), LineError> {
    if label.is_empty() {
        return Err(LineError::EmptyField {
            what: "label",
            column,
        });
    }
    sentences.add_label(label);
    Ok(())
}

/// Adds the words of the second text of a pair, which stands in the column called `column`.
pub(super) fn add_second(
    sentences: &mut Sentences,
    text: &str,
    column: &str,
) -> Result<(), LineError> {
    sentences.begin_second();
    add_words(sentences, text).map_err(|_| LineError::NoSecondText {
        column: column.to_owned(),
    })
}

/// Adds the words of a text, cut at white space.
pub(super) fn add_words(sentences: &mut Sentences, text: &str) -> Result<(), LineError> {
    if text.trim().is_empty() {
        return Err(LineError::NoWord);
    }
    text.split_whitespace()
        .for_each(|word| sentences.add_word(word));
    Ok(())
}
