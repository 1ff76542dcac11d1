//! Which tokens of a batch make the blocks in which layers with a window are computed.

use super::batch::Batch;
use super::error::EncoderError;
use super::tensor::{Inputs, tensor};
use crate::family::Blocks;
use crate::graph::{
    BLOCK_KEY_POSITIONS, BLOCK_KEYS, BLOCK_PLACES, BLOCK_QUERIES, BLOCK_QUERY_POSITIONS, FAR,
};

/// The inputs of a graph that tell of blocks, as [`crate::graph`] describes them.
pub(super) fn inputs(batch: &Batch, blocks: Blocks) -> Result<Inputs, EncoderError> {
    let cut = Cut::of_batch(batch, blocks).ok_or_else(|| EncoderError::Batch {
        problem: "it has more positions than fit 31 bits".to_owned(),
    })?;
    let queries = [cut.blocks, cut.queries_of_block];
    let keys = [cut.blocks, cut.keys_of_block];
    Ok(vec![
        (BLOCK_QUERIES.into(), tensor(queries, cut.queries)?),
        (BLOCK_KEYS.into(), tensor(keys, cut.keys)?),
        (
            BLOCK_QUERY_POSITIONS.into(),
            tensor(queries, cut.query_positions)?,
        ),
        (BLOCK_KEY_POSITIONS.into(), tensor(keys, cut.key_positions)?),
        (
            BLOCK_PLACES.into(),
            tensor([batch.rows, batch.width], cut.places)?,
        ),
    ])
}

/// A batch in blocks.
#[derive(Debug, Default, PartialEq, Eq)]
struct Cut {
    blocks: usize,
    queries_of_block: usize,
    keys_of_block: usize,
    queries: Vec<i32>,
    keys: Vec<i32>,
    query_positions: Vec<i32>,
    key_positions: Vec<i32>,
    places: Vec<i32>,
}

impl Cut {
    /// None where a number does not fit 31 bits.
    fn of_batch(batch: &Batch, blocks: Blocks) -> Option<Self> {
        let [queries_of_block, keys_of_block] = blocks.in_width(batch.width);
        // One block of a whole row begins with its first key.
        let before = if keys_of_block == batch.width {
            0
        } else {
            blocks.before
        };
        let mut cut = Self {
            queries_of_block,
            keys_of_block,
            ..Self::default()
        };
        for (row, tokens) in batch.sequences().enumerate() {
            let first = row * batch.width;
            let first_place = cut.blocks * queries_of_block;
            for begin in (0..tokens.len()).step_by(queries_of_block) {
                cut.add(first, tokens.len(), begin, before)?;
            }
            for position in 0..batch.width {
                let position = if position < tokens.len() { position } else { 0 };
                cut.places.push(i32::try_from(first_place + position).ok()?);
            }
        }
        Some(cut)
    }

    /// Adds the block of the row from token `first` of `length` tokens on that begins with position
    /// `begin`, and sees `before` tokens before it. Where no token is, the row's first one stands: a
    /// query whose result nobody reads, a key from which all are far.
    fn add(&mut self, first: usize, length: usize, begin: usize, before: usize) -> Option<()> {
        for position in begin..begin + self.queries_of_block {
            let place = if position < length { position } else { 0 };
            self.queries.push(i32::try_from(first + place).ok()?);
            self.query_positions.push(i32::try_from(position).ok()?);
        }
        for key in begin..begin + self.keys_of_block {
            let position = key
                .checked_sub(before)
                .filter(|&position| position < length);
            self.keys
                .push(i32::try_from(first + position.unwrap_or(0)).ok()?);
            self.key_positions
                .push(position.map_or(Some(NOWHERE), |position| i32::try_from(position).ok())?);
        }
        self.blocks += 1;
        Some(())
    }
}

/// The position of what is no token, farther from all tokens than any window reaches.
#[expect(clippy::cast_possible_wrap, reason = "a small constant")]
#[expect(clippy::cast_possible_truncation, reason = "a small constant")]
const NOWHERE: i32 = -2 * FAR as i32;

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lengths: &[usize]) -> Batch {
        let rows: Vec<Vec<u32>> = lengths.iter().map(|&length| vec![1; length]).collect();
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        Batch::padded(&rows).unwrap()
    }

    #[test]
    fn short_rows_are_one_block_each() {
        let blocks = Blocks {
            queries: 2,
            before: 1,
            after: 1,
        };
        let cut = Cut::of_batch(&batch(&[4, 1]), blocks).unwrap();
        let expected = Cut {
            blocks: 2,
            queries_of_block: 4,
            keys_of_block: 4,
            queries: vec![0, 1, 2, 3, 4, 4, 4, 4],
            keys: vec![0, 1, 2, 3, 4, 4, 4, 4],
            query_positions: vec![0, 1, 2, 3, 0, 1, 2, 3],
            key_positions: vec![0, 1, 2, 3, 0, NOWHERE, NOWHERE, NOWHERE],
            places: vec![0, 1, 2, 3, 4, 4, 4, 4],
        };
        assert_eq!(cut, expected);
    }

    /// Every token is a query once, and among the keys of its block is each token of its row that is
    /// no farther than the window reaches, once.
    #[test]
    fn each_query_finds_what_its_window_reaches_and_no_other_row() {
        for (lengths, reach, causal) in [
            (vec![9, 3, 42, 1], 2, false),
            (vec![9, 3, 42, 1], 2, true),
            (vec![17], 1, false),
            (vec![30, 30], 5, true),
        ] {
            let blocks = Blocks {
                queries: 3,
                before: reach,
                after: if causal { 0 } else { reach },
            };
            let batch = batch(&lengths);
            let cut = Cut::of_batch(&batch, blocks).unwrap();
            let mut seen_blocks = 0;
            for (row, &length) in lengths.iter().enumerate() {
                seen_blocks += length.div_ceil(3);
                for position in 0..length {
                    let token = row * batch.width + position;
                    let place = usize::try_from(cut.places[token]).unwrap();
                    assert_eq!(cut.queries[place], i32::try_from(token).unwrap());
                    assert_eq!(cut.query_positions[place], i32::try_from(position).unwrap());
                    let block = place / cut.queries_of_block;
                    let keys = block * cut.keys_of_block..(block + 1) * cut.keys_of_block;
                    let mut seen: Vec<i32> = keys
                        .filter(|&key| cut.key_positions[key] != NOWHERE)
                        .map(|key| {
                            let place = i32::try_from(row * batch.width).unwrap();
                            assert_eq!(cut.keys[key] - place, cut.key_positions[key]);
                            cut.key_positions[key]
                        })
                        .collect();
                    seen.sort_unstable();
                    let first = position.saturating_sub(reach);
                    let last = if causal { position } else { position + reach }.min(length - 1);
                    let expected = first..=last;
                    for key in expected {
                        let key = i32::try_from(key).unwrap();
                        assert_eq!(seen.iter().filter(|&&other| other == key).count(), 1);
                    }
                }
            }
            assert_eq!(cut.blocks, seen_blocks);
        }
    }
}
