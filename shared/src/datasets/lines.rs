//! Lines of a file one at a time, numbered, in memory of one line: the door by which foreign bytes
//! come in. Packed files (gzip) are unpacked and UTF-16 is turned into UTF-8 on the way; a byte order
//! mark is taken off. Lines end with LF, CR LF or a lone CR, in one file as it comes; U+2028 and its
//! like are characters of the text.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::encoding::{self, Encoding, Utf16};
use super::{DatasetError, LineError, Sentences};

/// The longest line that is taken for text.
const LONGEST: usize = 64 << 20;

/// A reader of lines that knows where it is.
pub struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    buffer: Vec<u8>,
    number: usize,
    /// Empty lines after the last one, which were read with it.
    empty: usize,
}

impl Lines {
    /// Opens a file, whatever its name; gzip is told by its first bytes (RFC 1952).
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        Self::from_reader(path, fs_err::File::open(path)?)
    }

    /// The lines of what is open already and called `path` in errors; waits for its first bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn from_reader(
        path: &Path,
        bytes: impl Read + Send + 'static,
    ) -> Result<Self, DatasetError> {
        let mut file = BufReader::with_capacity(1 << 16, bytes);
        let packed = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        if packed {
            Self::decoded(
                path,
                BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)),
            )
        } else {
            Self::decoded(path, file)
        }
    }

    /// The lines of bytes that are not packed any more.
    fn decoded(
        path: &Path,
        mut bytes: impl BufRead + Send + 'static,
    ) -> Result<Self, DatasetError> {
        let start = bytes.fill_buf().map_err(|source| DatasetError::Read {
            path: path.to_owned(),
            line: 0,
            source,
        })?;
        let encoding = encoding::of(start).map_err(|(what, remedy)| DatasetError::NoText {
            path: path.to_owned(),
            what,
            remedy,
        })?;
        let reader: Box<dyn BufRead + Send> = match encoding {
            Encoding::Utf8 => Box::new(bytes),
            _ => Box::new(BufReader::with_capacity(
                1 << 16,
                Utf16::new(bytes, encoding),
            )),
        };
        Ok(Self::new(path, reader))
    }

    fn new(path: &Path, reader: Box<dyn BufRead + Send>) -> Self {
        Self {
            path: path.to_path_buf(),
            reader,
            buffer: Vec::new(),
            number: 0,
            empty: 0,
        }
    }

    /// The next line without its end; none at the end of the file.
    ///
    /// # Errors
    /// When it cannot be read, is longer than a line can be, or is not UTF-8.
    #[expect(clippy::should_implement_trait, reason = "a line borrows the buffer")]
    pub fn next(&mut self) -> Result<Option<Line<'_>>, DatasetError> {
        self.buffer.clear();
        if self.empty > 0 {
            self.empty -= 1;
            self.number += 1;
        } else {
            match self.fill() {
                Err(source) => {
                    return Err(DatasetError::Read {
                        path: self.path.clone(),
                        line: self.number,
                        source,
                    });
                }
                Ok(false) => return Ok(None),
                Ok(true) => self.number += 1,
            }
        }
        if self.buffer.len() > LONGEST {
            return Err(self.error_at(self.number, LineError::TooLong { limit: LONGEST }));
        }
        let mut line = self.buffer.as_slice();
        if self.number == 1 {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        match std::str::from_utf8(line) {
            Ok(text) => Ok(Some(Line {
                path: &self.path,
                number: self.number,
                text,
            })),
            Err(_) => Err(self.error_at(self.number, LineError::NotUtf8)),
        }
    }

    /// Reads up to the next end of a line, which is left out; false when nothing is left.
    fn fill(&mut self) -> io::Result<bool> {
        let mut any = false;
        loop {
            let bytes = self.reader.fill_buf()?;
            if bytes.is_empty() {
                return Ok(any);
            }
            any = true;
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let text = end.unwrap_or(bytes.len());
            self.buffer.extend_from_slice(&bytes[..text]);
            let Some(end) = end else {
                self.reader.consume(text);
                if self.buffer.len() > LONGEST {
                    return Ok(true);
                }
                continue;
            };
            let is_return = bytes[end] == b'\r';
            self.reader.consume(end + 1);
            if is_return {
                self.empty = self.after_return()?;
            }
            return Ok(true);
        }
    }

    /// After a carriage return: how many empty lines follow. Those before a line feed belong to it
    /// (files that were converted twice end lines with CR CR LF).
    fn after_return(&mut self) -> io::Result<usize> {
        let mut returns = 0;
        loop {
            match self.reader.fill_buf()?.first() {
                Some(b'\r') => returns += 1,
                Some(b'\n') => {
                    self.reader.consume(1);
                    return Ok(0);
                }
                _ => return Ok(returns),
            }
            self.reader.consume(1);
        }
    }

    /// An error about some line of this file.
    pub(super) fn error_at(&self, line: usize, cause: LineError) -> DatasetError {
        DatasetError::Line {
            path: self.path.clone(),
            line,
            cause,
        }
    }

    /// `sentences` as they were read to the end of the file; an error when there is none.
    pub(super) fn filled(&self, mut sentences: Sentences) -> Result<Sentences, DatasetError> {
        if sentences.is_empty() {
            let what = if self.number == 0 {
                "the file is empty"
            } else {
                "only comments, headers and empty lines"
            };
            return Err(DatasetError::Empty {
                path: self.path.clone(),
                what,
            });
        }
        sentences.shrink();
        Ok(sentences)
    }
}

/// One line and where it is.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    path: &'a Path,
    /// From 1.
    pub number: usize,
    /// The line without its end.
    pub text: &'a str,
}

impl Line<'_> {
    /// An error about this line.
    #[must_use]
    pub fn error(&self, cause: LineError) -> DatasetError {
        DatasetError::Line {
            path: self.path.to_path_buf(),
            line: self.number,
            cause,
        }
    }
}

/// Whether a line separates sentences: nothing but spaces and tabs.
#[must_use]
pub fn is_blank(line: &str) -> bool {
    line.bytes().all(|byte| byte == b' ' || byte == b'\t')
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;
    use crate::exit::HasExitStatus as _;

    fn read(bytes: &[u8]) -> Result<Vec<String>, DatasetError> {
        let mut lines = Lines::new(Path::new("x"), Box::new(Cursor::new(bytes.to_vec())));
        let mut all = Vec::new();
        while let Some(line) = lines.next()? {
            all.push(line.text.to_owned());
        }
        Ok(all)
    }

    #[test]
    fn marks_and_carriage_returns_are_taken_off() {
        assert_eq!(
            read(b"\xef\xbb\xbfa\r\n\r\nb\xc3\xbc").unwrap(),
            ["a", "", "bü"]
        );
    }

    #[test]
    fn lines_end_with_any_of_the_three_ends() {
        let expected = ["a O", "b O", "", "c O"];
        for bytes in [
            &b"a O\nb O\n\nc O\n"[..],
            b"a O\r\nb O\r\n\r\nc O\r\n",
            b"a O\rb O\r\rc O\r",
            b"a O\rb O\r\n\nc O",
            b"a O\r\r\nb O\r\r\n\r\r\nc O\r\r\n",
        ] {
            assert_eq!(read(bytes).unwrap(), expected, "{bytes:?}");
        }
        let text = "a\u{2028}b\u{85}c\u{b}d\u{c}e";
        assert_eq!(read(text.as_bytes()).unwrap(), [text]);
    }

    #[test]
    fn utf_16_is_read_and_what_is_no_text_is_named() {
        let text = "\u{feff}Müller B-PER\r\n😀 O\r\n".repeat(400);
        let text = text.trim_start_matches('\u{feff}').replace('\u{feff}', "");
        let opened = |bytes: Vec<u8>| Lines::from_reader(Path::new("x"), Cursor::new(bytes));
        for mark in ["\u{feff}", ""] {
            let units: Vec<u16> = mark.encode_utf16().chain(text.encode_utf16()).collect();
            for bytes in [
                units
                    .iter()
                    .flat_map(|unit| unit.to_le_bytes())
                    .collect::<Vec<u8>>(),
                units.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
            ] {
                let mut lines = opened(bytes).unwrap();
                let mut all = Vec::new();
                while let Some(line) = lines.next().unwrap() {
                    all.push(line.text.to_owned());
                }
                assert_eq!(all.len(), 800);
                assert_eq!(all[798..], ["Müller B-PER", "😀 O"]);
                assert_eq!(all[0], "Müller B-PER");
            }
        }
        let error = |bytes: &[u8]| opened(bytes.to_vec()).err().unwrap().to_string();
        assert!(error(b"\x28\xb5\x2f\xfd....").contains("zstd"));
        assert!(error(b"PAR1....").contains("--format parquet"));
    }

    #[test]
    fn bytes_that_are_no_text_are_told_with_their_line() {
        assert_eq!(
            read(b"a\n\xff\n")
                .unwrap_err()
                .to_string()
                .split(": ")
                .take(2)
                .collect::<Vec<_>>(),
            ["x:2", "not UTF-8 text"]
        );
    }

    #[test]
    fn gzip_is_unpacked_and_a_cut_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.conll.gz");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&b"a O\n".repeat(1_000)).unwrap();
        let packed = encoder.finish().unwrap();
        fs_err::write(&path, &packed).unwrap();
        let mut lines = Lines::open(&path).unwrap();
        while lines.next().unwrap().is_some() {}
        assert_eq!(lines.number, 1_000);
        fs_err::write(&path, &packed[..packed.len() - 9]).unwrap();
        let mut lines = Lines::open(&path).unwrap();
        let error = loop {
            match lines.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a cut file was read to its end"),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("train.conll.gz"), "{error}");
        assert_eq!(error.exit_status(), crate::exit::ExitStatus::User);
    }
}
