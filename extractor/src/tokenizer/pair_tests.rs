//! Pairs of texts against what `transformers` 5 makes of them (`tests/fixtures/make_pairs.py`).

use serde_json::{Value, json};

use super::combinations::{fixtures, write};
use super::{Tokenizer, TokenizerError};

fn read(name: &str) -> Value {
    serde_json::from_slice(&fs_err::read(fixtures().join(name)).unwrap()).unwrap()
}

fn words(text: &Value) -> Vec<&str> {
    let words = text.as_array().unwrap().iter();
    words.map(|word| word.as_str().unwrap()).collect()
}

#[test]
fn pairs_are_put_together_as_transformers_does() {
    let (pairs, cases) = (read("pairs.json"), read("tokenizers.json"));
    let (mut compared, mut cut, mut with_types) = (0, 0, 0);
    for case in cases["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let Some(expected) = pairs["cases"].get(name) else {
            continue;
        };
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &case["files"]);
        let tokenizer = Tokenizer::in_folder(folder.path()).unwrap();
        let mut expected = expected.as_array().unwrap().iter();
        for texts in pairs["texts"].as_array().unwrap() {
            let (first, second) = (words(&texts[0]), words(&texts[1]));
            let both = [first.as_slice(), &second].concat();
            for length in pairs["lengths"].as_array().unwrap() {
                let length = length
                    .as_u64()
                    .map_or(usize::MAX, |length| usize::try_from(length).unwrap());
                let pair = tokenizer.encode_pair(&both, first.len(), length).unwrap();
                let [ids, types, word_ids] = [0, 1, 2].map({
                    let expected = expected.next().unwrap();
                    move |part| &expected[part]
                });
                assert_eq!(json!(pair.ids), *ids, "{name} {texts} {length}");
                assert_eq!(json!(pair.word_ids), *word_ids, "{name} {texts} {length}");
                let by_text: Vec<u32> = (0..pair.ids.len())
                    .map(|place| u32::from(place >= pair.second))
                    .collect();
                match tokenizer.types_second_text() {
                    Ok(true) => {
                        assert_eq!(json!(by_text), *types, "{name} {texts} {length}");
                        with_types += 1;
                    }
                    Ok(false) => assert_eq!(json!(vec![0; by_text.len()]), *types, "{name}"),
                    Err(TokenizerError::Pair { .. }) => {
                        assert_ne!(json!(by_text), *types, "{name}");
                    }
                    Err(error) => panic!("{name}: {error}"),
                }
                assert_eq!(
                    crate::pairs::second_token(&pair.word_ids, first.len()),
                    Some(pair.second)
                );
                (compared, cut) = (compared + 1, cut + usize::from(pair.is_cut()));
            }
        }
        assert!(expected.next().is_none(), "{name}");
    }
    assert!(
        compared > 500 && cut > 200 && with_types > 100,
        "{compared} {cut} {with_types}"
    );
}
