//! Records of JSON one after the other, with the line on which each begins: an object a line, or
//! the elements of one array, which annotation tools write on one line or on many.

use std::collections::VecDeque;
use std::path::Path;

use crate::datasets::lines::{Lines, is_blank};
use crate::datasets::{DatasetError, LineError, Sentences};

/// The records of a file.
pub(super) struct Records {
    lines: Lines,
    /// The elements of the array, if the file is one; it is read whole.
    elements: Option<VecDeque<(usize, String)>>,
    /// The first line, if it is a record.
    first: Option<(usize, String)>,
}

impl Records {
    pub(super) fn open(path: &Path) -> Result<Self, DatasetError> {
        let mut lines = Lines::open(path)?;
        let mut first = None;
        while let Some(line) = lines.next()? {
            if !is_blank(line.text) {
                first = Some((line.number, line.text.to_owned()));
                break;
            }
        }
        let mut records = Self {
            lines,
            elements: None,
            first,
        };
        if let Some((number, text)) = records.first.take_if(|(_, text)| is_array(text)) {
            records.elements = Some(records.array(number, text)?);
        }
        Ok(records)
    }

    /// The next record and the line on which it begins.
    pub(super) fn next(&mut self) -> Result<Option<(usize, String)>, DatasetError> {
        if let Some(elements) = &mut self.elements {
            return Ok(elements.pop_front());
        }
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        while let Some(line) = self.lines.next()? {
            if !is_blank(line.text) {
                return Ok(Some((line.number, line.text.to_owned())));
            }
        }
        Ok(None)
    }

    pub(super) fn filled(&self, sentences: Sentences) -> Result<Sentences, DatasetError> {
        self.lines.filled(sentences)
    }

    fn array(
        &mut self,
        number: usize,
        mut text: String,
    ) -> Result<VecDeque<(usize, String)>, DatasetError> {
        while let Some(line) = self.lines.next()? {
            text.push('\n');
            text.push_str(line.text);
        }
        elements(&text, number).map_err(|(line, problem)| {
            self.lines
                .error_at(line, LineError::Json(problem.to_owned()))
        })
    }
}

fn is_array(line: &str) -> bool {
    line.trim_start().starts_with('[')
}

/// The elements of an array, cut at its commas; whether each is JSON is seen when it is parsed.
fn elements(
    text: &str,
    first_line: usize,
) -> Result<VecDeque<(usize, String)>, (usize, &'static str)> {
    let mut found = VecDeque::new();
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let mut line = first_line;
    // Where the element begins, and on which line.
    let mut begin: Option<(usize, usize)> = None;
    let mut closed = false;
    for (at, byte) in text.bytes().enumerate() {
        let is_space = byte.is_ascii_whitespace();
        line += usize::from(byte == b'\n');
        if closed {
            if is_space {
                continue;
            }
            return Err((line, "something comes after the array"));
        }
        if quoted {
            quoted = byte != b'"' || escaped;
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        if depth == 1 && !is_space && !matches!(byte, b',' | b']') {
            begin.get_or_insert((at, line));
        }
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => depth += 1,
            b',' | b']' if depth == 1 => {
                if let Some((begin, line)) = begin.take() {
                    found.push_back((line, text.get(begin..at).unwrap_or_default().to_owned()));
                }
                closed = byte == b']';
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    if closed {
        Ok(found)
    } else {
        Err((line, "the array is never closed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_cut_at_the_commas_of_the_array() {
        let text = "[ {\"a\": \"x, ]\\\"\", \"b\": [1, 2]},\n\n {\"c\": {}} , 3\n]\n";
        let found = elements(text, 4).unwrap();
        let expected = [
            (4, "{\"a\": \"x, ]\\\"\", \"b\": [1, 2]}"),
            (6, "{\"c\": {}} "),
            (6, "3\n"),
        ];
        assert!(
            found
                .iter()
                .map(|(line, text)| (*line, text.as_str()))
                .eq(expected)
        );
        assert!(elements("[]", 1).unwrap().is_empty());
        assert_eq!(elements("[{}\n,", 1), Err((2, "the array is never closed")));
        assert_eq!(
            elements("[]\n[]", 1),
            Err((2, "something comes after the array"))
        );
    }
}
