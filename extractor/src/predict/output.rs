//! Labelled sentences as text: columns for `conlleval` and people's scripts, JSON for programs, or
//! marked in the sentence for the eye.

use std::fmt::Write;

use clap::ValueEnum;
use serde_json::{Value, json};
use shared::heads::Attached;
use shared::tasks::dependencies::{Arc, write_conllu};
use shared::tasks::{OUTSIDE, Target, Task};

use super::{Labels, Sentence};

/// How labelled sentences are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// A word and its label a line, an empty line after each sentence; CoNLL-U for dependencies.
    Conll,
    /// A JSON object a sentence.
    Jsonl,
    /// The sentence on a line, spans in brackets.
    Inline,
}

/// Writes labels by their names.
#[derive(Debug, Clone)]
pub struct Writer {
    /// How.
    pub format: OutputFormat,
    /// What the labels are.
    pub task: Task,
    /// Names of the classes, by number.
    pub classes: Vec<String>,
}

impl Writer {
    /// Appends a labelled sentence to `out`.
    pub fn write(&self, sentence: &Sentence, labels: &Labels, out: &mut String) {
        let label =
            |class: &Option<usize>| class.map_or(OUTSIDE, |class| self.classes[class].as_str());
        match labels {
            Labels::Words(labels) => {
                let labels: Vec<&str> = labels.iter().map(label).collect();
                match self.format {
                    OutputFormat::Conll => conll(&sentence.words, &labels, out),
                    OutputFormat::Jsonl => self.jsonl(sentence, &labels, out),
                    OutputFormat::Inline => self.inline(&sentence.words, &labels, out),
                }
            }
            Labels::Tree(tree) => self.tree(sentence, tree, out),
            Labels::Whole(whole) => {
                let whole = whole.map(|(class, score)| (self.classes[class].as_str(), score));
                let label = whole.map(|(label, _)| label);
                let score = whole.map(|(_, score)| rounded(f64::from(score)));
                let fields = json!({ "label": label, "score": score });
                self.whole(sentence, label, fields, out);
            }
            Labels::Set(set) => {
                let names = |(chosen, _): &(Vec<usize>, Vec<f64>)| -> Vec<&str> {
                    chosen
                        .iter()
                        .map(|&class| self.classes[class].as_str())
                        .collect()
                };
                let labels = set.as_ref().map(names);
                let scores = |(_, probabilities): &(Vec<usize>, Vec<f64>)| -> Value {
                    let scores = probabilities.iter().map(|&score| json!(rounded(score)));
                    let classes = self.classes.iter().cloned();
                    Value::Object(classes.zip(scores).collect())
                };
                let scores = set.as_ref().map(scores);
                // An empty set is no missing one.
                let written = labels.as_ref().map(|labels| match labels.as_slice() {
                    [] => NO_LABEL.to_owned(),
                    labels => labels.join(BETWEEN),
                });
                let fields = json!({ "labels": labels, "scores": scores });
                self.whole(sentence, written.as_deref(), fields, out);
            }
            Labels::Number(number) => {
                let written = number.map(|number| number.to_string());
                let fields = json!({ "score": number });
                self.whole(sentence, written.as_deref(), fields, out);
            }
        }
    }

    fn tree(&self, sentence: &Sentence, tree: &[Attached], out: &mut String) {
        let words: Vec<&str> = sentence.words.iter().map(String::as_str).collect();
        let arc = |attached: &Attached| Arc {
            head: attached.head,
            relation: attached.relation(&self.classes),
        };
        let arcs: Vec<Arc<'_>> = tree.iter().map(arc).collect();
        // A `String` takes whatever is written to it.
        let _ = match self.format {
            OutputFormat::Conll => {
                write_conllu(out, &words, &arcs, |_| None);
                Ok(())
            }
            OutputFormat::Jsonl => {
                let heads: Vec<usize> = arcs
                    .iter()
                    .map(|arc| arc.head.map_or(0, |head| head + 1))
                    .collect();
                let relations: Vec<&str> = arcs.iter().map(|arc| arc.relation).collect();
                let mut object = json!({ "words": words, "heads": heads, "labels": relations });
                if let Some((text, places)) = &sentence.source {
                    object["text"] = json!(text);
                    object["offsets"] = json!(places);
                }
                writeln!(out, "{object}")
            }
            OutputFormat::Inline => {
                let pieces = words.iter().zip(&arcs).map(|(word, arc)| {
                    let head = arc.head.map_or("ROOT", |head| words[head]);
                    format!("{word}/{}>{head}", arc.relation)
                });
                writeln!(out, "{}", pieces.collect::<Vec<_>>().join(" "))
            }
        };
    }

    fn jsonl(&self, sentence: &Sentence, labels: &[&str], out: &mut String) {
        let mut object = json!({ "words": sentence.words, "labels": labels });
        let places = sentence.source.as_ref().map(|(text, places)| {
            object["text"] = json!(text);
            object["offsets"] = json!(places);
            (text, places)
        });
        if let Some(spans) = self.task.spans(labels) {
            let spans = spans.into_iter().map(|span| {
                let text = match places {
                    Some((text, places)) => {
                        let (begin, end) = (places[span.start].0, places[span.end - 1].1);
                        text.chars().skip(begin).take(end - begin).collect()
                    }
                    None => sentence.words[span.start..span.end].join(" "),
                };
                json!({ "label": span.kind, "start": span.start, "end": span.end, "text": text })
            });
            object["spans"] = spans.collect();
        }
        // A `String` takes whatever is written to it.
        let _ = writeln!(out, "{object}");
    }

    fn inline(&self, words: &[String], labels: &[&str], out: &mut String) {
        let mut pieces = Vec::new();
        if let Some(spans) = self.task.spans(labels) {
            let mut at = 0;
            for span in spans {
                pieces.extend(words[at..span.start].iter().cloned());
                let inside = words[span.start..span.end].join(" ");
                pieces.push(format!("[{} {inside}]", span.kind));
                at = span.end;
            }
            pieces.extend(words[at..].iter().cloned());
        } else {
            pieces.extend(
                words
                    .iter()
                    .zip(labels)
                    .map(|(word, label)| format!("{word}/{label}")),
            );
        }
        let _ = writeln!(out, "{}", pieces.join(" "));
    }

    /// A whole text with what it has, as it stands in a column, and as fields of JSON.
    fn whole(&self, sentence: &Sentence, label: Option<&str>, fields: Value, out: &mut String) {
        let text = || match &sentence.source {
            Some((text, _)) => text.clone(),
            None => sentence.words.join(" "),
        };
        // A `String` takes whatever is written to it.
        let _ = match self.format {
            OutputFormat::Jsonl => {
                let mut object = json!({ "text": text() });
                if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
                    object.extend(fields);
                }
                writeln!(out, "{object}")
            }
            OutputFormat::Inline => {
                writeln!(out, "{}\t{}", label.unwrap_or(Target::LEFT_OUT), text())
            }
            OutputFormat::Conll => {
                let mut labels = vec![Target::LEFT_OUT; sentence.words.len()];
                if let (Some(first), Some(label)) = (labels.first_mut(), label) {
                    *first = label;
                }
                conll(&sentence.words, &labels, out);
                Ok(())
            }
        };
    }
}

/// Between the labels of a text that has several, in a column.
const BETWEEN: &str = "|";
/// In a column, of a text that has no label of those there are.
const NO_LABEL: &str = "|";

/// A probability with six digits behind the point.
fn rounded(score: f64) -> f64 {
    (score * 1e6).round() / 1e6
}

fn conll(words: &[String], labels: &[&str], out: &mut String) {
    for (word, label) in words.iter().zip(labels) {
        let _ = writeln!(out, "{} {}", column(word), column(label));
    }
    out.push('\n');
}

/// A column must be one non-empty run of characters that no reader takes for white space.
fn column(text: &str) -> String {
    if text.is_empty() {
        return "_".to_owned();
    }
    let blank = |c: char| c.is_whitespace() || c.is_control();
    text.chars()
        .map(|c| if blank(c) { '_' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: OutputFormat, task: Task, labels: &Labels) -> String {
        let writer = Writer {
            format,
            task,
            classes: ["O", "B-PER", "I-PER", "B-LOC"].map(str::to_owned).to_vec(),
        };
        let sentence = Sentence {
            words: ["Jo", "Äm", "in", "Rome"].map(str::to_owned).to_vec(),
            source: Some((
                "Jo  Äm in Rome".to_owned(),
                vec![(0, 2), (4, 6), (7, 9), (10, 14)],
            )),
            line: 1,
            bytes: 0,
        };
        let mut out = String::new();
        writer.write(&sentence, labels, &mut out);
        out
    }

    #[test]
    fn spans_are_marked_and_told() {
        let labels = Labels::Words(vec![Some(1), Some(2), None, Some(3)]);
        assert_eq!(
            written(OutputFormat::Conll, Task::Ner, &labels),
            "Jo B-PER\nÄm I-PER\nin O\nRome B-LOC\n\n"
        );
        assert_eq!(
            written(OutputFormat::Inline, Task::Ner, &labels),
            "[PER Jo Äm] in [LOC Rome]\n"
        );
        assert_eq!(
            written(OutputFormat::Inline, Task::Pos, &labels),
            "Jo/B-PER Äm/I-PER in/O Rome/B-LOC\n"
        );
        let object: serde_json::Value =
            serde_json::from_str(&written(OutputFormat::Jsonl, Task::Ner, &labels)).unwrap();
        assert_eq!(
            object["spans"],
            json!([
                { "label": "PER", "start": 0, "end": 2, "text": "Jo  Äm" },
                { "label": "LOC", "start": 3, "end": 4, "text": "Rome" }
            ])
        );
        assert_eq!(object["offsets"][3], json!([10, 14]));
    }

    #[test]
    fn a_text_has_one_label() {
        let labels = Labels::Whole(Some((3, 0.75)));
        assert_eq!(
            written(OutputFormat::Conll, Task::Sequence, &labels),
            "Jo B-LOC\nÄm -\nin -\nRome -\n\n"
        );
        assert_eq!(
            written(OutputFormat::Jsonl, Task::Sequence, &labels),
            "{\"text\":\"Jo  Äm in Rome\",\"label\":\"B-LOC\",\"score\":0.75}\n"
        );
        assert_eq!(
            written(OutputFormat::Inline, Task::Sequence, &Labels::Whole(None)),
            "-\tJo  Äm in Rome\n"
        );
    }

    #[test]
    fn a_text_has_any_number_of_labels_or_a_number() {
        let set = |chosen: &[usize]| {
            let probabilities = vec![0.1, 0.75, 0.5, 0.25];
            Labels::Set(Some((chosen.to_vec(), probabilities)))
        };
        let task = Task::Multilabel;
        let scores = r#""scores":{"O":0.1,"B-PER":0.75,"I-PER":0.5,"B-LOC":0.25}"#;
        assert_eq!(
            written(OutputFormat::Jsonl, task, &set(&[1, 2])),
            format!("{{\"text\":\"Jo  Äm in Rome\",\"labels\":[\"B-PER\",\"I-PER\"],{scores}}}\n")
        );
        assert_eq!(
            written(OutputFormat::Inline, task, &set(&[1, 2])),
            "B-PER|I-PER\tJo  Äm in Rome\n"
        );
        assert_eq!(
            written(OutputFormat::Inline, task, &set(&[])),
            "|\tJo  Äm in Rome\n"
        );
        assert!(written(OutputFormat::Jsonl, task, &Labels::Set(None)).contains("\"labels\":null"));
        let number = Labels::Number(Some(2.5));
        assert_eq!(
            written(OutputFormat::Jsonl, Task::Regression, &number),
            "{\"text\":\"Jo  Äm in Rome\",\"score\":2.5}\n"
        );
        assert_eq!(
            written(OutputFormat::Conll, Task::Regression, &number),
            "Jo 2.5\nÄm -\nin -\nRome -\n\n"
        );
    }
}
