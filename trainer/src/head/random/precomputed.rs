//! Dropout masks for several steps at once. To make masks on a GPU takes fifteen operations, whatever
//! their size; made for many steps at once, that is one or two operations a step. A mask is a function
//! of its step and place, so nothing is lost when a training ends before all of them are used.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use tch::{Device, TchError, Tensor};

use super::{mask_by_tensors, place_key, row_key, step_key};
use crate::head::sizes::size;

/// Bytes of masks that are kept.
const ROOM: usize = 64 << 20;
/// Steps that masks are made for at once, at most.
const STEPS: usize = 32;
/// Numbers of rows go up to the next multiple of this.
const ROWS: usize = 64;

/// The dropout masks of a head group in the next steps.
#[derive(Debug)]
pub(crate) struct PrecomputedMasks {
    /// Of each head.
    seeds: Vec<u64>,
    made: Mutex<Option<Block>>,
}

/// The masks of some steps.
#[derive(Debug)]
struct Block {
    first_step: u64,
    steps: usize,
    shape: MaskShape,
    /// `[steps, places, heads, rows, columns]`
    masks: Tensor,
}

/// What masks depend on besides seeds and steps.
#[derive(Clone, Debug, PartialEq)]
struct MaskShape {
    places: Range<u64>,
    rows: usize,
    columns: usize,
    dropped: f64,
    device: Device,
}

impl MaskShape {
    /// Whether masks of this shape have those that are asked for.
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

impl PrecomputedMasks {
    /// For heads with these seeds.
    pub(crate) fn new(seeds: Vec<u64>) -> Self {
        Self {
            seeds,
            made: Mutex::new(None),
        }
    }

    /// The keys of a step, one a head.
    pub(super) fn keys(&self, step: u64) -> impl Iterator<Item = u64> {
        self.seeds.iter().map(move |&seed| step_key(seed, step))
    }

    /// See [`super::Dropout::masks`]; those of several heads may be views of a larger tensor.
    pub(super) fn masks(
        &self,
        step: u64,
        places: Range<u64>,
        (rows, columns): (usize, usize),
        dropped: f64,
        device: Device,
    ) -> Result<Vec<Tensor>, TchError> {
        let asked = MaskShape {
            places,
            rows,
            columns,
            dropped,
            device,
        };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = made.as_ref().is_some_and(|block| {
            let steps = block.first_step..block.first_step + block.steps as u64;
            steps.contains(&step) && block.shape.holds(&asked)
        });
        if !usable {
            // The old masks go first, so that their memory is free for the new ones.
            let rows = made.take().map_or(0, |block| block.shape.rows);
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
    fn make(&self, step: u64, asked: &MaskShape, rows: usize) -> Result<Block, TchError> {
        let places = usize::try_from(asked.places.end - asked.places.start).unwrap_or(0);
        let steps_in_room = |rows: usize| {
            let numbers = places * self.seeds.len() * rows * asked.columns;
            (ROOM / (numbers * size_of::<f32>()).max(1)).min(STEPS)
        };
        // Batches are of different lengths: masks have some rows more than asked for, so that not each
        // longer batch needs new ones.
        let ample = rows.max((asked.rows + asked.rows / 4).next_multiple_of(ROWS));
        let (steps, rows) = match steps_in_room(ample) {
            0 | 1 => (1, asked.rows),
            steps => (steps, ample),
        };
        let mut keys = Vec::with_capacity(steps * places * self.seeds.len() * rows);
        for step in (step..).take(steps) {
            for place in asked.places.clone() {
                for key in self.keys(step) {
                    let key = place_key(key, place);
                    keys.extend((0..rows).map(|row| row_key(key, row)));
                }
            }
        }
        let masks = mask_by_tensors(&keys, asked.columns, asked.dropped, asked.device)?;
        let shape = [steps, places, self.seeds.len(), rows, asked.columns].map(size);
        Ok(Block {
            first_step: step,
            steps,
            shape: MaskShape {
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

    /// Steps in order and not, batches that grow and shrink, one head and three, masks too large to be precomputed.
    #[test]
    fn precomputed_masks_are_those_of_each_step() {
        for seeds in [vec![5], vec![1, 7, 1 << 40]] {
            let masks = Arc::new(PrecomputedMasks::new(seeds.clone()));
            let mut step = 3;
            for (rows, columns) in [(50, 30), (20, 30), (90, 30), (70, 30), (70, 7), (1, 30)] {
                for _ in 0..20 {
                    step += 1;
                    same(&masks, &seeds, step, (rows, columns));
                }
            }
            same(&masks, &seeds, 2, (10, 30));
            same(&masks, &seeds, 1 << 50, (4000, 1100));
        }
    }

    fn same(masks: &Arc<PrecomputedMasks>, seeds: &[u64], step: u64, shape: (usize, usize)) {
        let of = |dropout: &Dropout| dropout.masks(0..2, shape, 0.3, Device::Cpu).unwrap();
        let heads = seeds.iter().map(|&seed| Dropout::at(seed, step));
        let expected = of(&Dropout::for_group(heads));
        let got = of(&Dropout::precomputed(masks, step));
        assert_eq!(got, expected, "step {step}, {shape:?}");
    }

    #[test]
    fn masks_are_made_once_for_several_steps() {
        let masks = Arc::new(PrecomputedMasks::new(vec![5]));
        let first = || masks.made.lock().unwrap().as_ref().unwrap().first_step;
        let mut made = Vec::new();
        for (step, rows) in (0..70).zip([40, 43, 45, 41].into_iter().cycle()) {
            let dropout = Dropout::precomputed(&masks, step);
            dropout.masks(0..2, (rows, 16), 0.1, Device::Cpu).unwrap();
            made.push(first());
        }
        made.dedup();
        assert_eq!(made, [0, 32, 64]);
    }
}
