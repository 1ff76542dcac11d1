//! What bytes of a text file are: UTF-8, UTF-16 (which is turned into UTF-8 on the way), or no text
//! at all but a packed or binary file under the name of one.

use std::io::{self, BufRead, ErrorKind, Read};

/// Bytes by which the kind of a file is told.
const LOOK: usize = 512;

/// How text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// UTF-8, with or without a mark.
    Utf8,
    /// UTF-16, the lower byte first.
    Utf16Le,
    /// UTF-16, the higher byte first.
    Utf16Be,
}

/// What is no text, by its first bytes: the name of the format and how to come by the text.
const BINARY: [(&[u8], &str, &str); 8] = [
    (
        b"\x28\xb5\x2f\xfd",
        "packed with zstd",
        "unpack it with `zstd -d`, or pack it with gzip",
    ),
    (
        b"BZh",
        "packed with bzip2",
        "unpack it with `bunzip2`, or pack it with gzip",
    ),
    (
        b"\xfd7zXZ\0",
        "packed with xz",
        "unpack it with `unxz`, or pack it with gzip",
    ),
    (
        b"PK\x03\x04",
        "a zip archive or a spreadsheet",
        "unpack it, or save the sheet as CSV",
    ),
    (
        b"\x04\x22\x4d\x18",
        "packed with lz4",
        "unpack it with `lz4 -d`, or pack it with gzip",
    ),
    (
        b"PAR1",
        "parquet",
        "read it with --format parquet, or name it *.parquet",
    ),
    (b"ARROW1", "an Arrow file", "save it as parquet or JSONL"),
    (
        b"\xff\xfe\0\0",
        "UTF-32",
        "convert it with `iconv -f utf-32 -t utf-8`",
    ),
];

/// The encoding of text that begins with these bytes.
///
/// # Errors
/// What it is instead of text, and the remedy.
pub(super) fn of(start: &[u8]) -> Result<Encoding, (&'static str, &'static str)> {
    for (mark, what, remedy) in BINARY {
        if start.starts_with(mark) && (mark != b"BZh" || start.get(4..10) == Some(b"1AY&SY")) {
            return Err((what, remedy));
        }
    }
    if start.starts_with(b"\xff\xfe") {
        return Ok(Encoding::Utf16Le);
    }
    if start.starts_with(b"\xfe\xff") {
        return Ok(Encoding::Utf16Be);
    }
    // Without a mark: every other byte of Latin letters is zero.
    let (pairs, _) = start[..start.len().min(LOOK)].as_chunks::<2>();
    let zeros = |place: usize| pairs.iter().filter(|pair| pair[place] == 0).count();
    let (high, low) = (zeros(0), zeros(1));
    // Half of them at least, and few of the others.
    let is_most = |zeros: usize, others: usize| {
        pairs.len() > 1 && zeros * 2 > pairs.len() && others * 4 < zeros
    };
    Ok(if is_most(low, high) {
        Encoding::Utf16Le
    } else if is_most(high, low) {
        Encoding::Utf16Be
    } else {
        Encoding::Utf8
    })
}

/// Reads UTF-16 as UTF-8.
pub(super) struct Utf16<R> {
    bytes: R,
    big_endian: bool,
    /// The first half of a character of two.
    pending: Option<u16>,
    /// What was converted and not yet read.
    text: Vec<u8>,
    read: usize,
}

impl<R: BufRead> Utf16<R> {
    pub(super) fn new(bytes: R, encoding: Encoding) -> Self {
        Self {
            bytes,
            big_endian: encoding == Encoding::Utf16Be,
            pending: None,
            text: Vec::new(),
            read: 0,
        }
    }

    /// The next unit; none at the end.
    fn unit(&mut self) -> io::Result<Option<u16>> {
        let mut pair = [0; 2];
        if self.bytes.fill_buf()?.is_empty() {
            return Ok(None);
        }
        self.bytes.read_exact(&mut pair)?;
        Ok(Some(if self.big_endian {
            u16::from_be_bytes(pair)
        } else {
            u16::from_le_bytes(pair)
        }))
    }

    /// Converts the next few units.
    fn convert(&mut self) -> io::Result<()> {
        let mut units: Vec<u16> = self.pending.take().into_iter().collect();
        while units.len() < LOOK
            && let Some(unit) = self.unit()?
        {
            units.push(unit);
        }
        if units.len() >= LOOK
            && units
                .last()
                .is_some_and(|unit| (0xd800..0xdc00).contains(unit))
        {
            self.pending = units.pop();
        }
        self.text.clear();
        self.read = 0;
        for character in char::decode_utf16(units) {
            let character = character
                .map_err(|_| io::Error::new(ErrorKind::InvalidData, "not valid UTF-16 text"))?;
            self.text
                .extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.text.len() {
            self.convert()?;
        }
        let count = buffer.len().min(self.text.len() - self.read);
        buffer[..count].copy_from_slice(&self.text[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}
