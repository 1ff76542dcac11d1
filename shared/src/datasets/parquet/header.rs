//! A look at the headers of a file before the crate `parquet` believes them. They are values of
//! Thrift's compact protocol (parquet-format, `parquet.thrift`; Thrift, "Compact protocol
//! encoding"). A few damaged bytes can promise thousands of millions of elements, for which the
//! crate takes memory or time; what a header promises must at least fit into the file.

use std::io::{self, ErrorKind, Read};

/// Levels of values within values; the crate skips no more either.
const DEEPEST: usize = 64;

/// Kinds of values, as a field's or a list's header names them.
mod kind {
    pub(super) const BYTE: u8 = 3;
    pub(super) const I16: u8 = 4;
    pub(super) const I32: u8 = 5;
    pub(super) const I64: u8 = 6;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const BINARY: u8 = 8;
    pub(super) const LIST: u8 = 9;
    pub(super) const SET: u8 = 10;
    pub(super) const MAP: u8 = 11;
    pub(super) const STRUCT: u8 = 12;
    pub(super) const UUID: u8 = 13;
}

/// Checks the header of a page: `bytes` begin with it, and `length` of them are left in the file.
pub(super) fn check_page(bytes: impl Read, length: u64) -> io::Result<()> {
    Walk::over(bytes, length).skip(kind::STRUCT, DEEPEST)
}

/// Checks the metadata in a file's footer, the number of its columns above all.
pub(super) fn check_metadata(bytes: &[u8]) -> io::Result<()> {
    let mut elements = 0;
    let mut children = 0;
    Walk::over(bytes, bytes.len() as u64).fields(|walk, field, kind| match (field, kind) {
        (1, kind::I32) => walk.skip(kind, DEEPEST),
        (2, kind::LIST) => {
            let (count, kind) = walk.list()?;
            elements = count;
            expect(kind, kind::STRUCT)?;
            for _ in 0..count {
                walk.fields(|walk, field, kind| schema_field(walk, field, kind, &mut children))?;
            }
            Ok(())
        }
        (1 | 2, _) => Err(odd()),
        _ => walk.skip(kind, DEEPEST),
    })?;
    if children > elements {
        return Err(bad(format!(
            "{children} columns in a schema of {elements} elements"
        )));
    }
    Ok(())
}

/// A field of `SchemaElement`; of the kinds that the format says, as the crate takes them to be
/// these.
fn schema_field(
    walk: &mut Walk<&[u8]>,
    field: i64,
    kind: u8,
    children: &mut u64,
) -> io::Result<()> {
    match field {
        5 => {
            expect(kind, kind::I32)?;
            let count = u64::try_from(walk.signed()?).map_err(|_| odd())?;
            *children = children.saturating_add(count);
            return Ok(());
        }
        1..=3 | 6..=9 => expect(kind, kind::I32)?,
        4 => expect(kind, kind::BINARY)?,
        10 => expect(kind, kind::STRUCT)?,
        _ => {}
    }
    walk.skip(kind, DEEPEST)
}

fn expect(kind: u8, expected: u8) -> io::Result<()> {
    if kind == expected { Ok(()) } else { Err(odd()) }
}

fn odd() -> io::Error {
    bad("a field of another type than the format says")
}

fn bad(reason: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason.into())
}

/// A way through values that keeps none.
struct Walk<R> {
    bytes: R,
    /// Elements that lists may still have: an element takes a byte at least.
    elements: u64,
}

impl<R: Read> Walk<R> {
    fn over(bytes: R, length: u64) -> Self {
        Self {
            bytes,
            elements: length,
        }
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.bytes.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(bad("a number of more than ten bytes"))
    }

    fn signed(&mut self) -> io::Result<i64> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn pass(&mut self, bytes: u64) -> io::Result<()> {
        let passed = io::copy(&mut self.bytes.by_ref().take(bytes), &mut io::sink())?;
        if passed < bytes {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Number and kind of a list's elements.
    fn list(&mut self) -> io::Result<(u64, u8)> {
        let header = self.byte()?;
        let count = match header >> 4 {
            15 => self.number()?,
            count => u64::from(count),
        };
        self.count(count)?;
        Ok((count, header & 15))
    }

    fn count(&mut self, elements: u64) -> io::Result<()> {
        let left = self.elements.checked_sub(elements);
        self.elements =
            left.ok_or_else(|| bad("a list of more elements than the file has bytes"))?;
        Ok(())
    }

    /// Goes through a structure; `each` is given number and kind of a field and must go past its
    /// value.
    fn fields(
        &mut self,
        mut each: impl FnMut(&mut Self, i64, u8) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut field = 0_i64;
        loop {
            let header = self.byte()?;
            let (more, kind) = (header >> 4, header & 15);
            if kind == 0 {
                return Ok(());
            }
            field = match more {
                0 => self.signed()?,
                more => field.saturating_add(i64::from(more)),
            };
            each(self, field, kind)?;
        }
    }

    /// Goes past a value.
    fn skip(&mut self, kind: u8, depth: usize) -> io::Result<()> {
        let depth = depth
            .checked_sub(1)
            .ok_or_else(|| bad("values too deep within each other"))?;
        match kind {
            // A field's truth is told by its kind, and so the crate takes a list's to be.
            1 | 2 => Ok(()),
            kind::BYTE => self.pass(1),
            kind::I16 | kind::I32 | kind::I64 => self.number().map(drop),
            kind::DOUBLE => self.pass(8),
            kind::UUID => self.pass(16),
            kind::BINARY => {
                let bytes = self.number()?;
                self.pass(bytes)
            }
            kind::LIST | kind::SET => {
                let (count, kind) = self.list()?;
                (0..count).try_for_each(|_| self.skip(kind, depth))
            }
            kind::MAP => {
                let count = self.number()?;
                self.count(count)?;
                let kinds = if count == 0 { 0 } else { self.byte()? };
                (0..count).try_for_each(|_| {
                    self.skip(kinds >> 4, depth)?;
                    self.skip(kinds & 15, depth)
                })
            }
            kind::STRUCT => self.fields(|walk, _, kind| walk.skip(kind, depth)),
            _ => Err(bad("a value of a kind that there is not")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two thousand million, as a number of a list's elements is written.
    const MANY: [u8; 5] = [0x80, 0x80, 0x80, 0x80, 0x08];

    fn page(bytes: &[u8]) -> io::Result<()> {
        check_page(bytes, bytes.len() as u64)
    }

    #[test]
    fn every_kind_of_value_is_gone_past() {
        // Field by field: true, i32, binary of two bytes, list of two i32, double, map of one i32
        // to a binary, structure, uuid.
        let mut bytes = vec![
            0x11, 0x15, 0x96, 0x01, 0x18, 0x02, b'a', b'b', 0x19, 0x25, 0x02, 0x04,
        ];
        bytes.extend([
            0x17, 1, 2, 3, 4, 5, 6, 7, 8, 0x1b, 0x01, 0x58, 0x02, 0x01, b'c',
        ]);
        bytes.extend([0x1c, 0x13, 0x07, 0x00, 0x1d]);
        bytes.extend([9; 16]);
        bytes.push(0);
        page(&bytes).unwrap();
        for end in 0..bytes.len() {
            assert!(page(&bytes[..end]).is_err(), "without all from {end} on");
        }
    }

    /// Found by fuzzing: the crate goes through the elements of such lists although there are none.
    #[test]
    fn lists_of_more_than_there_is_are_an_error() {
        for kind in [kind::DOUBLE, kind::UUID, 1] {
            let list = [&[0x19, 0xf0 | kind], &MANY[..], &[0]].concat();
            let error = page(&list).unwrap_err().to_string();
            assert!(error.contains("more elements"), "{error}");
        }
        let map = [&[0x1b], &MANY[..], &[0x11, 0]].concat();
        assert!(page(&map).is_err());
        assert!(page(&[0x19; 200]).is_err(), "lists within lists");
    }

    /// Found by fuzzing: the crate takes memory for as many columns as a schema says it has.
    #[test]
    fn columns_are_not_more_than_the_schema_has() {
        let schema = |columns: &[u8]| {
            let root = [&[0x48, 1, b'r', 0x15], columns, &[0]].concat();
            let leaf = [0x15, 0x0c, 0x38, 1, b'a', 0x00];
            [&[0x15, 0x02, 0x19, 0x2c], &root[..], &leaf, &[0x00]].concat()
        };
        check_metadata(&schema(&[2])).unwrap();
        let error = check_metadata(&schema(&MANY)).unwrap_err().to_string();
        assert!(
            error.contains("columns in a schema of 2 elements"),
            "{error}"
        );
        assert!(check_metadata(&schema(&[1])).is_err(), "less than none");
        assert!(
            check_metadata(&[0x15, 0x02, 0x15, 0x02, 0]).is_err(),
            "no list"
        );
    }
}
