//! The hidden states of one sequence, borrowed from the map where there is one.

use std::ops::Range;
use std::sync::Arc;

use crate::StoreDtype;
use crate::rows;

/// Hidden states `[tokens, layers, hidden]` of one sequence, in the number format of the store.
#[derive(Debug)]
pub struct Hidden<'a> {
    pub(crate) rows: Rows<'a>,
    pub(crate) tokens: usize,
    pub(crate) layers: usize,
    pub(crate) width: usize,
    pub(crate) dtype: StoreDtype,
}

#[derive(Debug)]
pub(crate) enum Rows<'a> {
    /// Consecutive runs of whole rows: one, or several where the sequence reaches over the edge of an inner chunk.
    Borrowed(Vec<&'a [u8]>),
    Owned(Vec<u8>),
    /// The same runs inside decoded chunks, which other sequences may share.
    Decoded(Vec<(Arc<Vec<u8>>, Range<usize>)>),
}

impl Hidden<'_> {
    /// Sub-words of the sequence.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Layers kept in the store.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Width of a hidden state.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.width
    }

    /// Number format of the bytes.
    #[must_use]
    pub fn dtype(&self) -> StoreDtype {
        self.dtype
    }

    /// Bytes of a row.
    #[must_use]
    pub fn row_bytes(&self) -> usize {
        self.layers * self.dtype.vector_bytes(self.width)
    }

    /// The row of a token, `[layers, hidden]`.
    ///
    /// # Panics
    /// If there is no such token.
    #[must_use]
    pub fn row(&self, token: usize) -> &[u8] {
        let mut start = token * self.row_bytes();
        for piece in self.pieces() {
            if start < piece.len() {
                return &piece[start..start + self.row_bytes()];
            }
            start -= piece.len();
        }
        panic!("token {token} of a sequence of {}", self.tokens)
    }

    /// The rows as consecutive runs of whole rows, `[some tokens, layers, hidden]` each.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let (borrowed, owned, decoded): (&[&[u8]], Option<&[u8]>, &[_]) = match &self.rows {
            Rows::Borrowed(pieces) => (pieces, None, &[]),
            Rows::Owned(bytes) => (&[], Some(bytes), &[]),
            Rows::Decoded(pieces) => (&[], None, pieces),
        };
        let decoded = decoded.iter().map(|(chunk, bytes)| &chunk[bytes.clone()]);
        borrowed.iter().copied().chain(owned).chain(decoded)
    }

    /// All values as float32, `[tokens, layers, hidden]`.
    ///
    /// # Panics
    /// If `out` has another length than tokens · layers · hidden.
    pub fn to_f32(&self, out: &mut [f32]) {
        assert_eq!(
            out.len(),
            self.tokens * self.layers * self.width,
            "[tokens, layers, hidden] values"
        );
        let mut rest = out;
        for piece in self.pieces() {
            let values = piece.len() / self.row_bytes().max(1) * self.layers * self.width;
            let (now, later) = rest.split_at_mut(values);
            rows::decode(self.dtype, self.width, piece, now);
            rest = later;
        }
    }
}
