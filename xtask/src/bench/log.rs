//! The measurements, one JSON object a line, saved as they are made.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fs_err as fs;
use serde::{Deserialize, Serialize};

/// What was measured in one run of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Measurement {
    /// Real tokens, padding not counted.
    pub(super) tokens: f64,
    /// Seconds they took by the program's own clock: loading and starting up not counted.
    pub(super) seconds: f64,
    /// Seconds of the whole process.
    pub(super) wall: f64,
    /// Most anonymous memory, in bytes.
    pub(super) peak_anonymous: u64,
    /// Share of computed positions that was padding, where it is known.
    pub(super) padding: Option<f64>,
    /// Share of the time outside the encoder, where it is known.
    pub(super) outside_encoder: Option<f64>,
}

impl Measurement {
    pub(super) fn rate(&self) -> f64 {
        self.tokens / self.seconds.max(1e-9)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    case: String,
    round: u32,
    #[serde(flatten)]
    measurement: Measurement,
}

/// All measurements of one machine and one data set.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    cases: BTreeMap<String, BTreeMap<u32, Measurement>>,
}

impl Log {
    /// Opens the file, whose first line describes the machine; measurements of another machine are not mixed in.
    pub(super) fn open(path: &Path, machine: &serde_json::Value) -> Result<Self> {
        let mut log = Self {
            path: path.to_owned(),
            cases: BTreeMap::new(),
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::write(path, format!("{machine}\n"))?;
                return Ok(log);
            }
            Err(error) => return Err(error.into()),
        };
        let mut lines = text.lines();
        let there: serde_json::Value = serde_json::from_str(lines.next().unwrap_or("null"))?;
        if there != *machine {
            bail!(
                "{} was measured elsewhere or on other data:\n  there {there}\n  here  {machine}\n\
                 move it away, or give another --out",
                path.display()
            );
        }
        for (number, line) in lines.enumerate() {
            let line: Line = serde_json::from_str(line)
                .with_context(|| format!("{}, line {}", path.display(), number + 2))?;
            log.insert(line);
        }
        Ok(log)
    }

    fn insert(&mut self, line: Line) {
        let rounds = self.cases.entry(line.case).or_default();
        rounds.insert(line.round, line.measurement);
    }

    pub(super) fn has(&self, case: &str, round: u32) -> bool {
        self.cases
            .get(case)
            .is_some_and(|rounds| rounds.contains_key(&round))
    }

    /// Saves a measurement before the next one is begun.
    pub(super) fn add(&mut self, case: &str, round: u32, measurement: Measurement) -> Result<()> {
        let line = Line {
            case: case.to_owned(),
            round,
            measurement,
        };
        let mut file = fs::OpenOptions::new().append(true).open(&self.path)?;
        writeln!(file, "{}", serde_json::to_string(&line)?)?;
        self.insert(line);
        Ok(())
    }

    /// Names of all cases that were measured.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.cases.keys().map(String::as_str)
    }

    /// The median over the rounds of one number of a case.
    pub(super) fn median(
        &self,
        case: &str,
        number: impl Fn(&Measurement) -> Option<f64>,
    ) -> Option<f64> {
        let rounds = self.cases.get(case)?;
        median(rounds.values().filter_map(number).collect())
    }

    /// The median over the rounds of the ratio of two cases in one round, with its smallest and largest value.
    pub(super) fn ratio(
        &self,
        case: &str,
        other: &str,
        of: impl Fn(&Measurement, &Measurement) -> f64,
    ) -> Option<(f64, f64, f64)> {
        let (case, other) = (self.cases.get(case)?, self.cases.get(other)?);
        let ratios: Vec<f64> = case
            .iter()
            .filter_map(|(round, one)| Some(of(one, other.get(round)?)))
            .collect();
        let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some((median(ratios)?, low, high))
    }
}

/// The middle one, or the mean of the two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle)?;
    Some(if values.len() % 2 == 1 {
        *upper
    } else {
        f64::midpoint(values[middle - 1], *upper)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(seconds: f64) -> Measurement {
        Measurement {
            tokens: 100.0,
            seconds,
            wall: seconds + 1.0,
            peak_anonymous: 5,
            padding: None,
            outside_encoder: None,
        }
    }

    #[test]
    fn what_was_measured_is_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("measurements.jsonl");
        let machine = serde_json::json!({"cpu": "a"});
        let mut log = Log::open(&path, &machine).unwrap();
        for (round, seconds) in [(1, 1.0), (2, 4.0), (3, 2.0)] {
            log.add("ours", round, measured(seconds)).unwrap();
            log.add("theirs", round, measured(2.0 * seconds)).unwrap();
        }
        let log = Log::open(&path, &machine).unwrap();
        assert!(log.has("ours", 3) && !log.has("ours", 4));
        assert_eq!(log.median("ours", |one| Some(one.seconds)), Some(2.0));
        let ratio = log.ratio("ours", "theirs", |one, other| one.rate() / other.rate());
        assert_eq!(ratio, Some((2.0, 2.0, 2.0)));
        assert_eq!(log.ratio("ours", "nobody", |_, _| 1.0), None);
        let error = Log::open(&path, &serde_json::json!({"cpu": "b"})).unwrap_err();
        assert!(error.to_string().contains("elsewhere"), "{error}");
    }

    #[test]
    fn medians_are_those_of_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0]), Some(2.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
    }
}
