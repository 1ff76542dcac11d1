//! How much of a GPU's memory a batch takes, so that batches are as large as a GPU has room for and
//! no larger.

use cache::StoreDtype;

use crate::family::Blocks;
use crate::graph::ComputeDtype;

/// Bytes of float32.
const WIDE: u64 = 4;
/// Most elements of a tensor.
const ELEMENTS: usize = i32::MAX as usize;
/// Vectors of the hidden size that a layer holds at once: query, key and value, each once more in
/// another order, what is attended to, its projection, sum and norm.
const VECTORS: u64 = 10;
/// The score of each pair of tokens before and after softmax, where attention is not computed in
/// one piece.
const SCORES: u64 = 2;
/// Biases of scores by distance that are there at once, for each pair of tokens and each head: those
/// of a layer, and those of the next one where layers have their own.
const BIASES: u64 = 2;
/// Numbers of four bytes for each pair of tokens beside them: its distance, on the way to a whole
/// number.
const DISTANCES: u64 = 4;
/// The scores of each pair in an encoder with scores for distances: products with all distances, which are twice as
/// many as tokens, both terms by pairs of tokens, and their sum.
const SCORES_WITH_DISTANCES: u64 = 5;
/// The scores of each pair where they are capped, which takes a step more.
const CAPPED_SCORES: u64 = 3;
/// Bytes of each pair of tokens while it is computed which of them see one another: two float32 and
/// a switch.
const VISIBILITY: u64 = 9;

/// The sizes that a batch's memory depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Hidden states that are kept.
    pub layers: usize,
    /// Size of a hidden state.
    pub hidden: usize,
    /// Inner size of the feed-forward block.
    pub intermediate: usize,
    /// Attention heads.
    pub heads: usize,
    /// Attention heads whose scores have biases by distance.
    pub biased_heads: usize,
    /// Whether scores have terms for distances.
    pub distances: bool,
    /// How many kinds of layers hide some tokens from others by a bias, `[1, 1, width, width]`:
    /// those without a window where scores are capped, and those with one unless that is computed
    /// in blocks.
    pub biases: usize,
    /// The blocks in which windows are computed, `[queries, keys]` of which have a bias each.
    pub blocks: Option<Blocks>,
    /// Whether scores are capped.
    pub capped: bool,
    /// What the encoder computes in.
    pub compute: ComputeDtype,
    /// Format of the rows that the graph makes, if it makes any.
    pub rows: Option<StoreDtype>,
}

impl Footprint {
    /// Bytes for each position of a batch of rows of `width` positions.
    #[must_use]
    pub fn position_bytes(&self, width: usize) -> u64 {
        let compute = self.compute.bytes() as u64;
        let (hidden, layers) = (self.hidden as u64, self.layers as u64);
        // Kept layers stay until the end of a run. Rows are made then: all layers side by side, the
        // tokens of them that are stored, and these in float32 and in the store's format where the
        // encoder computes in another.
        let rows = self.rows.map_or(0, |format| {
            let wide = if compute == WIDE { 0 } else { WIDE };
            2 * compute + wide + format.bytes() as u64
        });
        let kept = layers * hidden * (compute + rows);
        let working = VECTORS * hidden + 2 * self.intermediate as u64;
        let matrices = if self.distances {
            SCORES_WITH_DISTANCES
        } else if self.capped {
            CAPPED_SCORES
        } else {
            SCORES
        };
        let scores = matrices * self.heads as u64 * width as u64;
        kept + (working + scores) * compute + self.block_bytes(width)
    }

    /// Bytes for each position of what layers with a window take in blocks: the bias of a query, and
    /// queries, keys, values and results once more, keys and values as often as blocks see them.
    fn block_bytes(&self, width: usize) -> u64 {
        let Some(blocks) = self.blocks else { return 0 };
        let compute = self.compute.bytes() as u64;
        let [queries, keys] = blocks.in_width(width).map(|size| size as u64);
        let times = keys.div_ceil(queries.max(1));
        keys * (compute + VISIBILITY) + (2 + 2 * times) * self.hidden as u64 * compute
    }

    /// Bytes for a batch of rows of `width` positions beside those for each position: biases are
    /// the same for all rows.
    #[must_use]
    pub fn batch_bytes(&self, width: usize) -> u64 {
        let compute = self.compute.bytes() as u64;
        let by_distance = match self.biased_heads as u64 {
            0 => 0,
            heads => BIASES * heads * compute + DISTANCES * WIDE,
        };
        let windows = match self.biases as u64 {
            0 => 0,
            biases => biases * compute + VISIBILITY,
        };
        let pairs = (width as u64).saturating_mul(width as u64);
        pairs.saturating_mul(by_distance + windows)
    }

    /// Bytes of a batch of so many positions in rows of `width`.
    #[must_use]
    pub fn bytes(&self, positions: u64, width: usize) -> u64 {
        let positions = positions.saturating_mul(self.position_bytes(width));
        positions.saturating_add(self.batch_bytes(width))
    }

    /// Positions of the largest batch in rows of `width` whose tensors a GPU can count: ONNX
    /// Runtime's CUDA kernels (`Concat` and `Gather` among them) number the elements of a tensor in
    /// 32 bits with a sign.
    #[must_use]
    pub fn countable_positions(&self, width: usize) -> usize {
        let layers = if self.rows.is_some() { self.layers } else { 1 };
        let columns = if self.distances { 2 * width + 1 } else { width };
        let sizes = [
            layers * self.hidden,
            3 * self.hidden,
            self.intermediate,
            self.heads * columns,
        ];
        ELEMENTS / sizes.into_iter().max().unwrap_or(1).max(1)
    }

    /// Positions of the largest batch that `memory` bytes hold, in rows of `width`.
    #[must_use]
    pub fn positions(&self, memory: u64, width: usize) -> usize {
        let memory = memory.saturating_sub(self.batch_bytes(width));
        let fitting = memory / self.position_bytes(width).max(1);
        usize::try_from(fitting).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// bert-large: 24 layers and the embeddings.
    const LARGE: Footprint = Footprint {
        layers: 25,
        hidden: 1024,
        intermediate: 4096,
        heads: 16,
        biased_heads: 0,
        distances: false,
        biases: 0,
        blocks: None,
        capped: false,
        compute: ComputeDtype::F16,
        rows: Some(StoreDtype::F16),
    };

    #[test]
    fn a_position_of_bert_large_takes_what_its_parts_take() {
        // Layers three times and rows once in float16, and once in float32; 10 vectors and twice
        // the inner size, and 16 heads' scores of 512 positions twice, in float16.
        let expected = 25 * 1024 * (3 * 2 + 2 + 4) + (10 * 1024 + 2 * 4096 + 2 * 16 * 512) * 2;
        assert_eq!(LARGE.position_bytes(512), expected);
        let on_the_cpu = Footprint {
            rows: None,
            ..LARGE
        };
        assert_eq!(
            LARGE.position_bytes(512) - on_the_cpu.position_bytes(512),
            25 * 1024 * 10
        );
    }

    #[test]
    fn no_tensor_of_a_batch_has_more_elements_than_a_gpu_counts() {
        // All layers of a position side by side.
        assert_eq!(LARGE.countable_positions(512), 83886);
        let elements = |positions: u64| positions * 25 * 1024;
        assert!((elements(83886)..elements(83887)).contains(&((1 << 31) - 1)));
        let on_the_cpu = Footprint {
            rows: None,
            ..LARGE
        };
        // The scores of all pairs, then the inner layer of the feed-forward block.
        assert_eq!(
            on_the_cpu.countable_positions(512),
            (1 << 31) / (16 * 512) - 1
        );
        assert_eq!(on_the_cpu.countable_positions(8), (1 << 31) / 4096 - 1);
    }

    #[test]
    fn biases_of_scores_take_memory_once_a_batch() {
        let biased = Footprint {
            biased_heads: 16,
            ..LARGE
        };
        let once = 512 * 512 * (2 * 16 * 2 + 4 * 4);
        assert_eq!((LARGE.batch_bytes(512), biased.batch_bytes(512)), (0, once));
        let position = biased.position_bytes(512);
        assert_eq!(position, LARGE.position_bytes(512));
        assert_eq!(biased.positions(10 * position + once, 512), 10);
        assert_eq!(biased.positions(10 * position + once - 1, 512), 9);
        assert_eq!(biased.positions(once / 2, 512), 0);
    }

    #[test]
    fn scores_for_distances_take_memory_and_are_counted() {
        let distances = Footprint {
            distances: true,
            rows: None,
            ..LARGE
        };
        let without = Footprint {
            distances: false,
            ..distances
        };
        let more = distances.position_bytes(512) - without.position_bytes(512);
        assert_eq!(more, 3 * 16 * 512 * 2);
        assert_eq!(
            distances.countable_positions(512),
            ((1 << 31) - 1) / (16 * 1025)
        );
    }

    #[test]
    fn windows_take_a_bias_of_all_pairs_and_caps_another_score() {
        let windowed = Footprint { biases: 1, ..LARGE };
        let pairs = 2048 * 2048;
        assert_eq!(LARGE.batch_bytes(2048), 0);
        assert_eq!(windowed.batch_bytes(2048), pairs * (2 + 9));
        let capped = Footprint {
            biases: 2,
            capped: true,
            ..LARGE
        };
        assert_eq!(capped.batch_bytes(2048), pairs * (4 + 9));
        let more = capped.position_bytes(2048) - LARGE.position_bytes(2048);
        assert_eq!(more, 16 * 2048 * 2);
        // A bias is there once, however many rows there are.
        let position = windowed.position_bytes(2048);
        let memory = 4096 * position + windowed.batch_bytes(2048);
        assert_eq!(windowed.bytes(4096, 2048), memory);
        assert_eq!(windowed.positions(memory, 2048), 4096);
        assert_eq!(windowed.positions(memory - 1, 2048), 4095);
        assert_eq!(windowed.positions(1000, 2048), 0);
    }

    #[test]
    fn windows_in_blocks_take_a_bias_for_each_query_and_their_keys_again() {
        let blocks = Blocks {
            queries: 64,
            before: 64,
            after: 64,
        };
        let windowed = Footprint {
            blocks: Some(blocks),
            ..LARGE
        };
        let more = |width| windowed.position_bytes(width) - LARGE.position_bytes(width);
        assert_eq!(more(192), 192 * (2 + 9) + 4 * 1024 * 2);
        // From there on longer rows take no more.
        assert_eq!(more(193), 192 * (2 + 9) + 8 * 1024 * 2);
        assert_eq!(more(8192), more(193));
        assert_eq!(windowed.batch_bytes(8192), 0);
    }

    #[test]
    fn what_fits_is_as_much_as_fits() {
        let position = LARGE.position_bytes(128);
        assert_eq!(LARGE.positions(10 * position, 128), 10);
        assert_eq!(LARGE.positions(10 * position - 1, 128), 9);
        assert_eq!(LARGE.positions(0, 128), 0);
        // Wider rows take more for each position, float32 more than float16.
        assert!(LARGE.position_bytes(512) > position);
        let wide = Footprint {
            compute: ComputeDtype::F32,
            ..LARGE
        };
        assert!(wide.position_bytes(128) > position);
    }
}
