//! What is to be known of a kind of head before any number is: its name, how it is typed, and the
//! defaults of its authors.

/// What is to be known of a kind of head before any number is.
#[derive(Debug)]
pub struct Form {
    /// The first part of its name.
    pub name: &'static str,
    /// The whole name as the user types it, with placeholders.
    pub usage: &'static str,
    /// Options of `trainer` that give one of each variant, for an encoder with layers 0 to 2 at
    /// least.
    pub examples: &'static [&'static str],
    /// The dropout of the head's authors.
    pub dropout: f64,
    /// How many heads of the same options are computed as one on a GPU, at most.
    pub most_as_one: usize,
}
