//! The file of a sweep, which lists runs. Every key is a long option of `trainer train` without its
//! dashes, and is read as that option is, so that there is one set of names, defaults and checks:
//!
//! ```toml
//! [defaults]                  # of every run
//! epochs = 20
//!
//! [grid]                      # every combination of these is a run
//! seed = [0, 1, 2]
//! lr = [1e-3, 3e-3]
//!
//! [[run]]                     # each of these, times the grid; its keys go before those of grid and defaults
//! head = "adapter"
//!
//! [[run]]
//! head = "adapter"
//! no-tailor = true
//! name = "plain"              # a name in place of the head's
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use shared::exit::{ExitStatus, HasExitStatus};
use toml_edit::{Document, Item, TableLike, Value};

use crate::{HeadArgs, Job, TrainArgs, TrainingArgs};

/// Why a sweep's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepFileError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A key or value is wrong.
    #[error("{} line {line}: {why}", .path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what to do.
        why: String,
    },
}

impl HasExitStatus for SweepFileError {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Io(error) => error.exit_status(),
            Self::Wrong { .. } => ExitStatus::User,
        }
    }
}

/// One run of a sweep.
#[derive(Clone, Debug)]
pub struct PlannedRun {
    /// Name of its folder: its head and every key in which the runs differ.
    pub name: String,
    /// Its options; store, machine and output are those of the sweep.
    pub options: TrainArgs,
}

/// The runs of the sweep in the file `path`.
///
/// # Errors
/// When the file cannot be read or understood, or a key or value is none of `trainer train`; names the line.
pub fn read(path: &Path) -> Result<Vec<PlannedRun>, SweepFileError> {
    let text = fs_err::read_to_string(path)?;
    parse(&text).map_err(|Wrong { offset, why }| {
        let before = text.get(..offset.min(text.len())).unwrap_or_default();
        SweepFileError::Wrong {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            why,
        }
    })
}

/// What is wrong, and at which byte.
struct Wrong {
    offset: usize,
    why: String,
}

/// A value, as an option on the command line, and where it stands.
#[derive(Clone, Debug)]
struct Setting {
    value: String,
    /// Whether a flag is set; none for other options.
    flag: Option<bool>,
    offset: usize,
}

type Settings = BTreeMap<String, Setting>;

fn parse(text: &str) -> Result<Vec<PlannedRun>, Wrong> {
    let document = Document::parse(text).map_err(|error| Wrong {
        offset: error.span().map_or(0, |span| span.start),
        why: error.message().to_owned(),
    })?;
    let known = known();
    let mut defaults = Settings::new();
    let mut grid: Vec<(String, Vec<Setting>)> = Vec::new();
    let mut runs: Vec<(Settings, usize)> = Vec::new();
    for (key, item) in document.iter() {
        let offset = start(item);
        match (key, item) {
            ("defaults", Item::Table(table)) => defaults = single(table, &known)?,
            ("grid", Item::Table(table)) => grid = lists(table, &known)?,
            ("run", Item::ArrayOfTables(tables)) => {
                for table in tables {
                    let offset = table.span().map_or(0, |span| span.start);
                    runs.push((single(table, &known)?, offset));
                }
            }
            _ => {
                let why = format!(
                    "{key}: expected [defaults], [grid] and [[run]], and nothing outside them"
                );
                return Err(Wrong { offset, why });
            }
        }
    }
    if runs.is_empty() {
        runs.push((Settings::new(), 0));
    }
    let mut varying: BTreeSet<&str> = grid.iter().map(|(key, _)| key.as_str()).collect();
    varying.extend(
        runs.iter()
            .flat_map(|(run, _)| run.keys().map(String::as_str)),
    );

    let mut planned: Vec<PlannedRun> = Vec::new();
    for (run, offset) in &runs {
        for point in points(&grid, run) {
            let mut settings = defaults.clone();
            settings.extend(point);
            settings.extend(run.clone());
            let name = name(&settings, &varying);
            if planned.iter().any(|other| other.name == name) {
                let why = format!(
                    "two runs are {name}: they do not differ, or only in their name's punctuation; a `name` tells them apart"
                );
                return Err(Wrong {
                    offset: *offset,
                    why,
                });
            }
            let options = options(&settings, *offset)?;
            planned.push(PlannedRun { name, options });
        }
    }
    Ok(planned)
}

/// The keys that a table may have.
fn known() -> BTreeSet<String> {
    let command = HeadArgs::augment_args(TrainingArgs::augment_args(Command::new("run")));
    let long = command.get_arguments().filter_map(clap::Arg::get_long);
    long.map(str::to_owned).chain(["name".to_owned()]).collect()
}

fn start(item: &Item) -> usize {
    item.span().map_or(0, |span| span.start)
}

fn single(table: &dyn TableLike, known: &BTreeSet<String>) -> Result<Settings, Wrong> {
    let mut settings = Settings::new();
    for (key, item) in table.iter() {
        check(key, item, known)?;
        settings.insert(key.to_owned(), setting(key, item.as_value(), start(item))?);
    }
    Ok(settings)
}

fn lists(
    table: &dyn TableLike,
    known: &BTreeSet<String>,
) -> Result<Vec<(String, Vec<Setting>)>, Wrong> {
    let mut lists = Vec::new();
    for (key, item) in table.iter() {
        check(key, item, known)?;
        let offset = start(item);
        let Some(values) = item.as_array().filter(|values| !values.is_empty()) else {
            let why = format!(
                "{key}: expected a list such as [0, 1, 2]; single values go into [defaults]"
            );
            return Err(Wrong { offset, why });
        };
        let values = values.iter().map(|value| setting(key, Some(value), offset));
        lists.push((key.to_owned(), values.collect::<Result<_, _>>()?));
    }
    Ok(lists)
}

fn check(key: &str, item: &Item, known: &BTreeSet<String>) -> Result<(), Wrong> {
    if known.contains(key) {
        return Ok(());
    }
    let all: Vec<&str> = known.iter().map(String::as_str).collect();
    Err(Wrong {
        offset: start(item),
        why: format!("{key}: no option of a run; there are {}", all.join(", ")),
    })
}

fn setting(key: &str, value: Option<&Value>, offset: usize) -> Result<Setting, Wrong> {
    let (value, flag) = match value {
        Some(Value::String(text)) => (text.value().clone(), None),
        Some(Value::Integer(number)) => (number.value().to_string(), None),
        Some(Value::Float(number)) => (number.value().to_string(), None),
        Some(Value::Boolean(flag)) => (flag.value().to_string(), Some(*flag.value())),
        _ => {
            let why =
                format!("{key}: expected one text, number, true or false; lists go into [grid]");
            return Err(Wrong { offset, why });
        }
    };
    Ok(Setting {
        value,
        flag,
        offset,
    })
}

/// Every combination of the lists, the last one changing fastest; without the keys that a run settles itself.
fn points(grid: &[(String, Vec<Setting>)], run: &Settings) -> Vec<Settings> {
    let mut points = vec![Settings::new()];
    for (key, values) in grid.iter().filter(|(key, _)| !run.contains_key(key)) {
        let with = |point: &Settings, value: &Setting| {
            let mut point = point.clone();
            point.insert(key.clone(), value.clone());
            point
        };
        points = points
            .iter()
            .flat_map(|point| values.iter().map(move |value| with(point, value)))
            .collect();
    }
    points
}

/// The head (or the run's own name), then every key that varies, then the seed.
fn name(settings: &Settings, varying: &BTreeSet<&str>) -> String {
    let text = |key: &str| settings.get(key).map(|setting| setting.value.as_str());
    let mut parts = vec![
        text("name")
            .or(text("head"))
            .unwrap_or("adapter")
            .to_owned(),
    ];
    let others = varying.iter().filter(|&&key| {
        !["name", "seed"].contains(&key) && (key != "head" || text("name").is_some())
    });
    for &key in others.chain(varying.get("seed")) {
        match settings.get(key) {
            Some(Setting {
                flag: None, value, ..
            }) => parts.push(format!("{key}-{value}")),
            Some(Setting {
                flag: Some(true), ..
            }) => parts.push(key.to_owned()),
            _ => {}
        }
    }
    parts.join("--").replace(['/', '\\', ':', ',', ' '], "-")
}

/// Reads settings as the command line of `train` does.
fn options(settings: &Settings, offset: usize) -> Result<TrainArgs, Wrong> {
    let mut line: Vec<OsString> = ["trainer", "train", "--cache=."].map(OsString::from).into();
    for (key, Setting { value, flag, .. }) in settings.iter().filter(|(key, _)| *key != "name") {
        match flag {
            None => line.push(format!("--{key}={value}").into()),
            Some(true) => line.push(format!("--{key}").into()),
            Some(false) => {}
        }
    }
    let parsed = crate::parse(line).map_err(|error| {
        let message = error.to_string();
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        // What follows the first paragraph is about the command line.
        let why = message.split("\n\n").next().unwrap_or(message);
        let named = settings
            .iter()
            .filter(|(key, _)| why.contains(&format!("--{key}")));
        let places = named.map(|(_, setting)| setting.offset);
        Wrong {
            offset: places.max().unwrap_or(offset),
            why: why.replace('\n', " "),
        }
    })?;
    match parsed.command {
        Some(Job::Train(options)) => Ok(*options),
        _ => Ok(parsed.train),
    }
}

#[cfg(test)]
mod tests {
    use shared::heads::HeadKind;

    use super::*;

    fn names(text: &str) -> Vec<String> {
        let planned = parse(text).unwrap_or_else(|wrong| panic!("{}", wrong.why));
        planned.into_iter().map(|run| run.name).collect()
    }

    fn wrong(text: &str) -> (usize, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sweep.toml");
        fs_err::write(&path, text).unwrap();
        match read(&path) {
            Err(SweepFileError::Wrong { line, why, .. }) => (line, why),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn runs_times_grid() {
        let text = "[defaults]\nepochs = 3\n[grid]\nlr = [1e-3, 0.01]\nseed = [0, 1]\n\
                    [[run]]\nhead = \"layer:2\"\n[[run]]\nno-tailor = true\nlr = 0.5\nname = \"plain\"\n";
        let expected = [
            "layer-2--lr-0.001--seed-0",
            "layer-2--lr-0.001--seed-1",
            "layer-2--lr-0.01--seed-0",
            "layer-2--lr-0.01--seed-1",
            "plain--lr-0.5--no-tailor--seed-0",
            "plain--lr-0.5--no-tailor--seed-1",
        ];
        assert_eq!(names(text), expected);
        let planned = parse(text).unwrap_or_else(|wrong| panic!("{}", wrong.why));
        let last = &planned[5].options;
        assert_eq!((last.training.epochs, last.training.seed), (Some(3), 1));
        assert!((last.training.lr - 0.5).abs() < 1e-12 && last.head.no_tailor);
        assert_eq!(last.head.head, HeadKind::Adapter);
        assert_eq!(last.training.batch_size, 32);
        assert_eq!(planned[0].options.head.head, HeadKind::Layer(2));
    }

    #[test]
    fn a_file_without_runs_is_its_grid() {
        let text = "[defaults]\nepochs = 1\n[grid]\nhead = [\"adapter\", \"last\"]\n";
        assert_eq!(names(text), ["adapter", "last"]);
        assert_eq!(
            names("[defaults]\nepochs = 1\nno-tailor = false\n"),
            ["adapter"]
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let base = "[defaults]\nepochs = 1\n";
        for (rest, line, word) in [
            ("[grid]\nlearning-rate = [1]\n", 4, "lr, name, no-shuffle"),
            ("[grid]\nseed = 3\n", 4, "expected a list"),
            (
                "[[run]]\nhead = \"last\"\n\n[[run]]\nlr = \"x\"\n",
                7,
                "invalid value 'x'",
            ),
            ("batch-size = 0\n", 3, "above 0"),
            ("head = \"adaptor\"\n", 3, "adapter, "),
            ("batch-size = [1]\n", 3, "lists go into [grid]"),
            ("[gird]\n", 3, "expected [defaults]"),
            ("cache = \"x\"\n", 3, "no option of a run"),
            ("[[run]]\n\n[[run]]\n", 5, "two runs are adapter"),
            ("lr = \n", 3, ""),
        ] {
            let (found, why) = wrong(&format!("{base}{rest}"));
            assert!(
                found == line && why.contains(word),
                "{rest}: line {found}: {why}"
            );
        }
        assert!(wrong("[grid]\nseed = [1]\n").1.contains("--epochs"));
    }
}
