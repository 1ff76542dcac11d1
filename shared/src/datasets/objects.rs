//! JSON objects of a file one after the other, with the line of each: an object a line, or one array
//! of objects, alone or as the only one in an object (`{"data": [...]}`).

use std::path::Path;

use serde_json::{Deserializer, Map, Value};

use super::lines::{Lines, is_blank};
use super::{DatasetError, LineError};

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

/// The line on which an object begins, and the object.
pub(super) type Object = (usize, Map<String, Value>);

/// A reader of objects.
pub(super) struct Objects {
    pub(super) lines: Lines,
    array: Option<Array>,
}

/// An array of objects, as text.
struct Array {
    text: String,
    at: usize,
    line: usize,
    /// Whether it ended.
    ended: bool,
}

impl Objects {
    pub(super) fn open(path: &Path) -> Result<Self, DatasetError> {
        let mut lines = Lines::open(path)?;
        while let Some(line) = lines.next()? {
            if is_blank(line.text) {
                continue;
            }
            if is_part_of_array(line.text.trim_start()) {
                let begin = line.number;
                let mut all = Lines::open(path)?;
                let text = read_all(&mut all)?;
                if let Some(at) = array_of(&text) {
                    return Ok(Self {
                        lines: all,
                        array: Some(Array::new(text, at)),
                    });
                }
                if text.trim_start().starts_with('[') {
                    let cause = LineError::Json("an array of objects is needed".to_owned());
                    return Err(lines.error_at(begin, cause));
                }
            }
            break;
        }
        Ok(Self {
            lines: Lines::open(path)?,
            array: None,
        })
    }

    /// The next object and its line; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Object>, DatasetError> {
        if let Some(array) = &mut self.array {
            let next = array.next();
            return next.map_err(|(line, cause)| self.lines.error_at(line, cause));
        }
        while let Some(line) = self.lines.next()? {
            if !is_blank(line.text) {
                let object = serde_json::from_str(line.text)
                    .map_err(|error| line.error(LineError::Json(error.to_string())))?;
                return Ok(Some((line.number, object)));
            }
        }
        Ok(None)
    }
}

/// Whether a first line begins an array, or an object that does not end on it or holds one.
fn is_part_of_array(line: &str) -> bool {
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

fn read_all(lines: &mut Lines) -> Result<String, DatasetError> {
    let mut text = String::new();
    while let Some(line) = lines.next()? {
        let number = line.number;
        text.push_str(line.text);
        text.push('\n');
        if text.len() > LARGEST {
            return Err(lines.error_at(number, LineError::TooLong { limit: LARGEST }));
        }
    }
    Ok(text)
}

/// Where the first object of the only array of objects stands: the outermost array, or one in the
/// outermost object.
fn array_of(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let wanted = usize::from(text.trim_start().starts_with('{'));
    let mut found = None;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' => {
                if depth == wanted && text[at + 1..].trim_start().starts_with('{') {
                    if found.is_some() {
                        return None;
                    }
                    found = Some(at + 1);
                }
                depth += 1;
            }
            b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    found
}

impl Array {
    fn new(text: String, at: usize) -> Self {
        let line = 1 + text[..at].bytes().filter(|byte| *byte == b'\n').count();
        Self {
            text,
            at,
            line,
            ended: false,
        }
    }

    /// Goes on to the next byte that is no white space and no `skipped`.
    fn skip(&mut self, skipped: u8) -> Option<u8> {
        while let Some(byte) = self.text.as_bytes().get(self.at).copied() {
            if byte == b'\n' {
                self.line += 1;
            } else if byte != skipped && !byte.is_ascii_whitespace() {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn next(&mut self) -> Result<Option<Object>, (usize, LineError)> {
        if self.ended {
            return Ok(None);
        }
        let next = self.skip(b',');
        let begin = self.line;
        match next {
            Some(b']') => {
                self.ended = true;
                return Ok(None);
            }
            None => return Err((begin, LineError::Json("the array has no end".to_owned()))),
            Some(_) => {}
        }
        let rest = &self.text[self.at..];
        let mut objects = Deserializer::from_str(rest).into_iter::<Map<String, Value>>();
        let object = match objects.next() {
            Some(Ok(object)) => object,
            Some(Err(error)) => return Err((begin, LineError::Json(error.to_string()))),
            None => return Err((begin, LineError::Json("an object is missing".to_owned()))),
        };
        let length = objects.byte_offset();
        self.line += rest[..length].bytes().filter(|byte| *byte == b'\n').count();
        self.at += length;
        Ok(Some((begin, object)))
    }
}
