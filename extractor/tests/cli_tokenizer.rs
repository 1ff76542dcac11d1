//! The settings beside `tokenizer.json`, from the command line: what they change is said and
//! stored, and a store is found again as long as they change nothing.

#![allow(clippy::unwrap_used, reason = "a panic is the failure being reported")]

mod common;

use common::{Toy, tree};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

const SAID: &str = "tokenizer  tokenizer.json lower-cases, tokenizer_config.json says do_lower_case: false: words are not \
                    lower-cased, as transformers 5 does";

#[test]
fn settings_that_change_ids_are_said_and_make_another_store() {
    let toy = Toy::new();
    let settings = toy.model().join("tokenizer_config.json");
    toy.extract()
        .assert()
        .success()
        .stderr(contains("tokenizer  ").not());
    let before = tree(&toy.root());

    // Changes nothing: the store is found, and found complete.
    fs_err::write(&settings, r#"{"model_max_length": 64}"#).unwrap();
    toy.extract().assert().success();
    assert_eq!(tree(&toy.root()), before);

    fs_err::write(&settings, r#"{"do_lower_case": false}"#).unwrap();
    toy.command("plan").assert().stderr(contains(SAID));
    toy.extract()
        .assert()
        .code(1)
        .stderr(contains(SAID).and(contains("tokenizer_digest")));
    toy.extract().arg("--overwrite").assert().success();
    assert_ne!(tree(&toy.root()), before);
}

#[test]
fn contradictions_of_files_are_the_users_to_mend() {
    let toy = Toy::new();
    fs_err::write(toy.model().join("added_tokens.json"), r#"{"<new>": 7}"#).unwrap();
    toy.extract().assert().code(1).stderr(
        contains("added_tokens.json: gives the added token \"<new>\" the id 7")
            .and(contains("vocabulary of tokenizer.json")),
    );
    fs_err::remove_file(toy.model().join("added_tokens.json")).unwrap();
    let settings = toy.model().join("tokenizer_config.json");
    fs_err::write(settings, r#"{"tokenizer_class": "BertweetTokenizer"}"#).unwrap();
    toy.extract()
        .assert()
        .code(1)
        .stderr(contains("BertweetTokenizer").and(contains("tokenizer_config.json")));
}
