//! Sub-words against those of `transformers`' fast tokenizers (`tests/fixtures/toy.py`).

use std::path::PathBuf;

use serde_json::Value;

use super::Tokenizer;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn expected() -> Value {
    serde_json::from_slice(&fs_err::read(fixtures().join("toy-subwords.json")).unwrap()).unwrap()
}

/// A copy of a toy checkpoint's tokenizer files, those in `without` left out.
fn copy(name: &str, without: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in fs_err::read_dir(fixtures().join(name)).unwrap() {
        let file = file.unwrap();
        if !without.iter().any(|left_out| file.file_name() == *left_out) {
            fs_err::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
    }
    folder
}

fn compare(tokenizer: &Tokenizer, expected: &Value, words: &Value) {
    for ((name, words), case) in words
        .as_object()
        .unwrap()
        .iter()
        .zip(expected.as_array().unwrap())
    {
        let words: Vec<&str> = words
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        let sub_words = tokenizer.encode(&words).unwrap();
        let ids = [tokenizer.prefix(), &sub_words.ids, tokenizer.suffix()].concat();
        assert_eq!(
            serde_json::to_value(ids).unwrap(),
            case["ids"],
            "ids: {name}"
        );

        let special = |tokens: &[u32]| vec![-1_i64; tokens.len()];
        let own: Vec<i64> = sub_words.word_ids.iter().copied().map(i64::from).collect();
        let word_ids = [
            special(tokenizer.prefix()),
            own,
            special(tokenizer.suffix()),
        ]
        .concat();
        assert_eq!(
            serde_json::to_value(word_ids).unwrap(),
            case["word_ids"],
            "word ids: {name}"
        );

        let special = |tokens: &[u32]| vec![(0, 0); tokens.len()];
        let offsets = [
            special(tokenizer.prefix()),
            sub_words.offsets,
            special(tokenizer.suffix()),
        ]
        .concat();
        assert_eq!(
            serde_json::to_value(offsets).unwrap(),
            case["offsets"],
            "offsets: {name}"
        );
    }
}

#[test]
fn word_piece_equals_transformers() {
    let expected = expected();
    let both = Tokenizer::in_folder(&fixtures().join("toy-bert")).unwrap();
    compare(&both, &expected["bert"]["uncased"], &expected["words"]);

    let folder = copy("toy-bert", &["tokenizer.json"]);
    let built = Tokenizer::in_folder(folder.path()).unwrap();
    compare(&built, &expected["bert"]["uncased"], &expected["words"]);
    assert_ne!(both.digest(), built.digest());
    assert_eq!(both.vocabulary(), 300);

    fs_err::write(
        folder.path().join("tokenizer_config.json"),
        r#"{"do_lower_case": false}"#,
    )
    .unwrap();
    let cased = Tokenizer::in_folder(folder.path()).unwrap();
    compare(&cased, &expected["bert"]["cased"], &expected["words"]);
}

#[test]
fn byte_level_bpe_equals_transformers() {
    let expected = expected();
    let roberta = Tokenizer::in_folder(&fixtures().join("toy-roberta")).unwrap();
    compare(&roberta, &expected["roberta"], &expected["words"]);
    let folder = copy("toy-roberta", &["tokenizer.json"]);
    compare(
        &Tokenizer::in_folder(folder.path()).unwrap(),
        &expected["roberta"],
        &expected["words"],
    );
    // Without tokenizer_config.json it is config.json that tells RoBERTa from GPT-2.
    let folder = copy("toy-roberta", &["tokenizer.json", "tokenizer_config.json"]);
    compare(
        &Tokenizer::in_folder(folder.path()).unwrap(),
        &expected["roberta"],
        &expected["words"],
    );

    let gpt2 = Tokenizer::in_folder(&fixtures().join("toy-gpt2")).unwrap();
    assert_eq!(gpt2.special_tokens(), 0);
    compare(&gpt2, &expected["gpt2"], &expected["words"]);
}

#[test]
fn unigram_equals_transformers() {
    let expected = expected();
    for name in ["xlm-roberta", "camembert"] {
        let tokenizer = Tokenizer::in_folder(&fixtures().join(format!("toy-{name}"))).unwrap();
        assert_eq!((tokenizer.prefix().len(), tokenizer.suffix().len()), (1, 1));
        compare(&tokenizer, &expected[name], &expected["words"]);
    }
}

#[test]
fn what_is_wrong_in_a_folder_is_named() {
    let message = |folder: &tempfile::TempDir| {
        let error = Tokenizer::in_folder(folder.path()).err().expect("an error");
        assert_eq!(error.exit_status(), shared::exit::ExitStatus::User);
        error.to_string()
    };
    let folder = copy("toy-bert", &["tokenizer.json", "vocab.txt"]);
    assert!(message(&folder).contains("expected tokenizer.json, or vocab.txt"));
    fs_err::write(folder.path().join("sentencepiece.bpe.model"), "").unwrap();
    assert!(message(&folder).contains("save_pretrained"));
    fs_err::write(folder.path().join("vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n").unwrap();
    assert!(
        message(&folder).contains("the special token [SEP] is not in the vocabulary of 3 tokens")
    );
    fs_err::write(folder.path().join("tokenizer.json"), "{\"model\": ").unwrap();
    assert!(message(&folder).contains("tokenizer.json: not JSON"));
    fs_err::write(folder.path().join("tokenizer.json"), "{\"model\": 3}").unwrap();
    assert!(message(&folder).contains("tokenizer.json: no tokenizer that is understood"));
}

/// What is said of a `tokenizer.json` after an edit.
fn refused(edit: impl FnOnce(&mut Value)) -> String {
    let folder = copy("toy-bert", &[]);
    let path = folder.path().join("tokenizer.json");
    let mut json: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    edit(&mut json);
    fs_err::write(&path, json.to_string()).unwrap();
    let error = Tokenizer::in_folder(folder.path()).err().unwrap();
    error.to_string()
}

/// Found by fuzzing: a sequence of pre-tokenizers that are not there.
#[test]
fn a_sequence_of_nothing_is_an_error() {
    for sequence in [
        serde_json::json!({ "type": "Sequence" }),
        serde_json::json!({ "type": "Sequence", "pretokenizers": 3 }),
    ] {
        let said = refused(|json| json["pre_tokenizer"] = sequence);
        assert!(
            said.contains("tokenizer.json: no tokenizer that is understood"),
            "{said}"
        );
    }
}

/// Found by fuzzing: an id of thousands of millions, up to which the crate writes one after the other.
#[test]
fn an_id_that_no_vocabulary_has_is_an_error() {
    let far = serde_json::json!(4_000_000_000_u32);
    let said = refused(|json| json["model"]["vocab"]["far"] = far);
    assert!(
        said.contains("tokenizer.json") && said.contains("ids up to 4000000000"),
        "{said}"
    );
}

/// Found by fuzzing: the crate panics on a normalizer's table that is no base64, and on a template that names a special token
/// which it does not define.
#[test]
fn a_definition_on_which_the_crate_panics_is_an_error() {
    let table = serde_json::json!({ "type": "Precompiled", "precompiled_charsmap": "no base 64" });
    let template = serde_json::json!({
        "type": "TemplateProcessing",
        "single": [{ "SpecialToken": { "id": "[CLS]", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
        "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 0 } }],
        "special_tokens": { "[CSL]": { "id": "[CLS]", "ids": [2], "tokens": ["[CLS]"] } },
    });
    for (part, value, panic) in [
        ("normalizer", table, "Precompiled"),
        ("post_processor", template, "no entry"),
    ] {
        let said = refused(|json| json[part] = value);
        assert!(
            said.contains("tokenizer.json") && said.contains("damaged") && said.contains(panic),
            "{part}: {said}"
        );
    }
}
