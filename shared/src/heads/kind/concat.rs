//! A linear probe of some layers side by side.

use super::form::{Form, Reads, no_parameters};
use super::layer;

pub(super) static FORM: Form = Form {
    name: "concat",
    usage: "concat:A,B,...",
    examples: &["--head concat:2,0"],
    dropout: 0.1,
    most_as_one: 16,
    reads: Reads::Named,
    parameters: no_parameters,
};

/// The numbers of some layers, in the order in which they stand side by side.
pub(super) fn parse(numbers: &str) -> Option<Vec<usize>> {
    numbers.split(',').map(layer::parse).collect()
}
