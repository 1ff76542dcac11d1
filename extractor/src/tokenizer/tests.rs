//! Sub-words against those of `transformers`' fast tokenizers (`tests/fixtures/toy.py`).

use std::path::PathBuf;

use serde_json::Value;
use shared::exit::HasExitStatus as _;

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
fn bpe_that_falls_back_to_bytes_equals_transformers() {
    use serde_json::json;

    let expected = expected();
    let settings = json!({ "tokenizer_class": "LlamaTokenizer" });
    let folder = folder("llama", "llama", &settings, |_| ());
    let tokenizer = Tokenizer::in_folder(folder.path()).unwrap();
    assert_eq!(
        (tokenizer.prefix(), tokenizer.suffix().len()),
        (&[1][..], 0)
    );
    compare(&tokenizer, &expected["llama"], &expected["words"]);
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

/// Found by fuzzing: an id of thousands of millions, up to which the crate writes one after the
/// other.
#[test]
fn an_id_that_no_vocabulary_has_is_an_error() {
    let far = serde_json::json!(4_000_000_000_u32);
    let said = refused(|json| json["model"]["vocab"]["far"] = far);
    assert!(
        said.contains("tokenizer.json") && said.contains("ids up to 4000000000"),
        "{said}"
    );
}

/// Found by fuzzing: the crate panics on a normalizer's table that is no base64, and on a template
/// that names a special token which it does not define.
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

/// A folder with a toy's `tokenizer.json`, edited, a `config.json` of `model_type` and a
/// `tokenizer_config.json`.
fn folder(
    toy: &str,
    model_type: &str,
    settings: &Value,
    edit: impl FnOnce(&mut Value),
) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = fixtures().join(format!("toy-{toy}/tokenizer.json"));
    let text = fs_err::read_to_string(path).unwrap();
    let mut json: Value = serde_json::from_str(&text).unwrap();
    let before = json.clone();
    edit(&mut json);
    // Digests are those of the bytes.
    let text = if json == before {
        text
    } else {
        json.to_string()
    };
    fs_err::write(folder.path().join("tokenizer.json"), text).unwrap();
    let model = serde_json::json!({ "model_type": model_type });
    fs_err::write(folder.path().join("config.json"), model.to_string()).unwrap();
    if !settings.is_null() {
        fs_err::write(
            folder.path().join("tokenizer_config.json"),
            settings.to_string(),
        )
        .unwrap();
    }
    folder
}

fn notes(
    toy: &str,
    model_type: &str,
    settings: &Value,
    edit: impl FnOnce(&mut Value),
) -> Vec<String> {
    let folder = folder(toy, model_type, settings, edit);
    Tokenizer::in_folder(folder.path())
        .unwrap()
        .notes()
        .to_vec()
}

#[test]
fn what_is_overridden_or_guessed_is_said() {
    use serde_json::json;

    let cased = |json: &mut Value| json["normalizer"]["lowercase"] = json!(false);
    let same = |_: &mut Value| ();
    assert_eq!(
        notes("bert", "bert", &json!({ "do_lower_case": false }), same),
        [
            "tokenizer.json lower-cases, tokenizer_config.json says do_lower_case: false: words are not lower-cased, as transformers 5 does"
        ]
    );
    assert_eq!(
        notes("bert", "electra", &Value::Null, cased),
        [
            "tokenizer.json keeps upper case, no tokenizer_config.json says do_lower_case, which is true for BertTokenizer: words are \
          lower-cased, as transformers 5 does"
        ]
    );
    let fast = json!({ "do_lower_case": false, "tokenizer_class": "PreTrainedTokenizerFast" });
    assert_eq!(
        notes("bert", "bert", &fast, same),
        [
            "tokenizer_config.json says do_lower_case: false, which PreTrainedTokenizerFast does not obey: tokenizer.json says otherwise \
          in its normalizer and is used as it is, as transformers 5 does"
        ]
    );
}

#[test]
fn whatever_the_class_replaces_is_said() {
    use serde_json::json;

    let same = |_: &mut Value| ();
    let said = |toy: &str, model: &str, settings: Value, part: &str| {
        let notes = notes(toy, model, &settings, same);
        assert!(notes.iter().any(|note| note.contains(part)), "{notes:?}");
    };
    said(
        "bert",
        "bert",
        json!({ "tokenizer_class": "Mine" }),
        "says Mine, which transformers 5 does not know",
    );
    said(
        "bert",
        "bert",
        json!({ "strip_accents": true }),
        "has strip_accents: null, tokenizer_config.json says strip_accents: true",
    );
    said(
        "bert",
        "roberta",
        json!({ "tokenizer_class": "BertTokenizer" }),
        "models of type roberta have RobertaTokenizer",
    );
    said(
        "bert",
        "bert",
        json!({ "mask_token": "<mask>" }),
        "has other added tokens than BertTokenizer",
    );
    said(
        "bert",
        "bert",
        json!({ "cls_token": "the" }),
        "tokens around a sentence",
    );
    said(
        "llama",
        "llama",
        json!({ "tokenizer_class": "LlamaTokenizer" }),
        "has other normalizer, pre-tokenizer, settings of the model than LlamaTokenizer makes of it",
    );
    said(
        "llama",
        "llama",
        json!({ "tokenizer_class": "LlamaTokenizer", "add_prefix_space": false }),
        "LlamaTokenizer gives words no leading space",
    );
    said(
        "roberta",
        "qwen2",
        json!({ "tokenizer_class": "GPT2Tokenizer" }),
        "says GPT2Tokenizer, models of type qwen2 have Qwen2Tokenizer: Qwen2Tokenizer is used",
    );
    said(
        "roberta",
        "llama",
        json!({ "tokenizer_class": "LlamaTokenizer" }),
        "says LlamaTokenizer, but tokenizer.json is byte-level",
    );
    said("bert", "new", Value::Null, "says which tokenizer_class");
    said(
        "roberta",
        "roberta",
        json!({ "add_prefix_space": false }),
        "words are given a leading space all the same",
    );
    said(
        "roberta",
        "roberta",
        json!({ "tokenizer_class": "TokenizersBackend" }),
        "gives words no leading space",
    );
    said(
        "roberta",
        "gpt2",
        json!({ "tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>", "eos_token": "</s>" }),
        "added tokens",
    );
    said(
        "xlm-roberta",
        "xlm-roberta",
        json!({ "add_prefix_space": false }),
        "has other pre-tokenizer than XLMRobertaTokenizer",
    );
    for (toy, settings) in [
        (
            "bert",
            json!({ "do_lower_case": true, "model_max_length": 512, "cls_token": "[CLS]" }),
        ),
        ("roberta", json!({ "mask_token": "<mask>" })),
        ("xlm-roberta", Value::Null),
        (
            "camembert",
            json!({ "tokenizer_class": "CamembertTokenizerFast" }),
        ),
    ] {
        assert_eq!(notes(toy, toy, &settings, same), [""; 0], "{toy}");
    }
}

/// Stores made when `tokenizer.json` alone was read must be found again where that changed no id,
/// and only there.
#[test]
fn the_digest_is_that_of_the_definition_where_settings_change_nothing() {
    use serde_json::json;

    let digest = |folder: &tempfile::TempDir| {
        Tokenizer::in_folder(folder.path())
            .unwrap()
            .digest()
            .to_owned()
    };
    let alone = |folder: &tempfile::TempDir| {
        let text = fs_err::read(folder.path().join("tokenizer.json")).unwrap();
        let length = (text.len() as u64).to_le_bytes();
        shared::files::sha256_bytes(&[b"tokenizer.json\0".as_slice(), &length, &text].concat())
    };
    let same = |_: &mut Value| ();
    for (toy, settings) in [
        (
            "bert",
            json!({ "do_lower_case": true, "model_max_length": 512, "cls_token": "[CLS]" }),
        ),
        (
            "bert",
            json!({ "tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": false }),
        ),
        ("roberta", json!({ "add_prefix_space": false })),
        ("xlm-roberta", Value::Null),
        ("camembert", Value::Null),
    ] {
        let folder = folder(toy, toy, &settings, same);
        assert_eq!(digest(&folder), alone(&folder), "{toy} {settings}");
    }
    let mut seen = std::collections::HashSet::new();
    for (toy, settings) in [
        ("bert", json!({ "do_lower_case": false })),
        (
            "bert",
            json!({ "do_lower_case": false, "strip_accents": true }),
        ),
        ("bert", json!({ "cls_token": "the" })),
        ("bert", json!({ "mask_token": "<mask>" })),
        (
            "roberta",
            json!({ "tokenizer_class": "PreTrainedTokenizerFast" }),
        ),
        ("roberta", json!({ "tokenizer_class": "GPT2Tokenizer" })),
        ("xlm-roberta", json!({ "add_prefix_space": false })),
    ] {
        let folder = folder(toy, toy, &settings, same);
        let digest = digest(&folder);
        assert_ne!(digest, alone(&folder), "{toy} {settings}");
        assert!(seen.insert(digest), "{toy} {settings}");
    }
}

#[test]
fn settings_that_are_none_are_errors() {
    use serde_json::json;

    for (settings, said) in [
        (
            json!({ "auto_map": { "AutoTokenizer": ["a.B", "a.C"] }, "tokenizer_class": "NewTokenizer" }),
            "auto_map says that the tokenizer is code of the checkpoint",
        ),
        (
            json!({ "do_lower_case": "no" }),
            "do_lower_case is \"no\"; expected true or false",
        ),
        (
            json!({ "tokenizer_class": 3 }),
            "tokenizer_class is 3; expected a name",
        ),
        (
            json!({ "cls_token": 101 }),
            "cls_token is 101; expected a token",
        ),
        (
            json!({ "cls_token": null }),
            "the special token None is not in the vocabulary",
        ),
        (
            json!({ "added_tokens_decoder": [] }),
            "expected an object of id: token",
        ),
        (
            json!({ "added_tokens_decoder": { "x": {} } }),
            "\"x\" is no id",
        ),
        (
            json!({ "added_tokens_decoder": { "300": {} } }),
            "the token of id 300 has no content",
        ),
    ] {
        let model = if settings.get("auto_map").is_some() {
            "new"
        } else {
            "bert"
        };
        let folder = folder("bert", model, &settings, |_| ());
        let error = Tokenizer::in_folder(folder.path())
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("json: ") && error.contains(said), "{error}");
    }
}

/// `transformers` replaces a pattern in vocabularies of more than 100 000 tokens alone.
#[test]
fn a_pattern_that_transformers_would_replace_is_an_error() {
    use serde_json::json;

    let large = |json: &mut Value| {
        for id in 420..100_500 {
            json["model"]["vocab"][format!("<{id}>")] = json!(id);
        }
    };
    let settings = json!({ "fix_mistral_regex": true });
    let error = |model: &str, edit: &dyn Fn(&mut Value)| {
        let folder = folder("roberta", model, &settings, edit);
        Tokenizer::in_folder(folder.path())
            .err()
            .map(|error| error.to_string())
    };
    let said = error("mistral", &large).unwrap();
    assert!(said.contains("fix_mistral_regex is true"), "{said}");
    assert_eq!(error("llama", &large), None);
    assert_eq!(error("mistral", &|_| ()), None);
}
