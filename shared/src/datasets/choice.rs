//! Which of a table's named columns holds the words or the text, and which the labels: by name and
//! type, the same for CSV, JSONL and parquet. Nothing is taken because it is left over: ids, links
//! and dates are in every table. What cannot be told is asked for.

use super::{Column, names};
use crate::tasks::{Output, Task};

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Boolean,
    Float,
    Texts,
    Integers,
    /// Anything else, by its name.
    Other(&'static str),
}

impl Kind {
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::Texts | Self::Integers)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Boolean => "truth value",
            Self::Float => "floating point number",
            Self::Texts => "list of texts",
            Self::Integers => "list of integers",
            Self::Other(name) => name,
        }
    }
}

/// A column as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Has declared class names.
    pub(super) classes: bool,
}

/// What the user said about the columns.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wishes<'a> {
    pub(super) task: Option<Task>,
    pub(super) token: Option<&'a Column>,
    pub(super) label: Option<&'a Column>,
}

/// The columns chosen, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) token: usize,
    pub(super) label: usize,
    /// Whether each word has a label, in lists; else each text.
    pub(super) lists: bool,
    /// Whether a text has any number of labels.
    pub(super) sets: bool,
}

/// Why no column can be chosen.
#[derive(Debug)]
pub(super) struct Problem {
    /// `token` or `label`: the option that helps.
    pub(super) what: &'static str,
    pub(super) text: String,
    /// Whether no column has a fitting name.
    pub(super) is_nothing: bool,
}

impl Problem {
    pub(super) fn new(what: &'static str, text: String) -> Self {
        Self {
            what,
            text,
            is_nothing: false,
        }
    }
}

/// Columns with their types, to be shown.
pub(super) fn listed(fields: &[Field]) -> String {
    let named = |field: &Field| format!("{} ({})", field.name, field.kind.name());
    fields.iter().map(named).collect::<Vec<_>>().join(", ")
}

/// Says what was taken and what was left out, and how to choose otherwise.
pub(super) fn note(names: &[String], token: usize, label: usize, what: &str) -> String {
    let left: Vec<&str> = (0..names.len())
        .filter(|index| *index != token && *index != label)
        .map(|index| match names[index].as_str() {
            "" => "a column without a name",
            name => name,
        })
        .collect();
    let left = if left.is_empty() {
        String::new()
    } else {
        format!("left out: {}; ", left.join(", "))
    };
    format!(
        "{what} are in column `{}`, labels in `{}` ({left}--token-column and --label-column choose others)",
        names[token], names[label]
    )
}

/// The same where columns are labels themselves.
pub(super) fn note_of_flags(names: &[String], token: usize, flags: &[usize]) -> String {
    let flags = flags.iter().map(|place| names[*place].as_str());
    let flags = flags.collect::<Vec<_>>().join(", ");
    format!(
        "texts are in column `{}`, and have the labels with a 1 in columns {flags}",
        names[token]
    )
}

/// Chooses the column of words or texts and that of labels.
pub(super) fn choose(fields: &[Field], wishes: Wishes<'_>) -> Result<Choice, Problem> {
    let named_token = named(fields, "token", wishes.token)?;
    let named_label = named(fields, "label", wishes.label)?;
    let lists = has_lists(fields, wishes.task, named_token, named_label);
    let token = match named_token {
        Some(token) => fits(fields, "token", token, kinds("token", lists))?,
        None => token(fields, lists, named_label)?,
    };
    let is_set = wishes.task.map(Task::output) == Some(Output::Set);
    let mut fitting = if is_set { SETS } else { kinds("label", lists) };
    // Lists beside texts are any number of labels, if nothing else is said or found.
    let may_be_set = !lists && wishes.task.is_none();
    let found = match named_label {
        Some(label) => fits(fields, "label", label, fitting),
        None => label(fields, fitting, lists, token, wishes.task),
    };
    let label = match found {
        Err(problem) if may_be_set => {
            fitting = LISTS;
            let found = match named_label {
                Some(label) => fits(fields, "label", label, fitting),
                None => label(fields, fitting, lists, token, wishes.task),
            };
            // What is wrong with one label a text is the more likely problem.
            found.map_err(|_| problem)?
        }
        found => found?,
    };
    if token == label {
        let text = format!("`{}` cannot be both words and labels", fields[token].name);
        return Err(Problem::new("label", text));
    }
    Ok(Choice {
        token,
        label,
        lists,
        sets: is_set || (!lists && fields[label].kind.is_list()),
    })
}

/// The columns that the user named for the labels of a text, apart by commas, where each is the
/// label of the texts that have a 1 in it; none where one column is named.
///
/// # Errors
/// A name that is no column's.
pub(super) fn flags(fields: &[Field], wishes: Wishes<'_>) -> Result<Option<Vec<usize>>, Problem> {
    let (Some(Output::Set), Some(Column::Name(names))) =
        (wishes.task.map(Task::output), wishes.label)
    else {
        return Ok(None);
    };
    if !names.contains(',') || fields.iter().any(|field| field.name == *names) {
        return Ok(None);
    }
    let column = |name: &str| {
        // Parsing a column cannot fail.
        let Ok(column) = name.trim().parse::<Column>();
        named(fields, "label", Some(&column)).map(|found| found.unwrap_or_default())
    };
    names
        .split(',')
        .map(column)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// The column that the user named, by its name or its place.
fn named(
    fields: &[Field],
    what: &'static str,
    wish: Option<&Column>,
) -> Result<Option<usize>, Problem> {
    let Some(wish) = wish else { return Ok(None) };
    let same = |is_so: &dyn Fn(&str) -> bool| -> Vec<usize> {
        (0..fields.len())
            .filter(|index| is_so(&fields[*index].name))
            .collect()
    };
    let text = wish.to_string();
    let mut found = same(&|name| name == text);
    if found.is_empty() {
        found = same(&|name| name.eq_ignore_ascii_case(&text));
    }
    // A field may be called `0`.
    if let Column::Index(index) = wish
        && found.is_empty()
        && *index < fields.len()
    {
        found.push(*index);
    }
    match found.as_slice() {
        [one] => Ok(Some(*one)),
        [] => Err(Problem::new(what, format!("there is no column `{wish}`"))),
        _ => Err(Problem::new(what, twice(wish.to_string().as_str(), &found))),
    }
}

fn twice(name: &str, places: &[usize]) -> String {
    let places: Vec<String> = places.iter().map(ToString::to_string).collect();
    let places = places.join(", ");
    format!("several columns are called `{name}`, those of number {places} (counted from 0)")
}

/// Several columns where one is wanted: one name twice, or what `told` says of their names.
fn one_too_many(
    fields: &[Field],
    what: &'static str,
    places: &[usize],
    told: impl FnOnce(&str) -> String,
) -> Problem {
    let names: Vec<&str> = places
        .iter()
        .map(|place| fields[*place].name.as_str())
        .collect();
    let text = match names.as_slice() {
        [first, rest @ ..] if rest.iter().all(|name| name == first) => twice(first, places),
        names => told(&names.join(", ")),
    };
    Problem::new(what, text)
}

/// Whether words in lists have a label each.
fn has_lists(
    fields: &[Field],
    task: Option<Task>,
    named_token: Option<usize>,
    named_label: Option<usize>,
) -> bool {
    if let Some(task) = task {
        return task.labels_words();
    }
    // Beside a text alone a list is the labels of that.
    let words = || {
        fields
            .iter()
            .any(|field| field.kind == Kind::Texts && names::is_word(&field.name))
    };
    if let Some(named) = named_token
        .or(named_label
            .filter(|named| !fields[*named].kind.is_list() || words() || !has_text(fields)))
    {
        return fields[named].kind.is_list();
    }
    if named_label.is_some() {
        return false;
    }
    let lists = || fields.iter().filter(|field| field.kind.is_list());
    let of_words = lists().any(|field| field.kind == Kind::Texts && names::is_word(&field.name));
    let of_tags =
        lists().any(|field| field.classes || names::tag_rank(&field.name, None).is_some());
    let texts = has_text(fields);
    of_words && (of_tags || !texts) || (!texts && of_tags && lists().count() > 1)
}

/// Whether a column has type and name of a text.
fn has_text(fields: &[Field]) -> bool {
    let is_text =
        |field: &Field| field.kind == Kind::Text && names::text_rank(&field.name).is_some();
    fields.iter().any(is_text)
}

/// What may hold any number of labels: lists, and whatever is written into one cell.
const SETS: &[Kind] = &[
    Kind::Texts,
    Kind::Integers,
    Kind::Text,
    Kind::Integer,
    Kind::Boolean,
    Kind::Other(EMPTY_LIST),
];
/// Lists alone.
const LISTS: &[Kind] = &[Kind::Texts, Kind::Integers];
/// A list without an item, which does not tell its type.
pub(super) const EMPTY_LIST: &str = "empty array";

fn kinds(what: &str, lists: bool) -> &'static [Kind] {
    match (what, lists) {
        ("token", true) => &[Kind::Texts],
        ("token", false) => &[Kind::Text],
        (_, true) => &[Kind::Integers, Kind::Texts],
        (_, false) => &[Kind::Integer, Kind::Text, Kind::Boolean, Kind::Float],
    }
}

fn kinds_listed(kinds: &[Kind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    names.join(" or ")
}

/// The column, if it is of a type that can hold what it should.
fn fits(
    fields: &[Field],
    what: &'static str,
    column: usize,
    fitting: &[Kind],
) -> Result<usize, Problem> {
    let Field { name, kind, .. } = &fields[column];
    if fitting.contains(kind) {
        return Ok(column);
    }
    let more = match kind {
        _ if what == "token" => "",
        Kind::Texts | Kind::Integers => ": --task multilabel takes any number of labels a text",
        _ if fitting == kinds("label", true) => ": every word needs a label",
        _ => ": such a column is no label",
    };
    let (kind, fitting) = (kind.name(), kinds_listed(fitting));
    let text = format!("the column `{name}` is {kind}, not {fitting}{more}");
    Err(Problem::new(what, text))
}

/// The columns of the best rank.
fn best(fields: &[Field], rank: impl Fn(usize) -> Option<usize>) -> Vec<usize> {
    let ranks: Vec<Option<usize>> = (0..fields.len()).map(rank).collect();
    let Some(best) = ranks.iter().flatten().min() else {
        return Vec::new();
    };
    (0..fields.len())
        .filter(|index| ranks[*index] == Some(*best))
        .collect()
}

fn token(fields: &[Field], lists: bool, taken: Option<usize>) -> Result<usize, Problem> {
    let fitting = kinds("token", lists);
    let is_free = |index: usize| fitting.contains(&fields[index].kind) && Some(index) != taken;
    let found = if lists {
        best(fields, |index| {
            let field = &fields[index];
            let rank = if names::is_word(&field.name) {
                Some(0)
            } else if names::text_rank(&field.name).is_some() {
                Some(1)
            } else {
                // The only other list of texts; a list of labels has its name.
                (names::tag_rank(&field.name, None).is_none() && !field.classes).then_some(2)
            };
            rank.filter(|_| is_free(index))
        })
    } else {
        best(fields, |index| {
            names::text_rank(&fields[index].name).filter(|_| is_free(index))
        })
    };
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Problem {
            is_nothing: true,
            ..Problem::new(
                "token",
                format!(
                    "no column of type {} has the name of {}",
                    kinds_listed(fitting),
                    if lists {
                        "words (tokens, words)"
                    } else {
                        "a text (text, sentence)"
                    }
                ),
            )
        }),
        several => Err(one_too_many(fields, "token", several, |all| {
            if lists {
                format!("several columns could hold the words: {all}")
            } else {
                format!(
                    "several columns hold texts: {all}; pairs of texts are not supported yet, one text alone is read \
                     if it is named"
                )
            }
        })),
    }
}

fn label(
    fields: &[Field],
    fitting: &[Kind],
    lists: bool,
    token: usize,
    task: Option<Task>,
) -> Result<usize, Problem> {
    let usual = task.filter(|task| task.labels_words());
    let usual = usual.map(|task| task.description().label_columns);
    // Of what is no class the task says by which names it goes.
    let of_task = task.filter(|task| task.output() != Output::Class);
    let of_task = of_task.map(|task| task.description().label_columns);
    let rank = |index: usize| {
        let field = &fields[index];
        let by_name = if lists {
            names::tag_rank(&field.name, usual)
        } else if let Some(usual) = of_task {
            names::usual_rank(&field.name, usual)
        } else {
            names::label_rank(&field.name)
        };
        // Declared classes tell labels from ids and other numbers.
        by_name
            .or(field.classes.then_some(usize::MAX))
            .filter(|_| index != token)
    };
    let found = best(fields, |index| {
        rank(index).filter(|_| fitting.contains(&fields[index].kind))
    });
    match found.as_slice() {
        [one] => Ok(*one),
        [] => {
            // A label of another type is told, not passed over.
            let by_name = best(fields, |index| rank(index).filter(|rank| *rank == 0));
            if let Some(column) = by_name.first() {
                return fits(fields, "label", *column, fitting);
            }
            let kinds = kinds_listed(fitting);
            Err(Problem {
                is_nothing: true,
                ..Problem::new(
                    "label",
                    format!(
                        "no column of type {kinds} has the name of a label (label, category, tags)"
                    ),
                )
            })
        }
        several => Err(one_too_many(fields, "label", several, |all| {
            format!("several columns could hold the labels: {all}")
        })),
    }
}
