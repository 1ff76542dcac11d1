//! The bytes of a file, for the crate `parquet`, which believes what headers promise and takes the
//! end of a file for bytes that it skips: a damaged header would keep it busy for hours. Here
//! headers are looked at first, and the end is an error: nothing whole is read to the end, where
//! the footer stands.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use super::header;

/// Length of the metadata and the format's name, at the end of a file.
const FOOTER: usize = 8;

/// A file that several columns read from at once, each where it is.
pub(super) struct FileBytes {
    file: Arc<File>,
    length: u64,
}

/// From one place onwards.
pub(super) struct Onwards {
    file: Arc<File>,
    at: u64,
}

impl FileBytes {
    /// # Errors
    /// The file cannot be read, or its metadata promise more than there is.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let bytes = Self {
            length: file.metadata()?.len(),
            file: Arc::new(file),
        };
        // What is no such file at all, the crate says better.
        if let Some(metadata) = bytes.metadata()? {
            header::check_metadata(&metadata)?;
        }
        Ok(bytes)
    }

    fn metadata(&self) -> io::Result<Option<Vec<u8>>> {
        let Some(end) = self.length.checked_sub(FOOTER as u64) else {
            return Ok(None);
        };
        let mut footer = [0; FOOTER];
        self.file.read_exact_at(&mut footer, end)?;
        let [length @ .., b'P', b'A', b'R', b'1'] = footer else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(length);
        let Some(begin) = end.checked_sub(u64::from(length)) else {
            return Ok(None);
        };
        let mut metadata = vec![0; length as usize];
        self.file.read_exact_at(&mut metadata, begin)?;
        Ok(Some(metadata))
    }

    fn onwards(&self, start: u64) -> BufReader<Onwards> {
        BufReader::new(Onwards {
            file: Arc::clone(&self.file),
            at: start,
        })
    }
}

impl Length for FileBytes {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for FileBytes {
    type T = BufReader<Onwards>;

    /// The crate asks for the footer and for pages, which begin with their headers.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        let left = self.length.saturating_sub(start);
        if left > FOOTER as u64 {
            header::check_page(self.onwards(start), left)?;
        }
        Ok(self.onwards(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(ParquetError::EOF(format!(
                "{length} bytes from {start} on, in a file of {}",
                self.length
            )));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

impl Read for Onwards {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        if read == 0 && !buffer.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A hundred bytes, of which each is its place; 0 ends an empty header.
    fn hundred_bytes() -> FileBytes {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&(0..100).collect::<Vec<u8>>()).unwrap();
        FileBytes {
            length: 100,
            file: Arc::new(file),
        }
    }

    #[test]
    fn columns_read_from_their_own_places() {
        let file = hundred_bytes();
        let (mut one, mut other) = (file.onwards(0), file.onwards(70));
        let next = |reader: &mut BufReader<Onwards>| {
            let mut two = [0; 2];
            reader.read_exact(&mut two).unwrap();
            two
        };
        assert_eq!(next(&mut one), [0, 1]);
        assert_eq!(next(&mut other), [70, 71]);
        assert_eq!(next(&mut one), [2, 3]);
        assert_eq!(&file.get_bytes(96, 4).unwrap()[..], [96, 97, 98, 99]);
        assert_eq!(next(&mut file.get_read(0).unwrap()), [0, 1]);
    }

    #[test]
    fn the_end_is_an_error() {
        let file = hundred_bytes();
        assert!(file.get_bytes(96, 5).is_err());
        assert!(file.get_bytes(u64::MAX, 2).is_err());
        let skip = |start, bytes| io::copy(&mut file.onwards(start).take(bytes), &mut io::sink());
        assert_eq!(skip(20, 80).unwrap(), 80);
        assert!(skip(20, 81).is_err());
        assert!(skip(100, 1).is_err());
        assert!(skip(999, 1).is_err());
    }
}
