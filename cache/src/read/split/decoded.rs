//! The chunks of a compressed split that were decoded last, so that the sequences of one chunk decode it once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::StoreError;

/// Chunks that are kept: with the usual chunks of 16 MB a quarter of a gigabyte.
const KEPT: usize = 16;

/// Decoded inner chunks by their number in the split, the one used last in front.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    chunks: Mutex<VecDeque<(u64, Arc<Vec<u8>>)>>,
}

impl Decoded {
    /// The chunk of that number, decoded now if it is not there. Two threads may decode the same chunk at once.
    pub(super) fn get_or_try_insert(
        &self,
        number: u64,
        decode: impl FnOnce() -> Result<Vec<u8>, StoreError>,
    ) -> Result<Arc<Vec<u8>>, StoreError> {
        if let Some(chunk) = self.take_to_front(number) {
            return Ok(chunk);
        }
        let chunk = Arc::new(decode()?);
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        chunks.push_front((number, Arc::clone(&chunk)));
        chunks.truncate(KEPT);
        Ok(chunk)
    }

    fn take_to_front(&self, number: u64) -> Option<Arc<Vec<u8>>> {
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        let place = chunks.iter().position(|(there, _)| *there == number)?;
        let found = chunks.remove(place)?;
        let chunk = Arc::clone(&found.1);
        chunks.push_front(found);
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chunks_used_last_are_kept() {
        let decoded = Decoded::default();
        let mut count = 0;
        let mut get = |number| {
            let chunk = decoded.get_or_try_insert(number, || {
                count += 1;
                Ok(vec![u8::try_from(number).unwrap()])
            });
            assert_eq!(*chunk.unwrap(), [u8::try_from(number).unwrap()]);
            count
        };
        for number in 0..16 {
            assert_eq!(get(number), number + 1);
        }
        assert_eq!(get(0), 16, "still there");
        assert_eq!(get(16), 17, "pushes 1 out");
        assert_eq!(get(0), 17);
        assert_eq!(get(1), 18);
    }
}
