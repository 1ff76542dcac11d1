//! Texts with any number of labels: lists of them, written into one cell or not, and columns with a 1
//! for every text that has the label of their name.

use std::collections::BTreeSet;

use super::{LineError, Sentences, lists};

/// Between the labels in a cell.
const BETWEEN: char = '|';

/// The labels in a cell: the items of a list in brackets, else what bars part. An empty cell has
/// none.
pub(super) fn of_cell(cell: &str) -> Vec<String> {
    let cell = cell.trim();
    if let Some(items) = lists::bracketed(cell) {
        return items
            .into_iter()
            .map(std::borrow::Cow::into_owned)
            .collect();
    }
    if cell.is_empty() || cell.chars().all(|character| character == BETWEEN) {
        return Vec::new();
    }
    cell.split(BETWEEN).map(str::to_owned).collect()
}

/// Adds the labels of the sentence that is being added, each once; `column` is named where one is
/// empty.
pub(super) fn add_labels<L: AsRef<str>>(
    sentences: &mut Sentences,
    labels: &[L],
    column: usize,
) -> Result<(), LineError> {
    let mut seen = BTreeSet::new();
    for label in labels {
        let label = label.as_ref().trim();
        if label.is_empty() {
            return Err(LineError::EmptyField {
                what: "label",
                column,
            });
        }
        if seen.insert(label) {
            sentences.add_label(label);
        }
    }
    Ok(())
}

/// Whether a cell of the column `name` says that the text has the label.
///
/// # Errors
/// Anything but 1 and 0, and what programs write for them.
pub(super) fn flag(name: &str, cell: &str) -> Result<bool, LineError> {
    match cell.trim().to_lowercase().as_str() {
        "1" | "1.0" | "true" => Ok(true),
        "0" | "0.0" | "false" => Ok(false),
        _ => Err(LineError::NoFlag {
            name: name.to_owned(),
            got: cell.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cells_hold_any_number_of_labels() {
        for (cell, labels) in [
            ("a|b", vec!["a", "b"]),
            ("news and views", vec!["news and views"]),
            ("", vec![]),
            (" | ", vec![]),
            ("[]", vec![]),
            ("['a', 'b|c']", vec!["a", "b|c"]),
            ("[\"a\"]", vec!["a"]),
        ] {
            assert_eq!(of_cell(cell), labels, "{cell}");
        }
    }

    #[test]
    fn labels_are_added_once_and_empty_ones_told() {
        let mut sentences = Sentences::default();
        sentences.add_word("w");
        add_labels(&mut sentences, &["b", " a", "b "], 2).unwrap();
        sentences.close(1);
        assert_eq!(sentences.labels(0).collect::<Vec<_>>(), ["b", "a"]);
        let error = add_labels(&mut sentences, &["b", ""], 2).unwrap_err();
        assert!(error.to_string().contains("column 2 is empty"), "{error}");
    }

    #[test]
    fn flags_are_one_or_zero() {
        assert!(flag("joy", " 1").unwrap() && flag("joy", "True").unwrap());
        assert!(!flag("joy", "0.0").unwrap());
        let error = flag("joy", "2").unwrap_err().to_string();
        assert!(error.contains("joy") && error.contains("\"2\""), "{error}");
    }

    proptest! {
        #[test]
        fn joined_labels_come_back(labels in prop::collection::vec("[a-z][a-z_ ]{0,5}[a-z]", 0..6)) {
            prop_assert_eq!(of_cell(&labels.join("|")), labels.clone());
            let json = serde_json::to_string(&labels).unwrap();
            prop_assert_eq!(of_cell(&json), labels);
        }
    }
}
