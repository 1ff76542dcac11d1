//! Records of JSON one after the other, with the line on which each begins: a record a line, or the
//! elements of one array on one line or on many, which may be the only array of objects in an object
//! (`{"data": [...]}`). Only a file that begins as an array is held whole.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;

use serde_json::{Map, Value};

use super::lines::{Lines, is_blank};
use super::{DatasetError, LineError, Sentences};

/// The largest array; larger files are better written line by line.
const LARGEST: usize = 1 << 30;

/// What holds all objects of a file that is one object on one line.
const WRAPPERS: [&str; 7] = [
    "data",
    "examples",
    "rows",
    "instances",
    "items",
    "records",
    "samples",
];

/// The records of a file.
pub(super) struct JsonRecords {
    lines: Lines,
    /// What was read to see what the file is: its first line, or all of it.
    text: String,
    /// The records in that text, and the lines on which they begin.
    ahead: VecDeque<Place>,
    /// Whether they are the elements of an array.
    is_array: bool,
}

/// The line on which a record begins, and where it is in the text.
type Place = (usize, Range<usize>);

/// The line on which an object begins, and the object.
type Object = (usize, Map<String, Value>);

impl JsonRecords {
    pub(super) fn open(path: &Path) -> Result<Self, DatasetError> {
        let mut records = Self {
            lines: Lines::open(path)?,
            text: String::new(),
            ahead: VecDeque::new(),
            is_array: false,
        };
        while let Some(line) = records.lines.next()? {
            if is_blank(line.text) {
                continue;
            }
            let number = line.number;
            line.text.clone_into(&mut records.text);
            if may_begin_array(&records.text) {
                records.read_rest()?;
                records.find(number)?;
            } else {
                records.ahead.push_back((number, 0..records.text.len()));
            }
            break;
        }
        Ok(records)
    }

    /// The next record and the line on which it begins.
    pub(super) fn next(&mut self) -> Result<Option<(usize, &str)>, DatasetError> {
        if let Some((line, place)) = self.ahead.pop_front() {
            return Ok(self.text.get(place).map(|text| (line, text)));
        }
        if self.is_array {
            return Ok(None);
        }
        loop {
            let Some(line) = self.lines.next()? else {
                return Ok(None);
            };
            if is_blank(line.text) {
                continue;
            }
            let number = line.number;
            line.text.clone_into(&mut self.text);
            return Ok(Some((number, &self.text)));
        }
    }

    /// The next record, which is an object, and the line on which it begins.
    pub(super) fn next_object(&mut self) -> Result<Option<Object>, DatasetError> {
        let is_array = self.is_array;
        let Some((line, text)) = self.next()? else {
            return Ok(None);
        };
        let object = if is_array && !text.starts_with('{') {
            Err("an array of objects is needed".to_owned())
        } else {
            serde_json::from_str(text).map_err(|error| error.to_string())
        };
        let object = object.map_err(|cause| self.error_at(line, LineError::Json(cause)))?;
        Ok(Some((line, object)))
    }

    /// An error about a line of this file.
    pub(super) fn error_at(&self, line: usize, cause: LineError) -> DatasetError {
        self.lines.error_at(line, cause)
    }

    /// The sentences of the file, of which there must be one.
    pub(super) fn filled(&self, sentences: Sentences) -> Result<Sentences, DatasetError> {
        self.lines.filled(sentences)
    }

    /// Reads the rest of the file.
    fn read_rest(&mut self) -> Result<(), DatasetError> {
        while let Some(line) = self.lines.next()? {
            let number = line.number;
            self.text.push('\n');
            self.text.push_str(line.text);
            if self.text.len() > LARGEST {
                let cause = LineError::TooLong { limit: LARGEST };
                return Err(self.lines.error_at(number, cause));
            }
        }
        Ok(())
    }

    /// Finds the records in a file that was read, which begins on line `number`.
    fn find(&mut self, number: usize) -> Result<(), DatasetError> {
        let begin = self.text.len() - self.text.trim_start().len();
        let is_alone = self.text[begin..].starts_with('[');
        let array = if is_alone {
            Some(begin + 1)
        } else {
            only_array(&self.text)
        };
        self.is_array = array.is_some();
        self.ahead = match array {
            Some(at) => elements(&self.text, at, number, is_alone).map_err(|(line, problem)| {
                self.error_at(line, LineError::Json(problem.to_owned()))
            })?,
            None => text_lines(&self.text, number),
        };
        Ok(())
    }
}

/// Whether a first line begins an array, or an object that does not end on it or holds one.
fn may_begin_array(line: &str) -> bool {
    let line = line.trim_start();
    if line.starts_with('[') {
        return true;
    }
    match serde_json::from_str::<Map<String, Value>>(line) {
        Ok(object) => object.iter().any(|(name, value)| {
            let first = value.as_array().and_then(|all| all.first());
            WRAPPERS.contains(&name.as_str()) && first.is_some_and(Value::is_object)
        }),
        Err(error) => line.starts_with('{') && error.is_eof(),
    }
}

/// Structure of a text of JSON: its brackets and commas, and where they stand, without what is in
/// strings.
fn structure(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().enumerate().filter(move |(_, byte)| {
        if quoted {
            quoted = *byte != b'"' || escaped;
            escaped = *byte == b'\\' && !escaped;
            return false;
        }
        quoted = *byte == b'"';
        matches!(byte, b'[' | b']' | b'{' | b'}' | b',')
    })
}

/// Where the elements begin of the only array of objects that is a field of the object.
fn only_array(text: &str) -> Option<usize> {
    let (mut depth, mut found) = (0_usize, None);
    for (at, byte) in structure(text) {
        match byte {
            b'[' | b'{' => {
                let objects = || text[at + 1..].trim_start().starts_with('{');
                if byte == b'[' && depth == 1 && objects() && found.replace(at + 1).is_some() {
                    return None;
                }
                depth += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    found
}

/// The elements of an array, cut at its commas, from the first one at byte `first` on; whether each
/// is JSON is seen when it is parsed. Nothing may come after an array that is `alone`.
fn elements(
    text: &str,
    first: usize,
    first_line: usize,
    alone: bool,
) -> Result<VecDeque<Place>, (usize, &'static str)> {
    let mut found = VecDeque::new();
    let mut lines = LineCount {
        text,
        at: 0,
        line: first_line,
    };
    let (mut depth, mut begin) = (0_usize, first);
    for (at, byte) in structure(&text[first..]).map(|(at, byte)| (first + at, byte)) {
        match byte {
            b'[' | b'{' => depth += 1,
            b',' | b']' if depth == 0 => {
                let element = &text[begin..at];
                if !element.trim().is_empty() {
                    let start = begin + (element.len() - element.trim_start().len());
                    found.push_back((lines.at(start), start..at));
                }
                begin = at + 1;
                if byte == b']' {
                    let rest = &text[begin..];
                    let more = rest.len() - rest.trim_start().len();
                    return if alone && more < rest.len() {
                        Err((lines.at(begin + more), "something comes after the array"))
                    } else {
                        Ok(found)
                    };
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Err((lines.at(text.trim_end().len()), "the array is never closed"))
}

/// The lines of a text that are not blank.
fn text_lines(text: &str, first_line: usize) -> VecDeque<Place> {
    let mut begin = 0;
    let lines = text.split('\n').enumerate().map(|(index, line)| {
        let place = begin..begin + line.len();
        begin = place.end + 1;
        (first_line + index, place)
    });
    lines
        .filter(|(_, place)| !is_blank(&text[place.clone()]))
        .collect()
}

/// Counts lines of a text from its beginning on.
struct LineCount<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl LineCount<'_> {
    /// The line of byte `at`, which is behind those asked for before.
    fn at(&mut self, at: usize) -> usize {
        self.line += self.text[self.at..at].matches('\n').count();
        self.at = at;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The elements of the array that a text is, and their lines from 4 on.
    fn cut(text: &str) -> Result<Vec<(usize, &str)>, (usize, &'static str)> {
        let found = elements(text, 1, 4, true)?;
        let texts = found.into_iter().map(|(line, place)| (line, &text[place]));
        Ok(texts.collect())
    }

    #[test]
    fn elements_are_cut_at_the_commas_of_the_array() {
        let text = "[ {\"a\": \"x, ]\\\"\", \"b\": [1, 2]},\n\n {\"c\": {}} , 3\n]\n";
        let expected = vec![
            (4, "{\"a\": \"x, ]\\\"\", \"b\": [1, 2]}"),
            (6, "{\"c\": {}} "),
            (6, "3\n"),
        ];
        assert_eq!(cut(text), Ok(expected));
        assert_eq!(cut("[]"), Ok(Vec::new()));
        assert_eq!(cut("[{}\n,"), Err((5, "the array is never closed")));
        assert_eq!(cut("[]\n []"), Err((5, "something comes after the array")));
    }

    #[test]
    fn the_only_array_of_objects_in_an_object_is_found() {
        let text = r#"{"labels": ["a", "["], "data": [ {"x": [{"y": 1}]}], "n": {"of": [{}]}}"#;
        let at = only_array(text).unwrap();
        assert!(text[at..].starts_with(" {\"x\""), "{at}");
        assert_eq!(only_array(r#"{"data": [{}], "more": [{}]}"#), None);
        assert_eq!(only_array(r#"{"data": [1, {}]}"#), None);
    }

    #[test]
    fn records_of_a_file_are_lines_or_elements() {
        let folder = tempfile::tempdir().unwrap();
        let records = |text: &str| {
            let path = folder.path().join("records.json");
            fs_err::write(&path, text).unwrap();
            let mut records = JsonRecords::open(&path).unwrap();
            let mut all = Vec::new();
            while let Some((line, text)) = records.next().unwrap() {
                all.push((line, text.trim().to_owned()));
            }
            all
        };
        let told = |list: &[(usize, &str)]| -> Vec<(usize, String)> {
            let owned = list.iter().map(|(line, text)| (*line, (*text).to_owned()));
            owned.collect()
        };
        assert_eq!(records("\n\n{}\n\n3\n"), told(&[(3, "{}"), (5, "3")]));
        assert_eq!(
            records("\n[{},\n[1,2]\n]"),
            told(&[(2, "{}"), (3, "[1,2]")])
        );
        assert_eq!(
            records("{\"n\": 1,\n\"rows\":\n[{},\n{\"a\": 2}]}"),
            told(&[(3, "{}"), (4, "{\"a\": 2}")])
        );
        // Two arrays, or none of objects: a record a line, whatever is wrong with it.
        let two = "{\"data\": [{}], \"more\": [{}]}\n\n{}\n";
        assert_eq!(
            records(two),
            told(&[(1, "{\"data\": [{}], \"more\": [{}]}"), (3, "{}")])
        );
        assert_eq!(records(""), Vec::new());
    }
}
