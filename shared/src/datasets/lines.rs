//! Lines of a file one at a time, numbered, in memory of one line: the door by which foreign bytes
//! come in. Packed files (gzip) are unpacked on the way; a byte order mark and the carriage returns
//! of Windows are taken off.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::{DatasetError, LineError, Sentences};

/// The longest line that is taken for text.
const LONGEST: usize = 64 << 20;

/// A reader of lines that knows where it is.
pub struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    buffer: Vec<u8>,
    number: usize,
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
        let reader: Box<dyn BufRead + Send> = if packed {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        Ok(Self::new(path, reader))
    }

    fn new(path: &Path, reader: Box<dyn BufRead + Send>) -> Self {
        Self {
            path: path.to_path_buf(),
            reader,
            buffer: Vec::new(),
            number: 0,
        }
    }

    /// The next line without its end; none at the end of the file.
    ///
    /// # Errors
    /// When it cannot be read, is longer than a line can be, or is not UTF-8.
    #[expect(clippy::should_implement_trait, reason = "a line borrows the buffer")]
    pub fn next(&mut self) -> Result<Option<Line<'_>>, DatasetError> {
        self.buffer.clear();
        let read = self
            .reader
            .by_ref()
            .take(LONGEST as u64 + 1)
            .read_until(b'\n', &mut self.buffer);
        match read {
            Err(source) => {
                return Err(DatasetError::Read {
                    path: self.path.clone(),
                    line: self.number,
                    source,
                });
            }
            Ok(0) => return Ok(None),
            Ok(_) => self.number += 1,
        }
        if self.buffer.len() > LONGEST {
            return Err(self.error_at(self.number, LineError::TooLong { limit: LONGEST }));
        }
        let mut line = self.buffer.as_slice();
        line = line.strip_suffix(b"\n").unwrap_or(line);
        line = line.strip_suffix(b"\r").unwrap_or(line);
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
