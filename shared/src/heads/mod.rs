//! What a head is, for the program that trains it and the one that predicts with it.

pub mod level;
