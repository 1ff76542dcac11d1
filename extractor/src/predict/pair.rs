//! Pairs of texts to label: two columns of a line, or two fields of an object.

use shared::datasets::{Line, LineError, is_blank};

use super::PredictError;
use super::sentence::{Pair, Sentence, separated};

/// The two texts of a line, apart by a tab.
pub(super) fn columns_of_pair(line: &Line<'_>) -> Result<Sentence, PredictError> {
    if is_blank(line.text) {
        return Ok(separated(line.text, line.number));
    }
    let columns: Vec<&str> = line.text.split('\t').collect();
    match columns.as_slice() {
        [first, second] if !is_blank(first) && !is_blank(second) => {
            Ok(pair(line, [first, second].map(|text| (*text).to_owned())))
        }
        [_] | [_, _] => {
            let column = "a second column, behind a tab".to_owned();
            Err(line.error(LineError::NoSecondText { column }).into())
        }
        more => {
            let cause = LineError::Columns {
                expected: 2,
                got: more.len(),
                separator: "tabs",
            };
            Err(line.error(cause).into())
        }
    }
}

/// A pair of texts on a line.
pub(super) fn pair(line: &Line<'_>, texts: [String; 2]) -> Sentence {
    let [first, second] = texts.each_ref().map(|text| {
        let words = text.split_whitespace().map(str::to_owned);
        words.collect::<Vec<String>>()
    });
    Sentence {
        pair: Some(Pair {
            second: first.len(),
            texts,
        }),
        words: [first, second].concat(),
        source: None,
        line: line.number,
        bytes: line.text.len() + 1,
    }
}

#[cfg(test)]
mod tests {
    use shared::signals::StopFlag;

    use super::super::{Input, InputFormat, Portion};
    use super::*;

    fn words_of(sentences: &[Sentence]) -> Vec<Vec<&str>> {
        let words = sentences.iter().map(|sentence| sentence.words.iter());
        words
            .map(|words| words.map(String::as_str).collect())
            .collect()
    }

    fn texts(format: InputFormat, pairs: bool, text: &str) -> Result<Vec<Sentence>, PredictError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("texts");
        fs_err::write(&path, text).unwrap();
        let input = Input {
            path: Some(path),
            format,
            column: 0,
            whole_texts: true,
            pairs,
        };
        input.open()?.next(Portion::FOR_CPU, &StopFlag::default())
    }

    #[test]
    fn pairs_are_two_columns_or_two_fields() {
        let lines = "a  b\tc\n\nd\te f\n";
        let json = "{\"premise\": \"a  b\", \"hypothesis\": \"c\", \"label\": 1}\n\n\
                    {\"hypothesis\": \"e f\", \"premise\": \"d\"}\n";
        for (format, text) in [(InputFormat::Text, lines), (InputFormat::Jsonl, json)] {
            let read = texts(format, true, text).unwrap();
            assert_eq!(
                words_of(&read),
                [vec!["a", "b", "c"], vec![], vec!["d", "e", "f"]]
            );
            let pair = read[0].pair.as_ref().unwrap();
            assert_eq!(
                (pair.second, &pair.texts),
                (2, &["a  b".to_owned(), "c".to_owned()])
            );
            assert!(read[1].pair.is_none());
        }
        let single = texts(
            InputFormat::Jsonl,
            false,
            "{\"id\": 3, \"text\": \"a  b\"}\n",
        )
        .unwrap();
        assert_eq!(single[0].source.as_ref().unwrap().0, "a  b");
    }

    #[test]
    fn pairs_of_which_one_is_missing_are_told_with_their_line() {
        let told = |format, pairs, text: &str| {
            let lines = format!("{text}\n");
            texts(format, pairs, &lines).unwrap_err().to_string()
        };
        for (format, pairs, text, said) in [
            (InputFormat::Text, true, "a b", "no text in a second column"),
            (
                InputFormat::Text,
                true,
                "a b\t ",
                "no text in a second column",
            ),
            (InputFormat::Text, true, "a\tb\tc", "expected 2 columns"),
            (
                InputFormat::Jsonl,
                true,
                "{\"text\": \"a\"}",
                "no text in a second field",
            ),
            (
                InputFormat::Jsonl,
                true,
                "{\"text\": \"a\", \"text_pair\": \"\"}",
                "no text in",
            ),
            (
                InputFormat::Jsonl,
                false,
                "{\"text\": \"a\", \"text_pair\": \"b\"}",
                "single texts",
            ),
            (
                InputFormat::Jsonl,
                false,
                "{\"label\": 1}",
                "expected a text",
            ),
            (InputFormat::Jsonl, false, "[1]", "not a JSON object"),
        ] {
            let error = told(format, pairs, text);
            assert!(
                error.contains("texts:1") && error.contains(said),
                "{text}: {error}"
            );
        }
    }
}
