//! Finished runs side by side: what they scored, and mean and standard deviation of those that
//! differ in their seeds alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::metrics::{self, Event};
use crate::run::{Config, RunError};

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its folder.
    pub folder: PathBuf,
    /// Its settings.
    pub config: Config,
    /// Epoch of its best weights, counted from 1.
    pub best_epoch: usize,
    /// `F1`, `accuracy` or `Pearson`.
    pub metric: String,
    /// The score on each split, at most 1.
    pub scores: BTreeMap<String, f64>,
}

impl Summary {
    /// Reads the run in `folder`.
    ///
    /// # Errors
    /// When it is no run, or not a finished one.
    pub fn read(folder: &Path) -> Result<Self, RunError> {
        let config = Config::load(folder)?;
        let unfinished = || RunError::Unfinished {
            folder: folder.to_owned(),
        };
        if !folder.join(metrics::FILE).is_file() {
            return Err(unfinished());
        }
        let finals = metrics::read(folder)?.into_iter().filter_map(|event| {
            if let Event::Final(last) = event {
                Some(*last)
            } else {
                None
            }
        });
        let finals: Vec<_> = finals.collect();
        let first = finals.first().ok_or_else(unfinished)?;
        Ok(Self {
            folder: folder.to_owned(),
            config,
            best_epoch: first.epoch,
            metric: first.scores.metric.clone(),
            scores: finals
                .iter()
                .map(|last| (last.split.clone(), last.scores.value))
                .collect(),
        })
    }

    /// The name of its folder.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.folder.file_name().unwrap_or(self.folder.as_os_str());
        name.to_string_lossy().into_owned()
    }
}

/// Mean and spread of some numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation of the sample (divided by n - 1); none of a single number.
    pub deviation: Option<f64>,
    /// How many numbers.
    pub count: usize,
}

impl Spread {
    /// Of these numbers; nothing of none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a few runs")]
    pub fn from_values(values: &[f64]) -> Option<Self> {
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (count > 0).then(|| Self {
            mean,
            deviation: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()),
            count,
        })
    }

    /// In per cent: `81.23 ± 0.42`.
    #[must_use]
    pub fn per_cent(&self) -> String {
        let mean = 100.0 * self.mean;
        self.deviation.map_or_else(
            || format!("{mean:.2}"),
            |deviation| format!("{mean:.2} ± {:.2}", 100.0 * deviation),
        )
    }
}

/// Runs that differ in their seeds alone.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// The head, and every setting in which the groups differ.
    pub label: String,
    /// Places of the runs among those given.
    #[serde(skip)]
    pub members: Vec<usize>,
    /// Their seeds.
    pub seeds: Vec<u64>,
    /// `F1`, `accuracy` or `Pearson`.
    pub metric: String,
    /// The scores on each split.
    pub scores: BTreeMap<String, Spread>,
}

/// Groups runs that differ in their seeds alone, in the order of their first members.
#[must_use]
pub fn groups(summaries: &[Summary]) -> Vec<Group> {
    let labels = labels(summaries);
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    for (place, label) in labels.iter().enumerate() {
        match groups.iter_mut().find(|(known, _)| known == label) {
            Some((_, members)) => members.push(place),
            None => groups.push((label, vec![place])),
        }
    }
    let group = |(label, members): (&str, Vec<usize>)| {
        let splits: BTreeSet<&String> = members
            .iter()
            .flat_map(|&place| summaries[place].scores.keys())
            .collect();
        let scores = splits.into_iter().filter_map(|split| {
            let values = members
                .iter()
                .filter_map(|&place| summaries[place].scores.get(split).copied());
            Some((
                split.clone(),
                Spread::from_values(&values.collect::<Vec<_>>())?,
            ))
        });
        Group {
            label: label.to_owned(),
            seeds: members
                .iter()
                .map(|&place| summaries[place].config.training.seed)
                .collect(),
            metric: summaries[members[0]].metric.clone(),
            scores: scores.collect(),
            members,
        }
    };
    groups.into_iter().map(group).collect()
}

/// What a run is called beside others: its head, and the settings in which not all are alike.
fn labels(summaries: &[Summary]) -> Vec<String> {
    let all: Vec<BTreeMap<String, String>> = summaries
        .iter()
        .map(|summary| distinguishing(&summary.config))
        .collect();
    let keys: BTreeSet<&String> = all.iter().flat_map(BTreeMap::keys).collect();
    let differs = |key: &&&String| all.iter().any(|one| one.get(**key) != all[0].get(**key));
    let keys: Vec<&String> = keys.iter().filter(differs).copied().collect();
    let label = |(summary, own): (&Summary, &BTreeMap<String, String>)| {
        let parts = keys
            .iter()
            .filter_map(|&key| Some(format!("{key} {}", own.get(key)?)));
        let mut label = vec![summary.config.head_name()];
        label.extend(parts);
        label.join(", ")
    };
    summaries.iter().zip(&all).map(label).collect()
}

/// The settings that tell runs apart, without seeds and what the head's name says.
fn distinguishing(config: &Config) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([
        ("task".to_owned(), config.task.to_string()),
        ("model".to_owned(), config.store.model.name()),
        ("data".to_owned(), config.store.dataset.id.clone()),
    ]);
    let head = &config.head;
    if (head.dropout - head.kind.form().dropout).abs() > 1e-12 {
        all.insert("dropout".to_owned(), head.dropout.to_string());
    }
    if !head.threshold.is_usual() {
        all.insert("threshold".to_owned(), head.threshold.to_string());
    }
    for (name, value) in head.adapter.unusual() {
        all.insert(name.to_owned(), value.to_string());
    }
    match &head.parser {
        None => {
            let size = head.classifier_size.to_string();
            all.insert("classifier-size".to_owned(), size);
        }
        Some(parser) => all.extend([
            ("arc-size".to_owned(), parser.arc_size.to_string()),
            ("relation-size".to_owned(), parser.relation_size.to_string()),
            ("parser-dropout".to_owned(), parser.dropout.to_string()),
        ]),
    }
    if let Ok(Value::Object(settings)) = serde_json::to_value(&config.training) {
        for (key, value) in settings {
            if key != "seed" && !value.is_null() {
                let value = value.to_string().replace(['"', '{', '}'], "");
                all.insert(key.replace('_', "-"), value.replace(':', " "));
            }
        }
    }
    all
}

/// The groups as lines of a table, for the terminal.
#[must_use]
pub fn table(groups: &[Group]) -> Vec<String> {
    let splits = ["validation", "test"];
    let width = groups.iter().map(|group| group.label.chars().count());
    let width = width.max().unwrap_or(0).max(4);
    let mut lines = vec![format!(
        "{:width$}  {:>5}  {:>8}  {:>15}  {:>15}",
        "head", "seeds", "metric", splits[0], splits[1]
    )];
    lines.extend(groups.iter().map(|group| {
        let score = |split: &str| {
            let spread = group.scores.get(split);
            spread.map_or_else(|| "-".to_owned(), Spread::per_cent)
        };
        let (validation, test) = (score(splits[0]), score(splits[1]));
        let (label, seeds, metric) = (&group.label, group.seeds.len(), &group.metric);
        format!("{label:width$}  {seeds:>5}  {metric:>8}  {validation:>15}  {test:>15}")
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_those_of_a_sample() {
        // numpy: mean 0.5, std(ddof=1) 0.1
        let spread = Spread::from_values(&[0.4, 0.5, 0.6]).unwrap();
        assert!((spread.mean - 0.5).abs() < 1e-12);
        assert!((spread.deviation.unwrap() - 0.1).abs() < 1e-12);
        assert_eq!(spread.per_cent(), "50.00 ± 10.00");
        assert_eq!(Spread::from_values(&[0.25]).unwrap().per_cent(), "25.00");
        assert_eq!(Spread::from_values(&[]), None);
    }
}
