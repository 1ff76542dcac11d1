//! The names of classes. Python's `datasets` keeps the types of a data set beside the parquet
//! schema, under the key `huggingface`:
//! `{"info": {"features": {"ner_tags": {"feature": {"names": [...], "_type": "ClassLabel"}, "_type": "Sequence"}}}}`.
//! Older files write a list as `[{...}]`, newer ones as `"_type": "List"`.

use std::collections::BTreeMap;

use serde_json::Value;

/// Class names by column, in the order of their numbers.
pub type Classes = BTreeMap<String, Vec<String>>;

/// The classes that the metadata value of `huggingface` declares; what is not understood declares
/// none.
pub(super) fn from_metadata(json: &str) -> Classes {
    let Ok(value) = serde_json::from_str::<Value>(json) else {
        return Classes::new();
    };
    let Some(features) = value.pointer("/info/features").and_then(Value::as_object) else {
        return Classes::new();
    };
    features
        .iter()
        .filter_map(|(column, feature)| Some((column.clone(), names(feature)?)))
        .collect()
}

/// The class names of a feature or of the elements of a list.
fn names(feature: &Value) -> Option<Vec<String>> {
    let inner = match feature {
        Value::Array(items) => items.first()?,
        _ => feature.get("feature").unwrap_or(feature),
    };
    if inner.get("_type")?.as_str()? != "ClassLabel" {
        return None;
    }
    inner
        .get("names")?
        .as_array()?
        .iter()
        .map(|name| name.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_ways_to_write_a_list_are_read() {
        for list in [
            r#"{"feature": {"names": ["O", "B-PER"], "_type": "ClassLabel"}, "length": -1, "_type": "Sequence"}"#,
            r#"{"feature": {"names": ["O", "B-PER"], "_type": "ClassLabel"}, "_type": "List"}"#,
            r#"[{"num_classes": 2, "names": ["O", "B-PER"], "_type": "ClassLabel"}]"#,
        ] {
            let json = format!(
                r#"{{"info": {{"features": {{"tags": {list}, "id": {{"dtype": "string", "_type": "Value"}}}}}}}}"#
            );
            assert_eq!(
                from_metadata(&json),
                Classes::from([("tags".to_owned(), vec!["O".to_owned(), "B-PER".to_owned()])])
            );
        }
    }

    #[test]
    fn a_single_label_is_read_and_nonsense_declares_nothing() {
        let json = r#"{"info": {"features": {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}}"#;
        assert_eq!(from_metadata(json)["label"], ["neg", "pos"]);
        for json in [
            "",
            "[]",
            r#"{"info": 3}"#,
            r#"{"info": {"features": {"a": {"names": 3, "_type": "ClassLabel"}}}}"#,
        ] {
            assert!(from_metadata(json).is_empty(), "{json}");
        }
    }
}
