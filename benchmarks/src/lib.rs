//! Timings of the parts and comparisons with `PyTorch`.
