//! Checking every byte of a store.
