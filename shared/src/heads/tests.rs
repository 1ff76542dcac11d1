//! Names, options, layers and parameters of heads.

use std::collections::BTreeSet;

use crate::tasks::Decoding;

use super::*;

fn options(kind: &str) -> HeadOptions {
    HeadOptions::new(kind.parse().unwrap(), vec![0, 4, 8, 12], 32, 3)
}

#[test]
fn kinds_are_written_as_they_are_read() {
    for name in [
        "adapter",
        "attention-fusion",
        "scalar-mix",
        "last",
        "layer:7",
        "concat:0,3,12",
    ] {
        assert_eq!(name.parse::<HeadKind>().unwrap().to_string(), name);
    }
    for name in [
        "",
        "Adapter",
        "layer",
        "layer:",
        "layer:x",
        "layer:-1",
        "concat:",
        "concat",
        "concat:1,,2",
        "adapter:1",
        "last:",
        "crf",
    ] {
        let error = name.parse::<HeadKind>().unwrap_err();
        assert!(matches!(&error, HeadOptionsError::Kind { got, .. } if got == name));
        let told = format!(
            "unknown head '{name}'; expected adapter, attention-fusion, scalar-mix, last, layer:N or concat:A,B,..."
        );
        assert_eq!(error.to_string(), told);
    }
}

#[test]
fn every_form_is_listed_once_and_has_examples_of_its_own() {
    let names: BTreeSet<&str> = forms().map(|form| form.name).collect();
    assert_eq!(names.len(), forms().count());
    for form in forms() {
        assert!(!form.examples.is_empty(), "{}", form.name);
        for example in form.examples {
            let mut words = example.split(' ').skip_while(|word| *word != "--head");
            let kind: HeadKind = words.nth(1).unwrap().parse().unwrap();
            assert_eq!(kind.form().name, form.name, "{example}");
        }
    }
}

#[test]
fn a_head_reads_the_layers_that_it_names() {
    let read = |kind: &str| options(kind).layers_read().ok();
    assert_eq!(read("adapter"), Some(vec![0, 4, 8, 12]));
    assert_eq!(read("last"), Some(vec![12]));
    assert_eq!(read("layer:4"), Some(vec![4]));
    assert_eq!(read("concat:8,0"), Some(vec![8, 0]));
    assert_eq!(read("concat:8,3"), None);
    assert_eq!(options("concat:8,0").columns_read().unwrap(), [2, 0]);
    assert_eq!(options("concat:8,0").features(), 64);
    assert_eq!(options("scalar-mix").features(), 32);
    let error = options("layer:2").layers_read().unwrap_err();
    assert!(error.to_string().contains("[0, 4, 8, 12]"), "{error}");
}

#[test]
fn impossible_sizes_are_refused() {
    assert!(options("adapter").check().is_ok());
    let changes: [fn(&mut HeadOptions); 8] = [
        |options| options.adapter.heads = 3,
        |options| options.adapter.heads = 0,
        |options| options.adapter.attention_size = 0,
        |options| options.dropout = 1.0,
        |options| options.dropout = f64::NAN,
        |options| options.classes = 0,
        |options| options.layers = vec![],
        |options| options.kind = HeadKind::Concat(vec![]),
    ];
    for (place, change) in changes.into_iter().enumerate() {
        let mut options = options("adapter");
        change(&mut options);
        assert!(options.check().is_err(), "{place}");
    }
}

/// Runs of every version are read: names and order of the fields stay as they are.
#[test]
fn options_are_recorded_as_ever() {
    let mut options = options("concat:8,0");
    options.level = crate::tasks::Level::Sentence;
    let json = r#"{"kind":"concat:8,0","layers":[0,4,8,12],"hidden":32,"classes":3,"tailor":true,"tailor_attention":true,"attention_size":16,"heads":2,"dropout":0.1,"classifier_size":256,"level":"sequence","decode":"argmax","subword":"first"}"#;
    assert_eq!(serde_json::to_string(&options).unwrap(), json);
    assert_eq!(serde_json::from_str::<HeadOptions>(json).unwrap(), options);
    // Before there was a choice it was not recorded.
    for choice in [",\"decode\":\"argmax\"", ",\"subword\":\"first\""] {
        let before = json.replace(choice, "");
        assert_ne!(before, json);
        let read = serde_json::from_str::<HeadOptions>(&before).unwrap();
        assert_eq!(read, options);
    }
    let wrong = json.replace("concat:8,0", "crf");
    let error = serde_json::from_str::<HeadOptions>(&wrong).unwrap_err();
    assert!(error.to_string().contains("'crf'"), "{error}");
}

#[test]
fn a_field_is_behind_the_classifier() {
    let mut options = options("last");
    options.decode = Decoding::Crf;
    let list = options.parameters();
    let told = list.iter().skip(4);
    let told: Vec<String> = told
        .map(|one| format!("{} {:?}", one.name, one.shape))
        .collect();
    let expected = ["crf.transitions [3, 3]", "crf.start [3]", "crf.end [3]"];
    assert_eq!(told, expected);
    options.decode = Decoding::Viterbi;
    assert_eq!(options.parameters().len(), 4);
}

/// The names and shapes of the published adapter's state dict, which weights come from and go to.
#[test]
fn the_adapter_has_the_parameters_of_the_published_one() {
    let list = options("adapter").parameters();
    let told: Vec<String> = list
        .iter()
        .map(|parameter| format!("{} {:?}", parameter.name, parameter.shape))
        .collect();
    let expected = [
        "adapter.key_projector.weight [16, 32]",
        "adapter.key_projector.bias [16]",
        "adapter.query_projector.weight [16, 32]",
        "adapter.query_projector.bias [16]",
        "adapter.token_layer_attention.in_proj_weight [48, 16]",
        "adapter.token_layer_attention.in_proj_bias [48]",
        "adapter.token_layer_attention.out_proj.weight [16, 16]",
        "adapter.token_layer_attention.out_proj.bias [16]",
        "adapter.tailor.FF.0.weight [32]",
        "adapter.tailor.FF.0.bias [32]",
        "adapter.tailor.FF.1.weight [32, 32]",
        "adapter.tailor.FF.1.bias [32]",
        "adapter.tailor.tailor_query_dim_reducer.weight [16, 32]",
        "adapter.tailor.tailor_query_dim_reducer.bias [16]",
        "adapter.tailor.self_attention.in_proj_weight [48, 16]",
        "adapter.tailor.self_attention.in_proj_bias [48]",
        "adapter.tailor.self_attention.out_proj.weight [16, 16]",
        "adapter.tailor.self_attention.out_proj.bias [16]",
        "classifier.pip.0.weight [256, 32]",
        "classifier.pip.0.bias [256]",
        "classifier.pip.1.weight [3, 256]",
        "classifier.pip.1.bias [3]",
    ];
    assert_eq!(told, expected);
    let idle = list.iter().filter(|parameter| parameter.idle);
    assert!(
        idle.clone()
            .all(|parameter| parameter.name.contains("out_proj"))
    );
    assert_eq!(idle.count(), 4);
}
