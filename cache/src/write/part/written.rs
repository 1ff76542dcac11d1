//! Which rows of an inner chunk have been written, and the checksum of them: that of the chunk once
//! they are all there, whatever the order they came in.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::layout::crc;

/// The rows of an inner chunk that have been written.
#[derive(Debug)]
pub(super) struct Written {
    row_bytes: u64,
    /// By their first row. Those that meet are one piece, so that there are few.
    pieces: BTreeMap<u64, Piece>,
    /// Whether the checksums are right. A row that was written twice is not known to be the first
    /// or the second.
    known: bool,
}

/// Consecutive rows.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// The row after them.
    end: u64,
    checksum: u32,
}

impl Written {
    /// A chunk without rows, of rows of `row_bytes` bytes.
    pub(super) fn new(row_bytes: u64) -> Self {
        Self {
            row_bytes,
            pieces: BTreeMap::new(),
            known: true,
        }
    }

    /// Notes rows (numbers in the chunk) and the checksum of their bytes, if it was computed.
    pub(super) fn add(&mut self, rows: Range<u64>, checksum: Option<u32>) {
        let Range { mut start, mut end } = rows;
        let mut whole = checksum.unwrap_or_default();
        self.known &= checksum.is_some();
        while let Some((first, piece)) = self.meeting(start, end) {
            self.pieces.remove(&first);
            self.known &= piece.end == start || first == end;
            whole = if first < start {
                crc::combine(piece.checksum, whole, (end - start) * self.row_bytes)
            } else {
                crc::combine(whole, piece.checksum, (piece.end - first) * self.row_bytes)
            };
            (start, end) = (start.min(first), end.max(piece.end));
        }
        let checksum = whole;
        self.pieces.insert(start, Piece { end, checksum });
    }

    /// A piece that meets or overlaps these rows, and its first row.
    fn meeting(&self, start: u64, end: u64) -> Option<(u64, Piece)> {
        let (&first, &piece) = self.pieces.range(..=end).next_back()?;
        (piece.end >= start).then_some((first, piece))
    }

    /// The first of the chunk's rows that has not been written.
    pub(super) fn missing(&self, rows: u64) -> Option<u64> {
        let there = self.pieces.get(&0).map_or(0, |piece| piece.end);
        (there < rows).then_some(there)
    }

    /// The checksum of `bytes` bytes of a chunk whose rows are all there, and zeros where it has
    /// fewer rows; none if only the file can tell.
    pub(super) fn checksum(&self, bytes: u64) -> Option<u32> {
        let piece = self.pieces.get(&0).filter(|_| self.known)?;
        let zeros = bytes.checked_sub(piece.end * self.row_bytes)?;
        Some(crc::append_zeros(piece.checksum, zeros))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROW: usize = 3;

    proptest! {
        /// Pieces of a chunk in an order that chance chooses, some of them twice.
        #[test]
        fn rows_in_any_order_have_the_checksum_of_the_chunk(
            bytes in prop::collection::vec(any::<u8>(), 40 * ROW..=40 * ROW),
            cuts in prop::collection::btree_set(1_usize..40, 0..20),
            order in any::<u64>(),
            again in prop::option::weighted(0.3, 0_usize..40),
            zeros in 0_usize..50,
        ) {
            let edges: Vec<usize> = [0].into_iter().chain(cuts).chain([40]).collect();
            let mut pieces: Vec<Range<usize>> = edges.windows(2).map(|edge| edge[0]..edge[1]).collect();
            pieces.extend(again.map(|row| row..row + 1));
            pieces.sort_by_key(|piece| (piece.start as u64 + 7).wrapping_mul(order | 1).rotate_left(17));
            let mut written = Written::new(ROW as u64);
            for piece in &pieces {
                prop_assert!(written.missing(40).is_some() || again.is_some());
                let rows = &bytes[piece.start * ROW..piece.end * ROW];
                written.add(piece.start as u64..piece.end as u64, Some(crc32c::crc32c(rows)));
            }
            prop_assert_eq!(written.missing(40), None);
            prop_assert_eq!(written.missing(41), Some(40));
            prop_assert_eq!(written.pieces.len(), 1);
            let mut chunk = bytes;
            chunk.resize(chunk.len() + zeros, 0);
            let expected = again.is_none().then(|| crc32c::crc32c(&chunk));
            prop_assert_eq!(written.checksum(chunk.len() as u64), expected);
        }
    }

    #[test]
    fn the_first_row_that_is_missing_is_known() {
        let mut written = Written::new(1);
        assert_eq!(written.missing(9), Some(0));
        written.add(3..5, None);
        assert_eq!(written.missing(9), Some(0));
        written.add(0..3, None);
        assert_eq!(written.missing(9), Some(5));
        written.add(6..9, None);
        written.add(4..7, None);
        assert_eq!((written.missing(9), written.checksum(9)), (None, None));
    }
}
