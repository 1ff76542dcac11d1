//! Numbers that are learned: each label is read as one, once, with an error that names its line, and
//! is written again in one way, so that `3`, `3.0` and `3e0` are equal data.

use super::{DatasetError, LineError, Split};

/// What stands for a number that is kept secret, in the test splits of public data sets.
const SECRET: &str = "-1";

/// Writes all labels as float32 in their shortest form. A split whose numbers are all -1 has secret
/// ones and is taken out; what was done is told.
///
/// # Errors
/// A label that is no number, or no finite one, in float32.
pub(super) fn convert(splits: &mut Vec<Split>) -> Result<Vec<String>, DatasetError> {
    for split in &mut *splits {
        check(split)?;
        split.sentences.relabel(|labels| {
            let numbers = labels.iter().filter_map(|label| number(label));
            numbers.map(|number| number.to_string()).collect()
        });
    }
    let is_secret = |split: &Split| split.sentences.label_names() == [SECRET];
    let (mut notes, all) = (Vec::new(), splits.len());
    if all > 1 {
        splits.retain(|split| {
            if is_secret(split) {
                notes.push(format!("{} is left out: all its scores are -1", split.name));
            }
            !is_secret(split)
        });
    }
    Ok(notes)
}

fn check(split: &Split) -> Result<(), DatasetError> {
    let wrong = |label: &&str| number(label).is_none();
    for sentence in 0..split.sentences.len() {
        if let Some(label) = split.sentences.labels(sentence).find(wrong) {
            return Err(DatasetError::Line {
                path: split.path.clone(),
                line: split.sentences.line(sentence),
                cause: LineError::NoNumber(label.to_owned()),
            });
        }
    }
    Ok(())
}

/// The number that a label is, if it is a finite one in float32.
fn number(label: &str) -> Option<f32> {
    let number: f32 = label.trim().parse().ok()?;
    // Zero has one form.
    number.is_finite().then_some(number + 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Sentences, SplitName};
    use super::*;

    fn split(name: SplitName, labels: &[&str]) -> Split {
        let mut sentences = Sentences::default();
        for (label, line) in labels.iter().zip(2..) {
            sentences.push(&["a"], &[label], line);
        }
        Split {
            name,
            path: "train.csv".into(),
            sentences,
        }
    }

    #[test]
    fn numbers_are_written_in_one_way() {
        let mut splits = vec![split(
            SplitName::Train,
            &["3", "3.0", "3e0", "-0", ".5", "+1"],
        )];
        convert(&mut splits).unwrap();
        let sentences = &splits[0].sentences;
        let labels: Vec<&str> = (0..6).flat_map(|one| sentences.labels(one)).collect();
        assert_eq!(labels, ["3", "3", "3", "0", "0.5", "1"]);
    }

    #[test]
    fn what_is_no_finite_number_is_told_with_its_line() {
        for bad in ["good", "", "NaN", "inf", "1e39", "3,5", "1 2"] {
            let error = convert(&mut vec![split(SplitName::Train, &["1.5", bad])]);
            let error = error.unwrap_err().to_string();
            assert!(
                error.contains("train.csv:3: the score") && error.contains(bad),
                "{error}"
            );
        }
    }

    #[test]
    fn a_split_of_secret_numbers_is_left_out() {
        let both = || {
            vec![
                split(SplitName::Train, &["1", "-1"]),
                split(SplitName::Test, &["-1.0"; 3]),
            ]
        };
        let mut splits = both();
        let notes = convert(&mut splits).unwrap();
        assert_eq!((splits.len(), splits[0].name), (1, SplitName::Train));
        assert_eq!(notes, ["test is left out: all its scores are -1"]);
        let mut alone = both().split_off(1);
        assert!(convert(&mut alone).unwrap().is_empty() && alone.len() == 1);
    }

    proptest! {
        #[test]
        fn every_finite_number_is_read_back(bits in any::<u32>()) {
            let value = f32::from_bits(bits);
            let read = number(&value.to_string());
            prop_assert_eq!(read.is_some(), value.is_finite());
            if let Some(read) = read {
                prop_assert!((read - value).abs() == 0.0);
            }
        }
    }
}
