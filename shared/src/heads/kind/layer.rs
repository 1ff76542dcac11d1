//! Linear probes of one layer, the last or one that is named: nothing stands before the classifier.

use super::form::{Form, Reads, no_parameters};

pub(super) static LAST: Form = Form {
    name: "last",
    usage: "last",
    examples: &["--head last"],
    dropout: 0.1,
    most_as_one: 16,
    reads: Reads::Last,
    parameters: no_parameters,
};

pub(super) static LAYER: Form = Form {
    name: "layer",
    usage: "layer:N",
    examples: &["--head layer:1"],
    dropout: 0.1,
    most_as_one: 16,
    reads: Reads::Named,
    parameters: no_parameters,
};

/// The number of a layer.
pub(super) fn parse(number: &str) -> Option<usize> {
    number.trim().parse().ok()
}
