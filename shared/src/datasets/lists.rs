//! Lists that were written into one cell of a table, or into one text of JSON: the labels of a
//! text's words as Python prints a list (`"['O', 'B-PER']"`), as JSON (`["O","B-PER"]`), as NumPy
//! prints an array (`['O' 'B-PER']`), or with nothing but spaces between them (`O B-PER`).

use std::borrow::Cow;

use super::{LineError, Sentences};
use crate::tasks::Task;
use crate::tasks::schemes::is_span_tag;

/// The items of a list in brackets; none for any other text. A single word in brackets without
/// quotation marks, `[other]`, is no list.
pub(super) fn bracketed(cell: &str) -> Option<Vec<Cow<'_, str>>> {
    let cell = cell.trim();
    let inner = [('[', ']'), ('(', ')')]
        .iter()
        .find_map(|(open, close)| cell.strip_prefix(*open)?.strip_suffix(*close))?;
    if cell.starts_with('(') && !inner.trim_start().starts_with(['\'', '"']) {
        // Brackets of spans, `(PER* *)`.
        return None;
    }
    let mut items = Vec::new();
    let mut rest = inner.trim();
    let mut quoted = false;
    while !rest.is_empty() {
        let (item, after) = item(rest)?;
        quoted |= rest.starts_with(['\'', '"']);
        items.push(item);
        let next = after.trim_start();
        // Between two items a comma, white space, or both.
        rest = match next.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if next.is_empty() || next.len() < after.len() => next,
            None => return None,
        };
    }
    (quoted || items.len() != 1).then_some(items)
}

/// The first item of a list's inside, and what comes after it.
fn item(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quote) = text
        .chars()
        .next()
        .filter(|first| matches!(first, '\'' | '"'))
    else {
        let end = text.find(|sign: char| sign == ',' || sign.is_whitespace());
        let (item, rest) = text.split_at(end.unwrap_or(text.len()));
        return (!item.is_empty()).then_some((Cow::Borrowed(item), rest));
    };
    let mut item = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => match characters.next()?.1 {
                'n' => item.push('\n'),
                't' => item.push('\t'),
                'u' | 'x' | 'U' | 'N' => {
                    // Such escapes need the rest of their rules: JSON's are known.
                    let end = closing(text, quote)?;
                    let parsed = serde_json::from_str(text.get(..end)?).ok()?;
                    return Some((Cow::Owned(parsed), text.get(end..)?));
                }
                other => item.push(other),
            },
            _ if character == quote => return Some((Cow::Owned(item), text.get(at + 1..)?)),
            _ => item.push(character),
        }
    }
    None
}

/// Where the quotation that `text` begins with ends.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices()
        .skip(1)
        .find(|(_, character)| {
            let ends = *character == quote && !escaped;
            escaped = *character == '\\' && !escaped;
            ends
        })
        .map(|(at, _)| at + 1)
}

/// The words of a cell: the items of a list, else what white space parts.
pub(super) fn words(cell: &str) -> Vec<Cow<'_, str>> {
    match bracketed(cell) {
        Some(items) if cell.contains(['\'', '"']) => items,
        _ => cell.split_whitespace().map(Cow::Borrowed).collect(),
    }
}

/// The labels of a cell: the items of a list, else what white space parts.
pub(super) fn labels(cell: &str) -> Vec<Cow<'_, str>> {
    bracketed(cell).unwrap_or_else(|| cell.split_whitespace().map(Cow::Borrowed).collect())
}

/// Whether the label cells of a table hold a label for every word, judged by some rows of text and
/// labels: all labels are lists in brackets, or there are as many tags as words in every row.
pub(super) fn hold_lists<'a>(
    rows: impl Iterator<Item = (&'a str, &'a str)>,
    task: Option<Task>,
) -> bool {
    let (mut count, mut lists, mut tags, mut long) = (0, 0, 0, 0);
    for (text, label) in rows {
        count += 1;
        if bracketed(label).is_some() {
            lists += 1;
            continue;
        }
        let items: Vec<&str> = label.split_whitespace().collect();
        let fits = items.len() == words(text).len();
        let is_tag = |item: &&str| is_span_tag(item) || matches!(*item, "o" | "0" | "_" | "*");
        let known = task.is_some_and(Task::labels_words) || items.iter().all(is_tag);
        tags += usize::from(fits && (known || items.len() > 2));
        long += usize::from(fits && items.len() > 1);
    }
    match task {
        _ if count == 0 => false,
        Some(task) if !task.labels_words() => lists == count,
        _ => lists * 2 > count || (tags == count && long > 0),
    }
}

/// Adds the words of a cell with the labels of another.
pub(super) fn add(
    sentences: &mut Sentences,
    text: &str,
    cell: &str,
    column: usize,
    line: usize,
) -> Result<(), LineError> {
    let (words, labels) = (words(text), labels(cell));
    if words.is_empty() {
        return Err(LineError::NoWord);
    }
    if words.len() != labels.len() {
        return Err(LineError::Lengths {
            words: words.len(),
            labels: labels.len(),
        });
    }
    for word in &words {
        sentences.add_word(word);
    }
    for label in &labels {
        if label.trim().is_empty() {
            sentences.add_empty_label(line, column);
        } else {
            sentences.add_label(label.trim());
        }
    }
    sentences.close(line);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_they_are_printed() {
        let read = |cell| bracketed(cell).map(|items| items.join("|"));
        for (cell, items) in [
            ("['O', 'B-PER']", Some("O|B-PER")),
            ("[\"O\",\"B-PER\"]", Some("O|B-PER")),
            ("['O' 'B-PER'\n 'O']", Some("O|B-PER|O")),
            ("('O', 'B-PER')", Some("O|B-PER")),
            ("[O, B-PER]", Some("O|B-PER")),
            ("[0, 1, 2]", Some("0|1|2")),
            ("[0 1 2]", Some("0|1|2")),
            (
                r#"["it's", 'a "b"', 'don\'t', "\u00e9"]"#,
                Some("it's|a \"b\"|don't|é"),
            ),
            ("['O']", Some("O")),
            ("[]", Some("")),
            ("[other]", None),
            ("(PER* *)", None),
            ("['O' 'B", None),
            ("['O''B']", None),
            ("sports", None),
        ] {
            assert_eq!(read(cell).as_deref(), items, "{cell}");
        }
    }

    #[test]
    fn labels_of_texts_are_no_lists() {
        let rows = |rows: &'static [(&str, &str)], task| hold_lists(rows.iter().copied(), task);
        assert!(rows(&[("a b", "['O', 'B-X']"), ("c", "['O']")], None));
        assert!(rows(&[("a b", "O B-X"), ("c", "O")], None));
        assert!(rows(
            &[("a b c", "DET NOUN VERB"), ("c d e", "DET NOUN VERB")],
            None
        ));
        assert!(!rows(
            &[("book flight", "travel booking"), ("yes", "other")],
            None
        ));
        assert!(
            !rows(&[("a", "O"), ("c", "O")], None),
            "one label a text as well"
        );
        assert!(!rows(&[("a b", "O B-X")], Some(Task::Sequence)));
        assert!(!rows(&[], None));
    }
}
