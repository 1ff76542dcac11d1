//! Which column holds the text and which the labels, by type and name.

use std::path::Path;

use crate::datasets::choice::{self, Field};
use parquet::basic::{LogicalType, Type as Physical};
use parquet::schema::types::SchemaDescriptor;

use super::{Classes, ParquetError};

pub(super) use crate::datasets::choice::{Kind, Wishes};

/// A column as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnInfo {
    pub(super) name: String,
    /// Its number among the leaves of the schema.
    pub(super) leaf: usize,
    pub(super) kind: Kind,
    /// Has declared class names.
    pub(super) classes: bool,
}

/// The columns chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) tokens: ColumnInfo,
    pub(super) labels: ColumnInfo,
    /// Whether a text has any number of labels.
    pub(super) sets: bool,
    /// What was taken and what was left out.
    pub(super) note: String,
}

/// The columns of a schema, nested ones left out.
pub(super) fn columns(schema: &SchemaDescriptor, classes: &Classes) -> Vec<ColumnInfo> {
    let mut columns: Vec<ColumnInfo> = Vec::new();
    for (leaf, column) in schema.columns().iter().enumerate() {
        let name = column.path().parts().first().cloned().unwrap_or_default();
        // A second leaf below one name: a struct, which is neither words nor labels.
        if let Some(before) = columns.iter_mut().find(|before| before.name == name) {
            before.kind = Kind::Other("struct");
            continue;
        }
        let is_single = column.max_rep_level() == 0 && column.path().parts().len() == 1;
        let element = match (column.physical_type(), column.logical_type_ref()) {
            (Physical::BYTE_ARRAY, _) => Kind::Text,
            (Physical::INT32 | Physical::INT64, None | Some(LogicalType::Integer { .. })) => {
                Kind::Integer
            }
            (Physical::BOOLEAN, _) => Kind::Boolean,
            (Physical::FLOAT | Physical::DOUBLE, _) => Kind::Float,
            _ => Kind::Other("date or other number"),
        };
        let kind = match (column.max_rep_level(), element) {
            _ if is_single => element,
            (1, Kind::Text) => Kind::Texts,
            (1, Kind::Integer) => Kind::Integers,
            (0, _) => Kind::Other("struct"),
            _ => Kind::Other("list of lists or of other numbers"),
        };
        let classes = classes.contains_key(&name);
        columns.push(ColumnInfo {
            name,
            leaf,
            kind,
            classes,
        });
    }
    columns
}

/// Chooses the column of tokens (or of texts) and that of labels, in the file at `path`.
pub(super) fn choose(
    path: &Path,
    columns: &[ColumnInfo],
    wishes: Wishes<'_>,
) -> Result<Choice, ParquetError> {
    let field = |column: &ColumnInfo| Field {
        name: column.name.clone(),
        kind: column.kind,
        classes: column.classes,
    };
    let fields: Vec<Field> = columns.iter().map(field).collect();
    let chosen = choice::choose(&fields, wishes).map_err(|problem| ParquetError::Column {
        path: path.to_owned(),
        what: problem.what,
        problem: problem.text,
        columns: choice::listed(&fields),
    })?;
    let names: Vec<String> = fields.into_iter().map(|field| field.name).collect();
    let what = if chosen.lists { "words" } else { "texts" };
    Ok(Choice {
        tokens: columns[chosen.token].clone(),
        labels: columns[chosen.label].clone(),
        sets: chosen.sets,
        note: choice::note(&names, chosen.token, chosen.label, what),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::Column;
    use crate::tasks::Task;

    fn columns(of: &[(&str, Kind, bool)]) -> Vec<ColumnInfo> {
        let column = |(leaf, (name, kind, classes)): (usize, &(&str, Kind, bool))| ColumnInfo {
            name: (*name).to_owned(),
            leaf,
            kind: *kind,
            classes: *classes,
        };
        of.iter().enumerate().map(column).collect()
    }

    fn chosen(of: &[(&str, Kind, bool)], task: Option<Task>) -> Result<(String, String), String> {
        let choice = choose(
            Path::new("f"),
            &columns(of),
            Wishes {
                task,
                ..Wishes::default()
            },
        )
        .map_err(|error| error.to_string())?;
        Ok((choice.tokens.name, choice.labels.name))
    }

    const CONLL: [(&str, Kind, bool); 5] = [
        ("id", Kind::Text, false),
        ("tokens", Kind::Texts, false),
        ("pos_tags", Kind::Integers, true),
        ("chunk_tags", Kind::Integers, true),
        ("ner_tags", Kind::Integers, true),
    ];

    #[test]
    fn the_task_chooses_among_the_tags_of_conll2003() {
        let both = |label: &str| Ok(("tokens".to_owned(), label.to_owned()));
        assert_eq!(chosen(&CONLL, None), both("ner_tags"));
        assert_eq!(chosen(&CONLL, Some(Task::Pos)), both("pos_tags"));
        assert_eq!(chosen(&CONLL, Some(Task::Chunk)), both("chunk_tags"));
    }

    #[test]
    fn texts_with_one_label_are_recognised() {
        let sst2 = [
            ("idx", Kind::Integer, false),
            ("sentence", Kind::Text, false),
            ("label", Kind::Integer, true),
        ];
        assert_eq!(
            chosen(&sst2, None),
            Ok(("sentence".to_owned(), "label".to_owned()))
        );
        let trec = [
            ("text", Kind::Text, false),
            ("coarse_label", Kind::Integer, true),
            ("fine_label", Kind::Integer, true),
        ];
        assert_eq!(
            chosen(&trec, None),
            Ok(("text".to_owned(), "coarse_label".to_owned()))
        );
    }

    #[test]
    fn what_cannot_be_told_is_asked_for() {
        let pair = [
            ("premise", Kind::Text, false),
            ("hypothesis", Kind::Text, false),
            ("label", Kind::Integer, true),
        ];
        let error = chosen(&pair, None).unwrap_err();
        assert!(
            error.contains("premise, hypothesis") && error.contains("--token-column"),
            "{error}"
        );
        let error = chosen(&CONLL, Some(Task::Sequence)).unwrap_err();
        assert!(error.contains("no column of type text"), "{error}");
        let error = choose(
            Path::new("f"),
            &columns(&CONLL),
            Wishes {
                token: Some(&Column::Name("POS_tags".to_owned())),
                ..Wishes::default()
            },
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("`pos_tags` is list of integers, not list of texts"),
            "{error}"
        );
    }
}
