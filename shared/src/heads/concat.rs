//! A linear probe of some layers side by side.

use super::{Form, HeadKind, layer};

pub(super) static FORM: Form = Form {
    name: "concat",
    usage: "concat:A,B,...",
    examples: &["--head concat:2,0"],
    dropout: 0.1,
    most_as_one: 16,
    parse: |numbers| {
        let layers: Option<_> = numbers?.split(',').map(layer::parse).collect();
        Some(HeadKind::Concat(layers?))
    },
};
