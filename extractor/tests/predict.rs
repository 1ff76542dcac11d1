//! `extractor predict` and `extractor export`: every head that `trainer` trains gives the labels that `trainer predict`
//! gives on the store, from text, and from the exported file in Python.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is the failure being reported, and what was skipped is said, in helpers too"
)]

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::trained::Trained;
use common::{Toy, program, stderr};
use extractor::encoder::EncoderOptions;
use extractor::head::Run;
use extractor::model::ModelFiles;
use extractor::predict::{Sentence, Tagger};
use shared::heads::forms;
use shared::tasks::schemes::{Scheme, to_iob2};

/// Every head, with a name for its run: a kind that is listed is tested.
fn heads() -> Vec<(String, &'static str)> {
    let examples = forms().flat_map(|form| form.examples);
    let named = |options: &&'static str| {
        let name = options.trim_start_matches("--head ");
        let name = name.replace(|character: char| !character.is_alphanumeric(), "-");
        (name, *options)
    };
    examples.map(named).collect()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The labels of columns of words and labels.
fn labels(columns: &str) -> BTreeSet<&str> {
    columns
        .lines()
        .filter_map(|line| Some(line.split_once(' ')?.1))
        .collect()
}

/// The words of columns, a sentence a line.
fn sentences(columns: &str) -> String {
    let mut text = String::new();
    for sentence in columns.trim_end().split("\n\n") {
        let words: Vec<&str> = sentence
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        writeln!(text, "{}", words.join(" ")).unwrap();
    }
    text
}

/// The toy data set with the word behind each name in its span, too.
fn with_longer_spans() -> Toy {
    let toy = Toy::new();
    for split in ["train", "validation", "test"] {
        let file = toy.dataset().join(format!("{split}.conll"));
        let mut columns = String::new();
        let mut follows = false;
        for line in fs_err::read_to_string(&file).unwrap().lines() {
            let line = match line.strip_suffix(" O") {
                Some(word) if follows => format!("{word} I-NAME"),
                _ => line.to_owned(),
            };
            follows = line.ends_with(" B-NAME");
            writeln!(columns, "{line}").unwrap();
        }
        fs_err::write(file, columns).unwrap();
    }
    toy
}

/// How many sentences of columns have tags that IOB2 does not allow.
fn illegal(columns: &str) -> usize {
    let sentences = columns.trim_end().split("\n\n").map(|sentence| {
        let tags = sentence.lines().filter_map(|line| line.split(' ').nth(1));
        tags.collect::<Vec<_>>()
    });
    let illegal = |tags: &Vec<&str>| to_iob2(Scheme::Iob2, tags) != *tags;
    sentences.filter(illegal).count()
}

/// Every head with every way of choosing tags.
#[test]
fn every_head_labels_text_as_trainer_labels_the_store() {
    // Short windows: most sentences are several, and some spans go over the edge of one.
    let Some(trained) = Trained::on(with_longer_spans(), "--max-length 8") else {
        return;
    };
    let same = |name: &str, expected: &str| {
        let labelled = stdout(&trained.predict(name, "--input names/test.conll"));
        assert_eq!(labelled, expected, "{name}");
    };
    let (mut learned, mut changed) = (0, 0);
    for subword in ["last", "mean"] {
        let options = format!("--head scalar-mix --subword {subword}");
        let name = format!("{subword}-sub-word");
        let labelled = trained.head(&name, &options);
        same(&name, &labelled);
        assert!(labels(&labelled).len() > 1, "{subword}");
        let field = format!("{subword}-sub-word-crf");
        let labelled = trained.head(&field, &format!("{options} --decode crf"));
        same(&field, &labelled);
    }
    for (name, options) in heads() {
        let single = trained.head(&name, options);
        same(&name, &single);
        learned += usize::from(labels(&single).len() > 1);

        let copy = trained.decoded_by_viterbi(&name);
        let legal = trained.labels(&copy);
        same(&copy, &legal);
        assert_eq!(illegal(&legal), 0, "{copy}");
        assert_eq!(illegal(&single) == 0, legal == single, "{copy}");
        changed += usize::from(legal != single);

        let name = format!("{name}-crf");
        let learned = trained.head(&name, &format!("{options} --decode crf"));
        same(&name, &learned);
        assert!(labels(&learned).len() > 1, "{name}");
    }
    assert!(learned > 4, "only {learned} heads tell names from others");
    assert!(
        changed > 2,
        "only {changed} heads choose other tags by viterbi"
    );
}

/// The two forward passes, libtorch's and the one in the ONNX graph, by their logits: equal but for the
/// rounding of float32, so within a ten-thousandth of the largest. The store is in float32, as the
/// graph has hidden states. A head that is listed is compared.
#[test]
fn every_head_has_the_logits_of_trainer() {
    const TOLERANCE: f64 = 1e-4;
    let Some(trained) = Trained::new("--max-length 8 --store-dtype f32 --device cpu") else {
        return;
    };
    let folder = trained.toy.path();
    let files = ModelFiles::in_folder(&trained.toy.model()).unwrap();
    let others = ["adapter", "scalar-mix", "last"]
        .into_iter()
        .flat_map(|head| {
            let options = |subword| {
                (
                    format!("{head}-{subword}"),
                    format!("--head {head} --subword {subword}"),
                )
            };
            ["last", "mean"].map(options)
        });
    let all = heads()
        .into_iter()
        .map(|(name, options)| (name, options.to_owned()));
    for (name, options) in all.chain(others) {
        trained.head(&name, &options);
        trained.trainer(&format!(
            "predict --run runs/{name} --cache cache --split test --device cpu -q --out labels --logits logits"
        ));
        let (mut sentences, mut expected) = (Vec::new(), Vec::new());
        for line in fs_err::read_to_string(folder.join("logits"))
            .unwrap()
            .lines()
        {
            let line: LogitsLine = serde_json::from_str(line).unwrap();
            sentences.push(Sentence {
                words: line.words,
                source: None,
                line: 1,
                ..Sentence::default()
            });
            expected.push(line.logits);
        }
        let run = Run::open(&folder.join("runs").join(&name)).unwrap();
        let mut tagger = Tagger::load(&files, &run, &EncoderOptions::default(), None).unwrap();
        let found = tagger.word_logits(&sentences).unwrap();
        let largest = expected.iter().flatten().flatten().flatten();
        let largest = largest.fold(0.0, |most: f64, logit| most.max(logit.abs()));
        assert!(largest > 0.1, "{name} has learned nothing");
        let mut compared = 0;
        for (sentence, (expected, found)) in expected.iter().zip(&found).enumerate() {
            assert_eq!(expected.len(), found.len(), "{name}");
            for (word, (expected, found)) in expected.iter().zip(found).enumerate() {
                assert_eq!(
                    expected.is_some(),
                    found.is_some(),
                    "{name} {sentence} {word}"
                );
                let pairs = expected.iter().flatten().zip(found.iter().flatten());
                for (expected, &found) in pairs {
                    compared += 1;
                    let difference = (expected - f64::from(found)).abs();
                    assert!(
                        difference <= TOLERANCE * largest,
                        "{name}, sentence {sentence}, word {word}: trainer {expected}, extractor {found}"
                    );
                }
            }
        }
        assert!(compared > 100, "{name}: {compared} logits");
    }
}

/// A line of what `trainer predict --logits` writes.
#[derive(serde::Deserialize)]
struct LogitsLine {
    words: Vec<String>,
    logits: Vec<Option<Vec<f64>>>,
}

#[test]
fn all_ways_in_and_out_say_the_same() {
    let Some(trained) = Trained::new("") else {
        return;
    };
    let expected = trained.head("adapter", "");
    assert!(labels(&expected).len() > 1, "{expected}");
    let words = sentences(&expected);
    let path = trained.toy.path();
    fs_err::write(path.join("words.txt"), &words).unwrap();
    let by = |options: &str| stdout(&trained.predict("adapter", options));
    assert_eq!(by("--input words.txt --format words"), expected);
    assert_eq!(
        by("--input words.txt --format words --max-batch-tokens 1"),
        expected
    );

    let mut conllu = "# text\n".to_owned();
    for line in expected.lines() {
        match line.split_once(' ') {
            Some((word, _)) => writeln!(conllu, "1\t{word}\t_").unwrap(),
            None => conllu.push('\n'),
        }
    }
    fs_err::write(path.join("words.conllu"), conllu).unwrap();
    assert_eq!(by("--input words.conllu"), expected);

    let objects = by("--input words.txt --format words --output-format jsonl");
    let mut columns = String::new();
    let mut spans = 0;
    for line in objects.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        let pairs = object["words"].as_array().unwrap().iter();
        for (word, label) in pairs.zip(object["labels"].as_array().unwrap()) {
            writeln!(
                columns,
                "{} {}",
                word.as_str().unwrap(),
                label.as_str().unwrap()
            )
            .unwrap();
        }
        columns.push('\n');
        spans += object["spans"].as_array().unwrap().len();
    }
    assert_eq!(columns, expected);
    let inline = by("--input words.txt --format words --output-format inline");
    assert_eq!(inline.matches("[NAME ").count(), spans);
    assert_eq!(inline.lines().count(), words.lines().count());
    let unmarked: String = inline.replace("[NAME ", "").replace(']', "");
    assert_eq!(unmarked, words.replace(']', ""));
}

#[test]
fn a_line_written_into_a_pipe_is_answered_before_the_next() {
    let Some(trained) = Trained::new("") else {
        return;
    };
    trained.head("last", "--head last");
    let mut child = program(trained.toy.path())
        .args("predict --model toy-bert --run runs/last --output-format jsonl -q".split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for text in ["Johnson met the mayor.", "", "A storm!"] {
        writeln!(input, "{text}").unwrap();
        // Were the answer kept back, this would wait for ever.
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["text"], text);
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn whole_texts_get_their_label() {
    let toy = Toy::new();
    for split in ["train", "validation", "test"] {
        let columns = fs_err::read_to_string(toy.dataset().join(format!("{split}.conll"))).unwrap();
        let columns = columns.trim_start_matches("-DOCSTART- O\n\n");
        let mut table = "text\tlabel\n".to_owned();
        for (sentence, text) in columns
            .trim_end()
            .split("\n\n")
            .zip(sentences(columns).lines())
        {
            let label = if sentence.contains("B-NAME") {
                "named"
            } else {
                "plain"
            };
            writeln!(table, "{text}\t{label}").unwrap();
        }
        fs_err::remove_file(toy.dataset().join(format!("{split}.conll"))).unwrap();
        fs_err::write(toy.dataset().join(format!("{split}.tsv")), table).unwrap();
    }
    let table = fs_err::read_to_string(toy.dataset().join("test.tsv")).unwrap();
    let texts: Vec<&str> = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next())
        .collect();
    fs_err::write(toy.path().join("texts.txt"), texts.join("\n")).unwrap();
    let Some(trained) = Trained::on(toy, "--task sequence --max-length 8") else {
        return;
    };
    for (name, options) in [("adapter", ""), ("fusion", "--head attention-fusion")] {
        let expected = trained.head(name, options);
        let labelled = stdout(&trained.predict(name, "--input texts.txt"));
        assert_eq!(labelled, expected, "{name}");
        let lines = stdout(&trained.predict(name, "--input texts.txt --output-format jsonl"));
        for (line, text) in lines.lines().zip(&texts) {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(object["text"], *text);
            assert!(object["score"].as_f64().unwrap() >= 0.5);
        }
    }
}

#[test]
fn onnxruntime_in_python_gives_the_same_labels() {
    let Some(python) = std::env::var_os("PYTHON_WITH_ONNXRUNTIME") else {
        println!(
            "skipped: PYTHON_WITH_ONNXRUNTIME names no Python with onnxruntime, tokenizers and numpy (`cargo xtask test` sets it)"
        );
        return;
    };
    let Some(trained) = Trained::on(with_longer_spans(), "") else {
        return;
    };
    let page =
        fs_err::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/predict.md"))
            .unwrap();
    let snippet = page.split("```python\n").nth(1).unwrap();
    let snippet = snippet.split("```").next().unwrap();
    let folder = trained.toy.path();
    fs_err::write(folder.join("label.py"), snippet).unwrap();
    for (name, options) in [
        ("adapter", ""),
        ("fusion", "--head attention-fusion"),
        ("legal", "--head layer:0 --decode viterbi"),
        ("field", "--head layer:0 --decode crf"),
        ("last", "--head scalar-mix --subword last"),
        ("mean", "--head adapter --no-tailor --subword mean"),
    ] {
        let expected = trained.head(name, options);
        for (file, how) in [("whole.onnx", ""), ("parted.onnx", "--external-data")] {
            let out = format!("{name}/{file}");
            let exported =
                trained.extractor("export", name, &format!("--out {out} --overwrite {how}"));
            assert!(exported.status.success(), "{}", stderr(&exported));
            let data = folder.join(format!("{out}.data"));
            assert_eq!(data.is_file(), !how.is_empty(), "{}", data.display());
            let mut child = Command::new(&python)
                .current_dir(folder)
                .args(["label.py", &out])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut input = child.stdin.take().unwrap();
            input.write_all(sentences(&expected).as_bytes()).unwrap();
            drop(input);
            let output = child.wait_with_output().unwrap();
            assert_eq!(stdout(&output), expected, "{out}");
        }
        let labels: serde_json::Value = serde_json::from_str(
            &fs_err::read_to_string(folder.join(name).join("labels.json")).unwrap(),
        )
        .unwrap();
        assert_eq!(labels["level"], "token");
        let is_chain = options.contains("--decode");
        assert_eq!(labels["transitions"].is_array(), is_chain, "{labels}");
        assert!(folder.join(name).join("tokenizer.json").is_file());
    }
    let refused = trained.extractor("export", "adapter", "--out adapter/whole.onnx");
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("--overwrite"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn what_cannot_be_used_is_told_with_the_remedy() {
    let toy = Toy::new();
    let predict = |options: &str| {
        let output = program(toy.path())
            .arg("predict")
            .args(options.split_whitespace())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.code(), stderr(&output))
    };
    let (code, message) = predict("--run nowhere");
    assert_eq!(code, Some(1));
    assert!(
        message.contains("nowhere is not a finished run: it has no config.json"),
        "{message}"
    );
    let Some(trained) = Trained::on(toy, "") else {
        return;
    };
    trained.head("last", "--head last");
    let folder = trained.toy.path();
    let fails = |options: &str, said: &[&str]| {
        let output = trained.predict("last", options);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert_eq!(message.matches("error:").count(), 1, "{message}");
        for said in said {
            assert!(message.contains(said), "{said}: {message}");
        }
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    fails(
        "--input nothing.txt",
        &["nothing.txt", "--input takes a file"],
    );
    fs_err::write(folder.join("latin.txt"), b"Paris\ncaf\xe9\n").unwrap();
    // What stands before the bad line is labelled.
    let before = fails("--input latin.txt", &["latin.txt:2: not UTF-8 text"]);
    assert!(before.starts_with("Paris "), "{before}");
    fs_err::write(folder.join("long.txt"), "x ".repeat(600_000)).unwrap();
    fails(
        "--input long.txt",
        &["long.txt:1", "longer than 1048576 bytes"],
    );
    fs_err::write(folder.join("short.conll"), "a O\n").unwrap();
    fails(
        "--input short.conll --token-column 3",
        &["short.conll:1", "column 3"],
    );

    fs_err::write(folder.join("empty.txt"), "").unwrap();
    let empty = trained.predict("last", "--input empty.txt");
    assert_eq!(stdout(&empty), "");
    assert!(
        stderr(&empty).contains("nothing was labelled"),
        "{}",
        stderr(&empty)
    );

    // The encoder is moved, changed, or another one's tokenizer lies in its folder.
    fs_err::rename(trained.toy.model(), folder.join("moved")).unwrap();
    let output = program(folder)
        .args(["predict", "--run", "runs/last"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        stderr(&output).contains("--model DIR"),
        "{}",
        stderr(&output)
    );
    fs_err::rename(folder.join("moved"), trained.toy.model()).unwrap();
    let config = trained.toy.model().join("config.json");
    let text = fs_err::read_to_string(&config).unwrap();
    fs_err::write(&config, text.replace("1e-12", "1e-9")).unwrap();
    fails("", &["was trained on the weights", "toy-bert has"]);
    let tokenizer = trained.toy.model().join("tokenizer.json");
    let text = fs_err::read_to_string(&tokenizer).unwrap();
    fs_err::write(&tokenizer, text + "\n").unwrap();
    fails("", &["was trained on the tokenizer", "toy-bert has"]);

    fs_err::remove_file(folder.join("runs/last/adapter.safetensors")).unwrap();
    fails(
        "",
        &["runs/last is not a finished run: it has no adapter.safetensors"],
    );
    fs_err::write(folder.join("runs/last/config.json"), "{}").unwrap();
    fails("", &["runs/last/config.json: missing field"]);
}

#[test]
fn a_head_on_random_weights_labels_without_any() {
    let toy = Toy::new();
    fs_err::remove_file(toy.model().join("model.safetensors")).unwrap();
    let Some(trained) = Trained::on(toy, "--random-weights 7") else {
        return;
    };
    let expected = trained.head("random", "--head scalar-mix");
    let text = sentences(&expected);
    let path = trained.toy.path().join("text.words");
    fs_err::write(&path, text).unwrap();
    let arguments = format!("--input {} --input-format words", path.display());
    let labelled = stdout(&trained.predict("random", &arguments));
    assert_eq!(labelled.trim_end(), expected.trim_end());
    let card = fs_err::read_to_string(trained.toy.path().join("runs/random/README.md")).unwrap();
    assert!(card.contains("its weights are random (seed 7)"), "{card}");
    let exported = trained.extractor("export", "random", "--out tagger/model.onnx");
    assert!(exported.status.success(), "{}", stderr(&exported));
    assert!(trained.toy.path().join("tagger/model.onnx").is_file());
}
