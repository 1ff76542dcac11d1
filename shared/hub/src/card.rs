//! A data set's card: `README.md` begins with YAML between two lines of `---`, whose `dataset_info`
//! names the classes of columns. It is looked at only where the parquet files themselves name none.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use shared::datasets::parquet::Classes;

#[derive(Debug, Deserialize)]
struct Card {
    #[serde(default)]
    dataset_info: Infos,
}

/// One configuration, or several. Not an untagged enum: that would have decided that a class `Y` is
/// a truth value before anybody asked for its text.
#[derive(Debug, Default)]
struct Infos(Vec<Info>);

#[derive(Debug, Deserialize)]
struct Info {
    config_name: Option<String>,
    #[serde(default)]
    features: Vec<Feature>,
}

/// A column: `dtype` for one value, `sequence` (now `list`) for a list.
#[derive(Debug, Deserialize)]
struct Feature {
    #[serde(default)]
    name: String,
    #[serde(default)]
    dtype: Type,
    #[serde(default)]
    sequence: Type,
    #[serde(default)]
    list: Type,
}

/// The classes of a type; none for the name of any other type.
#[derive(Debug, Default)]
struct Type(Option<ClassLabel>);

impl<'de> Deserialize<'de> for Infos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Infos;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("one configuration or a list of them")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Infos, A::Error> {
                Ok(Infos(vec![Info::deserialize(MapAccessDeserializer::new(
                    map,
                ))?]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Infos, A::Error> {
                Ok(Infos(Vec::deserialize(SeqAccessDeserializer::new(list))?))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Nested {
            class_label: Option<ClassLabel>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Type;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the name of a type or its definition")
            }

            fn visit_str<E>(self, _: &str) -> Result<Type, E> {
                Ok(Type(None))
            }

            fn visit_unit<E>(self) -> Result<Type, E> {
                Ok(Type(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Type, A::Error> {
                Ok(Type(
                    Nested::deserialize(MapAccessDeserializer::new(map))?.class_label,
                ))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Type, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Type(None))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[derive(Debug, Deserialize)]
struct ClassLabel {
    /// By their numbers, written as texts.
    names: BTreeMap<String, String>,
}

/// The classes that a card declares for a configuration; a card that is not understood declares
/// none.
#[must_use]
pub fn classes(card: &str, config: &str) -> Classes {
    let Some(yaml) = front_matter(card) else {
        return Classes::new();
    };
    let Ok(card) = serde_saphyr::from_str::<Card>(yaml) else {
        return Classes::new();
    };
    let Infos(infos) = card.dataset_info;
    let only = infos.len() == 1;
    let info = infos
        .into_iter()
        .find(|info| only || info.config_name.as_deref() == Some(config));
    let features = info.map(|info| info.features).unwrap_or_default();
    features
        .into_iter()
        .filter_map(|feature| Some((feature.name.clone(), names(feature)?)))
        .collect()
}

fn names(feature: Feature) -> Option<Vec<String>> {
    let label = feature.dtype.0.or(feature.sequence.0).or(feature.list.0)?;
    let mut names: Vec<(usize, String)> = label
        .names
        .into_iter()
        .map(|(number, name)| Some((number.parse().ok()?, name)))
        .collect::<Option<_>>()?;
    names.sort();
    // A gap in the numbers would shift every name after it.
    let dense = names
        .iter()
        .enumerate()
        .all(|(index, (number, _))| index == *number);
    dense.then(|| names.into_iter().map(|(_, name)| name).collect())
}

fn front_matter(card: &str) -> Option<&str> {
    let rest = card
        .strip_prefix('\u{feff}')
        .unwrap_or(card)
        .strip_prefix("---")?
        .trim_start_matches([' ', '\r'])
        .strip_prefix('\n')?;
    let end = rest.find("\n---")?;
    Some(&rest[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "---\nlicense: mit\ntags: [a, b]\ndataset_info:\n- config_name: en\n  features:\n  - name: id\n    dtype: string\n  \
        - name: tokens\n    sequence: string\n  - name: ner_tags\n    sequence:\n      class_label:\n        names:\n          \
        '0': O\n          '1': Y\n          '2': 07\n  splits:\n  - name: train\n    num_bytes: 1\n- config_name: de\n  \
        features:\n  - name: label\n    dtype:\n      class_label:\n        names:\n          '0': neg\n          '1': pos\n---\n# Title\n";

    #[test]
    fn classes_of_lists_and_of_single_labels_are_read() {
        let tags = Classes::from([(
            "ner_tags".to_owned(),
            ["O", "Y", "07"].map(str::to_owned).to_vec(),
        )]);
        assert_eq!(classes(CARD, "en"), tags);
        assert_eq!(classes(CARD, "de")["label"], ["neg", "pos"]);
        assert!(classes(CARD, "fr").is_empty());
    }

    #[test]
    fn the_numbers_are_counted_not_compared_as_text() {
        let names: Vec<String> = (0..12)
            .map(|number| format!("        '{number}': c{number}\n"))
            .collect();
        let names = names.concat();
        let card = format!(
            "---\ndataset_info:\n  features:\n  - name: l\n    list:\n      class_label:\n       names:\n{names}---\n"
        );
        assert_eq!(classes(&card, "default")["l"][10], "c10");
    }

    #[test]
    fn what_is_no_card_declares_nothing() {
        let bomb = format!(
            "---\na: &a [x]\nb: &b [{}]\nc: [{}]\n---\n",
            "*a,".repeat(50),
            "*b,".repeat(50)
        );
        for card in [
            "",
            "# Title",
            "---\nunfinished",
            "---\n: :\n---\n",
            "---\ndataset_info: 3\n---\n",
            &bomb,
        ] {
            assert!(classes(card, "default").is_empty(), "{card}");
        }
    }
}
