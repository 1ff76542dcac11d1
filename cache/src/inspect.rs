//! What a store holds.
