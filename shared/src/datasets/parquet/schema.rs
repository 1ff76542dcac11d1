//! Which column holds the text and which the labels, by type first and by name where several fit.

use std::path::Path;

use crate::datasets::Column;
use crate::tasks::Task;
use parquet::basic::{LogicalType, Type as Physical};
use parquet::schema::types::SchemaDescriptor;

use super::{Classes, ParquetError};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Texts,
    Numbers,
    Other,
}

impl Kind {
    fn is_list(self) -> bool {
        matches!(self, Self::Texts | Self::Numbers)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "integer",
            Self::Texts => "list of texts",
            Self::Numbers => "list of integers",
            Self::Other => "other",
        }
    }
}

/// The columns chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) tokens: ColumnInfo,
    pub(super) labels: ColumnInfo,
}

/// Names of token lists and of texts, the usual ones first.
const TOKENS: [&str; 6] = ["tokens", "words", "token", "word", "form", "sentence"];
const TEXTS: [&str; 8] = [
    "text",
    "sentence",
    "content",
    "utterance",
    "query",
    "question",
    "review",
    "title",
];
const TAGS: [&str; 12] = [
    "ner_tags",
    "tags",
    "labels",
    "label",
    "ner",
    "entities",
    "pos_tags",
    "upos",
    "pos",
    "xpos",
    "chunk_tags",
    "chunk",
];
const LABELS: [&str; 8] = [
    "label",
    "labels",
    "intent",
    "class",
    "category",
    "target",
    "coarse_label",
    "sentiment",
];

/// The columns of a schema, nested ones left out.
pub(super) fn columns(schema: &SchemaDescriptor, classes: &Classes) -> Vec<ColumnInfo> {
    let mut columns: Vec<ColumnInfo> = Vec::new();
    for (leaf, column) in schema.columns().iter().enumerate() {
        let name = column.path().parts().first().cloned().unwrap_or_default();
        // A second leaf below one name: a struct, which is neither words nor labels.
        if let Some(before) = columns.iter_mut().find(|before| before.name == name) {
            before.kind = Kind::Other;
            continue;
        }
        let number = matches!(column.physical_type(), Physical::INT32 | Physical::INT64)
            && matches!(
                column.logical_type_ref(),
                None | Some(LogicalType::Integer { .. })
            );
        let text = column.physical_type() == Physical::BYTE_ARRAY;
        let kind = match (column.max_rep_level(), text, number) {
            (0, true, _) if column.path().parts().len() == 1 => Kind::Text,
            (0, _, true) if column.path().parts().len() == 1 => Kind::Number,
            (1, true, _) => Kind::Texts,
            (1, _, true) => Kind::Numbers,
            _ => Kind::Other,
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

/// What the user said about the columns.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wishes<'a> {
    pub(super) task: Option<Task>,
    pub(super) token: Option<&'a Column>,
    pub(super) label: Option<&'a Column>,
}

/// Chooses the column of tokens (or of texts) and that of labels, in the file at `path`.
pub(super) fn choose(
    path: &Path,
    columns: &[ColumnInfo],
    wishes: Wishes<'_>,
) -> Result<Choice, ParquetError> {
    let table = Table { path, columns };
    let token = table.named("token", wishes.token)?;
    let label = table.named("label", wishes.label)?;
    let lists = match (wishes.task, token.or(label)) {
        (Some(task), _) => task.labels_words(),
        (None, Some(column)) => column.kind.is_list(),
        (None, None) => {
            let lists = columns.iter().filter(|column| column.kind.is_list());
            lists.clone().count() > 1 && lists.clone().any(|column| column.kind == Kind::Texts)
        }
    };
    let (token_kinds, label_kinds): (&[Kind], &[Kind]) = if lists {
        (&[Kind::Texts], &[Kind::Numbers, Kind::Texts])
    } else {
        (&[Kind::Text], &[Kind::Number, Kind::Text])
    };
    let tokens = match token {
        Some(column) => table.fits("token", column, token_kinds)?,
        None => table.pick("token", token_kinds, usual_tokens(lists), label)?,
    };
    let labels = match label {
        Some(column) => table.fits("label", column, label_kinds)?,
        None => table.pick(
            "label",
            label_kinds,
            usual_labels(wishes.task, lists),
            Some(tokens),
        )?,
    };
    Ok(Choice {
        tokens: tokens.clone(),
        labels: labels.clone(),
    })
}

fn usual_tokens(lists: bool) -> &'static [&'static str] {
    if lists { &TOKENS } else { &TEXTS }
}

fn usual_labels(task: Option<Task>, lists: bool) -> &'static [&'static str] {
    match task {
        Some(task) => task.description().label_columns,
        None if lists => &TAGS,
        None => &LABELS,
    }
}

/// The columns of a file, to choose from.
struct Table<'a> {
    path: &'a Path,
    columns: &'a [ColumnInfo],
}

impl<'a> Table<'a> {
    /// The column that the user named, by its name or its place, if he did.
    fn named(
        &self,
        what: &'static str,
        wish: Option<&Column>,
    ) -> Result<Option<&'a ColumnInfo>, ParquetError> {
        let found = match wish {
            None => return Ok(None),
            Some(Column::Index(index)) => self.columns.get(*index),
            Some(Column::Name(name)) => {
                let is_named = |column: &&ColumnInfo| column.name.eq_ignore_ascii_case(name);
                let exact = self.columns.iter().find(|column| column.name == *name);
                exact.or_else(|| self.columns.iter().find(is_named))
            }
        };
        match (found, wish) {
            (None, Some(wish)) => Err(self.error(what, format!("there is no column `{wish}`"))),
            (found, _) => Ok(found),
        }
    }

    fn fits(
        &self,
        what: &'static str,
        column: &'a ColumnInfo,
        kinds: &[Kind],
    ) -> Result<&'a ColumnInfo, ParquetError> {
        if kinds.contains(&column.kind) {
            return Ok(column);
        }
        let (name, kind) = (&column.name, column.kind.name());
        let problem = format!("the column `{name}` is {kind}, not {}", listed(kinds));
        Err(self.error(what, problem))
    }

    /// The column of fitting type that has the first of the usual names, or declared classes, or
    /// that is the only one.
    fn pick(
        &self,
        what: &'static str,
        kinds: &[Kind],
        usual: &[&str],
        taken: Option<&ColumnInfo>,
    ) -> Result<&'a ColumnInfo, ParquetError> {
        let is_free = |column: &&ColumnInfo| kinds.contains(&column.kind) && Some(*column) != taken;
        let fitting: Vec<&ColumnInfo> = self.columns.iter().filter(is_free).collect();
        let has_name = |name: &&str| {
            let mut fitting = fitting.iter();
            fitting
                .find(|column| column.name.eq_ignore_ascii_case(name))
                .copied()
        };
        if let Some(column) = usual.iter().find_map(has_name) {
            return Ok(column);
        }
        // Declared classes tell labels from ids and other numbers.
        let declared: Vec<&ColumnInfo> = fitting
            .iter()
            .copied()
            .filter(|column| column.classes)
            .collect();
        match (declared.as_slice(), fitting.as_slice()) {
            ([column], _) | ([], [column]) => Ok(column),
            (_, []) => Err(self.error(
                what,
                format!("no column of type {} for the {what}s", listed(kinds)),
            )),
            (_, several) => {
                let names: Vec<&str> = several.iter().map(|column| column.name.as_str()).collect();
                let names = names.join(", ");
                Err(self.error(
                    what,
                    format!("several columns could hold the {what}s: {names}"),
                ))
            }
        }
    }

    fn error(&self, what: &'static str, problem: String) -> ParquetError {
        let named = |column: &ColumnInfo| format!("{} ({})", column.name, column.kind.name());
        let columns: Vec<String> = self.columns.iter().map(named).collect();
        ParquetError::Column {
            path: self.path.to_owned(),
            what,
            problem,
            columns: columns.join(", "),
        }
    }
}

fn listed(kinds: &[Kind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    names.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ("pos_tags", Kind::Numbers, true),
        ("chunk_tags", Kind::Numbers, true),
        ("ner_tags", Kind::Numbers, true),
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
            ("idx", Kind::Number, false),
            ("sentence", Kind::Text, false),
            ("label", Kind::Number, true),
        ];
        assert_eq!(
            chosen(&sst2, None),
            Ok(("sentence".to_owned(), "label".to_owned()))
        );
        let trec = [
            ("text", Kind::Text, false),
            ("coarse_label", Kind::Number, true),
            ("fine_label", Kind::Number, true),
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
            ("label", Kind::Number, true),
        ];
        let error = chosen(&pair, None).unwrap_err();
        assert!(
            error.contains("premise, hypothesis") && error.contains("--token-column"),
            "{error}"
        );
        let error = chosen(&CONLL, Some(Task::Sequence)).unwrap_err();
        assert!(
            error.contains("no column of type integer or text"),
            "{error}"
        );
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
