//! Masks of dropout for several steps at once. To make a mask on a GPU takes fifteen operations, whatever its size: made for
//! the next steps too, they are one or two a step. A mask is a function of its place, so nothing is lost when a training ends
//! between them.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use tch::{Device, TchError, Tensor};

use super::{mask_by_tensors, of_place, of_row, of_step};
use crate::head::sizes::size;

/// Bytes of masks that are kept.
const ROOM: usize = 64 << 20;
/// Steps that masks are made for at once, at most.
const STEPS: usize = 32;
/// Numbers of rows go up to the next multiple of this.
const ROWS: usize = 64;

/// What some heads that are computed as one drop in the steps to come.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// Of each head.
    seeds: Vec<u64>,
    made: Mutex<Option<Block>>,
}

/// The masks of some steps.
#[derive(Debug)]
struct Block {
    first_step: u64,
    steps: usize,
    what: What,
    /// `[steps, places, heads, rows, columns]`
    masks: Tensor,
}

/// What masks are made for, besides their steps.
#[derive(Clone, Debug, PartialEq)]
struct What {
    places: Range<u64>,
    rows: usize,
    columns: usize,
    dropped: f64,
    device: Device,
}

impl What {
    fn holds(&self, asked: &Self) -> bool {
        let rows = self.rows;
        rows >= asked.rows
            && *self
                == Self {
                    rows,
                    ..asked.clone()
                }
    }
}

impl Ahead {
    /// For heads with these seeds.
    pub(crate) fn new(seeds: Vec<u64>) -> Self {
        Self {
            seeds,
            made: Mutex::new(None),
        }
    }

    /// The generators of a step.
    pub(super) fn keys(&self, step: u64) -> impl Iterator<Item = u64> {
        self.seeds.iter().map(move |&seed| of_step(seed, step))
    }

    /// See [`super::Dropout::masks`]; those of several heads may lie apart from each other.
    pub(super) fn masks(
        &self,
        step: u64,
        places: Range<u64>,
        (rows, columns): (usize, usize),
        dropped: f64,
        device: Device,
    ) -> Result<Vec<Tensor>, TchError> {
        let asked = What {
            places,
            rows,
            columns,
            dropped,
            device,
        };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = made.as_ref().is_some_and(|block| {
            let steps = block.first_step..block.first_step + block.steps as u64;
            steps.contains(&step) && block.what.holds(&asked)
        });
        if !usable {
            // The memory of the old ones is free for the new ones.
            let rows = made.take().map_or(0, |block| block.what.rows);
            *made = Some(self.make(step, &asked, rows)?);
        }
        let Some(block) = &*made else {
            return Ok(Vec::new());
        };
        let place = i64::try_from(step - block.first_step).unwrap_or(i64::MAX);
        let masks = block.masks.f_select(0, place)?.f_narrow(2, 0, size(rows))?;
        let masks = match self.seeds.len() {
            1 => masks.f_select(1, 0)?,
            _ => masks,
        };
        masks.f_unbind(0)
    }

    /// Makes the masks of `step` and of the steps after it, for `rows` rows at least where there is room.
    fn make(&self, step: u64, asked: &What, rows: usize) -> Result<Block, TchError> {
        let places = usize::try_from(asked.places.end - asked.places.start).unwrap_or(0);
        let steps_in_room = |rows: usize| {
            let numbers = places * self.seeds.len() * rows * asked.columns;
            (ROOM / (numbers * size_of::<f32>()).max(1)).min(STEPS)
        };
        // Batches are of different lengths: a little more than asked for, lest each that is longer asks again.
        let ample = rows.max((asked.rows + asked.rows / 4).next_multiple_of(ROWS));
        let (steps, rows) = match steps_in_room(ample) {
            0 | 1 => (1, asked.rows),
            steps => (steps, ample),
        };
        let mut keys = Vec::with_capacity(steps * places * self.seeds.len() * rows);
        for step in (step..).take(steps) {
            for place in asked.places.clone() {
                for key in self.keys(step) {
                    let key = of_place(key, place);
                    keys.extend((0..rows).map(|row| of_row(key, row)));
                }
            }
        }
        let masks = mask_by_tensors(&keys, asked.columns, asked.dropped, asked.device)?;
        let shape = [steps, places, self.seeds.len(), rows, asked.columns].map(size);
        Ok(Block {
            first_step: step,
            steps,
            what: What {
                rows,
                ..asked.clone()
            },
            masks: masks.f_view(shape)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::head::Dropout;

    /// Steps in order and not, batches that grow and shrink, one head and three, masks too large to be made ahead.
    #[test]
    fn masks_made_ahead_are_those_of_each_step() {
        for seeds in [vec![5], vec![1, 7, 1 << 40]] {
            let ahead = Arc::new(Ahead::new(seeds.clone()));
            let mut step = 3;
            for (rows, columns) in [(50, 30), (20, 30), (90, 30), (70, 30), (70, 7), (1, 30)] {
                for _ in 0..20 {
                    step += 1;
                    same(&ahead, &seeds, step, (rows, columns));
                }
            }
            same(&ahead, &seeds, 2, (10, 30));
            same(&ahead, &seeds, 1 << 50, (4000, 1100));
        }
    }

    fn same(ahead: &Arc<Ahead>, seeds: &[u64], step: u64, shape: (usize, usize)) {
        let of = |dropout: &Dropout| dropout.masks(0..2, shape, 0.3, Device::Cpu).unwrap();
        let heads = seeds.iter().map(|&seed| Dropout::at(seed, step));
        let expected = of(&Dropout::together(heads));
        let got = of(&Dropout::of(ahead, step));
        assert_eq!(got, expected, "step {step}, {shape:?}");
    }

    #[test]
    fn masks_are_made_once_for_several_steps() {
        let ahead = Arc::new(Ahead::new(vec![5]));
        let first = || ahead.made.lock().unwrap().as_ref().unwrap().first_step;
        let mut made = Vec::new();
        for (step, rows) in (0..70).zip([40, 43, 45, 41].into_iter().cycle()) {
            let dropout = Dropout::of(&ahead, step);
            dropout.masks(0..2, (rows, 16), 0.1, Device::Cpu).unwrap();
            made.push(first());
        }
        made.dedup();
        assert_eq!(made, [0, 32, 64]);
    }
}
