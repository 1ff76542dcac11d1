//! The inputs of an encoder's graph, by name.

/// Token ids, int32 `[rows, width]`.
pub const INPUT_IDS: &str = "input_ids";
/// Rows of the position table, int32 `[rows, width]`.
pub const POSITION_IDS: &str = "position_ids";
/// Where rows end, int32 `[3 * rows + 2]`: the tokens of each row `[rows]`, then twice where each
/// row begins among all positions, and where the last one ends `[rows + 1]`. In this form
/// `Attention` hands it to its memory-efficient kernel; told the tokens alone, it computes all
/// scores of a row in float16 and bfloat16 too.
pub const LENGTHS: &str = "lengths";
/// The queries of each block of a layer with a window, int32 `[blocks, queries]`, each as
/// `row * width + position`. This and the four after it are inputs of graphs that compute windows in
/// blocks.
pub const BLOCK_QUERIES: &str = "window.queries";
/// The keys of each block, int32 `[blocks, keys]`, as [`BLOCK_QUERIES`].
pub const BLOCK_KEYS: &str = "window.keys";
/// Positions of [`BLOCK_QUERIES`] in their rows, int32 `[blocks, queries]`.
pub const BLOCK_QUERY_POSITIONS: &str = "window.query_positions";
/// Positions of [`BLOCK_KEYS`] in their rows, int32 `[blocks, keys]`; far from all others where there
/// is no token.
pub const BLOCK_KEY_POSITIONS: &str = "window.key_positions";
/// Where each position of the batch is among [`BLOCK_QUERIES`], int32 `[rows, width]`.
pub const BLOCK_PLACES: &str = "window.places";
/// The tokens that are stored, int32 `[tokens]`, each as `row * width + position`. An input of
/// graphs that make rows of a store.
pub const KEPT: &str = "kept";
