//! What stands where there is no label.

/// The class of what has none: special tokens, sub-words after a word's first, what a data set
/// leaves unlabelled. PyTorch's losses ignore this number.
pub const NO_CLASS: i32 = -100;

/// [`NO_CLASS`] as libtorch counts, in 64 bits.
pub const NO_TARGET: i64 = NO_CLASS as i64;

/// The name of [`NO_CLASS`]: the label of a word or text that the data set leaves out, or for which
/// no token stands. No class has an empty name.
pub const UNLABELLED: &str = "";

/// The tag of words in no span; the prediction for a word that no token stands for.
pub const OUTSIDE: &str = "O";
