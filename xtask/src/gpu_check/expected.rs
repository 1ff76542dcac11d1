//! What a case must come to, and what is wrong with what it came to.

use serde::Deserialize;

use super::outcome::Outcome;

/// What a case must come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// Done on the GPU, with nothing that a GPU would refuse or do wrong.
    Done,
    /// The same on these GPUs, by number, and on no other.
    DoneOn(&'static [usize]),
    /// Done on the CPU, with a note in which these words are, in capitals or not.
    OnCpu(&'static [&'static str]),
    /// An error with this exit code, in which these words are, in capitals or not.
    Refused(i32, &'static [&'static str]),
    /// The same before anything is computed.
    RefusedAtStart(i32, &'static [&'static str]),
    /// Either is right, as nobody knows how much memory the libraries take.
    DoneOrRefused(i32, &'static [&'static str]),
}

/// What the extractor says for programs.
#[derive(Debug, Deserialize)]
struct Report {
    provider: String,
    setup: Setup,
}

#[derive(Debug, Deserialize)]
struct Setup {
    nodes_on_cpu: Option<Vec<String>>,
}

impl Expected {
    /// What is wrong, a sentence each; none if all is as it must be.
    pub(super) fn failures(&self, outcome: &Outcome) -> Vec<String> {
        let mut failures = Vec::new();
        match self {
            Self::Done => on_gpu(outcome, &mut failures),
            Self::DoneOn(gpus) => {
                on_gpu(outcome, &mut failures);
                if !outcome.counts.devices.iter().eq(*gpus) {
                    failures.push(format!(
                        "expected the GPUs {gpus:?} to be used, got {:?}",
                        outcome.counts.devices
                    ));
                }
            }
            Self::OnCpu(words) => {
                refused(outcome, 0, words, &mut failures);
                nothing_launched(outcome, &mut failures);
            }
            Self::DoneOrRefused(..) if outcome.code == Some(0) => on_gpu(outcome, &mut failures),
            Self::Refused(expected, words) | Self::DoneOrRefused(expected, words) => {
                refused(outcome, *expected, words, &mut failures);
            }
            Self::RefusedAtStart(expected, words) => {
                refused(outcome, *expected, words, &mut failures);
                nothing_launched(outcome, &mut failures);
            }
        }
        // Whatever is expected, nobody writes to memory that is in use, and nobody panics.
        if outcome.counts.races > 0 {
            failures.push(format!("races: {}", outcome.counts.races()));
        }
        if outcome.stderr.contains("panicked at") {
            failures.push(format!("a panic: {}", last_error(&outcome.stderr)));
        }
        failures
    }
}

fn on_gpu(outcome: &Outcome, failures: &mut Vec<String>) {
    code(outcome, 0, failures);
    let counts = &outcome.counts;
    if outcome.code == Some(0) && counts.launches == 0 {
        failures.push("nothing was launched on the GPU".to_owned());
    }
    if !counts.refused.is_empty() {
        failures.push(format!("a GPU would refuse: {}", counts.refused()));
    }
    if counts.cudnn_plans + counts.cudnn_runs > 0 {
        failures.push(format!(
            "cuDNN built {} plans and ran {} times, expected none",
            counts.cudnn_plans, counts.cudnn_runs
        ));
    }
    if outcome.code == Some(0)
        && let Ok(report) = serde_json::from_str::<Report>(outcome.stdout.trim())
    {
        extraction(&report, failures);
    }
}

/// What must be true of an extraction that tells its summary.
fn extraction(report: &Report, failures: &mut Vec<String>) {
    if report.provider != "cuda" {
        failures.push(format!("the encoder was on {}", report.provider));
    }
    match report.setup.nodes_on_cpu.as_deref() {
        Some([]) => {}
        Some(nodes) => failures.push(format!("nodes on the CPU: {}", nodes.join(", "))),
        None => failures.push("which nodes ran on the CPU is not known".to_owned()),
    }
}

fn code(outcome: &Outcome, expected: i32, failures: &mut Vec<String>) {
    if outcome.code != Some(expected) {
        let got = outcome
            .code
            .map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        failures.push(format!(
            "expected exit code {expected}, got {got}: {}",
            last_error(&outcome.stderr)
        ));
    }
}

fn nothing_launched(outcome: &Outcome, failures: &mut Vec<String>) {
    if outcome.counts.launches > 0 {
        failures.push(format!(
            "{} launches on the GPU, expected none",
            outcome.counts.launches
        ));
    }
}

/// An exit code, and words in what a program says.
fn refused(outcome: &Outcome, expected: i32, words: &[&str], failures: &mut Vec<String>) {
    code(outcome, expected, failures);
    // What the libraries print by themselves is no message of ours.
    let ours = outcome.stderr.lines().filter(|line| {
        let line = line.to_lowercase();
        !line.contains("[e:onnxruntime") && !line.contains("[w:onnxruntime")
    });
    let ours = ours.collect::<Vec<_>>().join("\n").to_lowercase();
    for word in words {
        if !ours.contains(&word.to_lowercase()) {
            failures.push(format!(
                "expected {word:?} in what it says, got: {}",
                last_error(&outcome.stderr)
            ));
        }
    }
}

/// The line that tells most of what went wrong.
fn last_error(stderr: &str) -> String {
    let mut lines = stderr.lines().rev();
    let line = lines
        .clone()
        .find(|line| line.starts_with("error:") || line.contains("panicked at"))
        .or_else(|| lines.find(|line| !line.trim().is_empty()))
        .unwrap_or("it said nothing");
    line.chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::super::counts::Counts;
    use super::*;

    fn good() -> Outcome {
        let mut counts = Counts::default();
        counts.launches = 5;
        counts.devices.insert(0);
        Outcome {
            code: Some(0),
            stdout: r#"{"provider": "cuda", "setup": {"nodes_on_cpu": []}}"#.to_owned(),
            stderr: String::new(),
            counts,
        }
    }

    /// The failures of [`good`] after a change.
    fn failures(expected: &Expected, change: impl FnOnce(&mut Outcome)) -> String {
        let mut outcome = good();
        change(&mut outcome);
        expected.failures(&outcome).join("; ")
    }

    type Change = fn(&mut Outcome);

    #[test]
    fn each_requirement_is_one_that_can_fail() {
        let done = |change: Change| failures(&Expected::Done, change);
        assert_eq!(done(|_| ()), "");
        let broken: [(Change, &str); 9] = [
            (|o| o.code = Some(2), "exit code 0, got 2"),
            (|o| o.code = None, "got a signal"),
            (|o| o.counts.launches = 0, "nothing was launched"),
            (|o| o.counts.races = 1, "races"),
            (|o| o.counts.cudnn_runs = 1, "cuDNN"),
            (|o| o.counts.cudnn_plans = 1, "cuDNN"),
            (
                |o| o.counts.refused.extend([("a grid".to_owned(), 1)]),
                "a grid (1)",
            ),
            (|o| o.stdout = o.stdout.replace("[]", r#"["cast"]"#), "cast"),
            (|o| o.stdout = o.stdout.replace("cuda", "cpu"), "was on cpu"),
        ];
        for (change, words) in broken {
            let failures = done(change);
            assert!(failures.contains(words), "{words}: {failures}");
        }
        let unknown = done(|o| o.stdout = o.stdout.replace("[]", "null"));
        assert!(unknown.contains("not known"), "{unknown}");
        let panic = done(|o| o.stderr = "thread 'writer' panicked at x.rs:3\n".to_owned());
        assert!(panic.contains("x.rs"), "{panic}");
    }

    #[test]
    fn the_gpus_that_were_used_are_compared() {
        assert_eq!(failures(&Expected::DoneOn(&[0]), |_| ()), "");
        let missing = failures(&Expected::DoneOn(&[0, 1]), |_| ());
        assert!(missing.contains("[0, 1]"), "{missing}");
        let more = failures(&Expected::DoneOn(&[0]), |o| {
            o.counts.devices.insert(1);
        });
        assert!(more.contains("{0, 1}"), "{more}");
    }

    #[test]
    fn an_error_must_have_its_code_and_name_its_cause_in_our_words() {
        let refused = Expected::Refused(2, &["cudnn"]);
        let end = |o: &mut Outcome, words: &str| {
            o.code = Some(2);
            o.stderr = words.to_owned();
        };
        assert_eq!(failures(&refused, |o| end(o, "error: no cuDNN here")), "");
        let by_library = failures(&refused, |o| {
            end(o, "[E:onnxruntime:, x.cc] cuDNN is not there\nerror: no");
        });
        assert!(by_library.contains("cudnn"), "{by_library}");
        assert!(failures(&refused, |o| o.stderr = "cuDNN".to_owned()).contains("exit code 2"));
        let at_start = Expected::RefusedAtStart(2, &["cudnn"]);
        assert!(failures(&at_start, |o| end(o, "error: no cuDNN")).contains("5 launches"));
        let on_cpu = Expected::OnCpu(&["on the CPU"]);
        let note = "warning: computes on the CPU";
        assert!(failures(&on_cpu, |o| o.stderr = note.to_owned()).contains("5 launches"));
        let quiet = failures(&on_cpu, |o| o.counts.launches = 0);
        assert!(quiet.contains("on the CPU"), "{quiet}");
    }

    #[test]
    fn little_memory_may_do_or_not_but_must_not_end_in_another_way() {
        let little = Expected::DoneOrRefused(2, &["memory"]);
        let end = |code, words: &str| {
            failures(&little, |o| {
                o.code = code;
                o.stderr = words.to_owned();
            })
        };
        assert_eq!(end(Some(0), ""), "");
        assert_eq!(end(Some(2), "error: out of memory"), "");
        assert!(end(Some(2), "error: unknown").contains("memory"));
        assert!(end(Some(101), "panicked at memory").contains("a panic"));
        assert!(failures(&little, |o| o.counts.cudnn_runs = 1).contains("cuDNN"));
    }
}
