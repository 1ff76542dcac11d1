//! Folders of tokenizer files of every kind against what `transformers` 5 makes of them
//! (`tests/fixtures/make_tokenizers.py`).

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Tokenizer;

pub(super) fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Writes the files of a case to a folder.
pub(super) fn write(folder: &Path, files: &Value) {
    for (name, file) in files.as_object().unwrap() {
        let text = match (file.get("from").and_then(Value::as_str), file.get("text")) {
            (None, Some(text)) => text.as_str().unwrap().to_owned(),
            (None, None) => file.to_string(),
            (Some(from), _) => edited(
                &fs_err::read_to_string(fixtures().join(from)).unwrap(),
                file,
            ),
        };
        fs_err::write(folder.join(name), text).unwrap();
    }
}

fn edited(text: &str, edits: &Value) -> String {
    if ["rename", "set", "remove"]
        .iter()
        .all(|edit| edits.get(edit).is_none())
    {
        return text.to_owned();
    }
    let json = serde_json::from_str(text).unwrap();
    let mut json = renamed(json, &edits["rename"]);
    for (pointer, value) in edits["set"].as_object().into_iter().flatten() {
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        match json.pointer_mut(parent).unwrap() {
            Value::Array(items) if last == "-" => items.push(value.clone()),
            Value::Array(items) => items[last.parse::<usize>().unwrap()] = value.clone(),
            object => object[last] = value.clone(),
        }
    }
    for pointer in edits["remove"].as_array().into_iter().flatten() {
        let (parent, last) = pointer.as_str().unwrap().rsplit_once('/').unwrap();
        let parent = json.pointer_mut(parent).unwrap().as_object_mut();
        parent.unwrap().shift_remove(last).unwrap();
    }
    json.to_string()
}

/// Every string that is a name in `names`, keys among them, as it is called there.
fn renamed(json: Value, names: &Value) -> Value {
    let new = |old: String| match names.get(&old) {
        Some(name) => name.as_str().unwrap().to_owned(),
        None => old,
    };
    match json {
        Value::String(text) => Value::String(new(text)),
        Value::Array(items) => items.into_iter().map(|item| renamed(item, names)).collect(),
        Value::Object(entries) => {
            let entries = entries.into_iter();
            let renamed = entries.map(|(key, value)| (new(key), renamed(value, names)));
            Value::Object(renamed.collect())
        }
        other => other,
    }
}

/// Ids, word ids and offsets of a sentence, special tokens among them, as the fixture has them.
fn result(tokenizer: &Tokenizer, words: &[&str]) -> Result<Value, String> {
    let sub_words = tokenizer.encode(words).map_err(|error| error.to_string())?;
    let (prefix, suffix) = (tokenizer.prefix(), tokenizer.suffix());
    let own = sub_words.word_ids.iter().map(|&word| i64::from(word));
    let special = |tokens: &[u32]| vec![-1_i64; tokens.len()];
    let word_ids = [special(prefix), own.collect(), special(suffix)].concat();
    let runs: Vec<i64> = word_ids
        .chunk_by(|one, next| one == next)
        .flat_map(|run| [run[0], i64::try_from(run.len()).unwrap()])
        .collect();
    let none = |tokens: &[u32]| vec![(0, 0); tokens.len()];
    let offsets = [none(prefix), sub_words.offsets, none(suffix)].concat();
    let offsets: Vec<usize> = offsets
        .into_iter()
        .flat_map(|(begin, end)| [begin, end])
        .collect();
    let ids = [prefix, &sub_words.ids, suffix].concat();
    Ok(serde_json::json!([ids, runs, offsets]))
}

/// Every case of a file, and what is wrong with it; none where all is as `transformers` has it.
fn wrong(cases: &Value, by_chance: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for case in cases["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &case["files"]);
        let tokenizer = match (Tokenizer::in_folder(folder.path()), case.get("refused")) {
            (Ok(tokenizer), None) => tokenizer,
            (Ok(_), Some(_)) => {
                wrong.push(format!("{name}: is not refused"));
                continue;
            }
            (Err(error), Some(part)) => {
                if !error.to_string().contains(part.as_str().unwrap()) {
                    wrong.push(format!("{name}: {error}"));
                }
                continue;
            }
            (Err(_), None) if case.get("raises").is_some() => continue,
            (Err(error), None) if by_chance => {
                println!("refused: {error}");
                continue;
            }
            (Err(error), None) => {
                wrong.push(format!("{name}: refused: {error}"));
                continue;
            }
        };
        let expected = case["expected"].as_array();
        for (at, expected) in expected.into_iter().flatten().enumerate() {
            let words = cases["words"][at].as_array().unwrap();
            let words: Vec<&str> = words.iter().map(|word| word.as_str().unwrap()).collect();
            let expected = &cases["results"][usize::try_from(expected.as_u64().unwrap()).unwrap()];
            match result(&tokenizer, &words) {
                Ok(found) if found == *expected => {}
                Ok(found) => wrong.push(format!(
                    "{name}: {words:?}\n  found    {found}\n  expected {expected}\n  files {}",
                    case["files"]
                )),
                Err(error) => wrong.push(format!("{name}: {error}")),
            }
        }
    }
    wrong
}

#[test]
fn combinations_of_files_give_the_ids_of_transformers() {
    let by_chance = std::env::var_os("TOKENIZER_CASES").map(PathBuf::from);
    let path = by_chance
        .clone()
        .unwrap_or_else(|| fixtures().join("tokenizers.json"));
    let cases = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
    let wrong = wrong(&cases, by_chance.is_some());
    assert!(
        wrong.is_empty(),
        "{}\n{} wrong",
        wrong.join("\n"),
        wrong.len()
    );
}
