//! What goes wrong on a cluster, at any moment: signals, disks that fail in the middle of a file,
//! too little memory, and encoders that give no numbers. Nothing is lost, and nothing wrong is
//! stored.
//!
//! A few moments are tried with every `cargo test`; `STORE_KILLS=100` tries a hundred signals, `STORE_FAULTS=all` lets
//! every call fail that writes the store.

#![allow(clippy::unwrap_used, reason = "a panic is the failure being reported")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "chances"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Toy, program, tree};
use testing::faulty::{FaultyStorage, chosen, scratch};
use testing::moments::{armed, stop_signals};
use testing::random::Random;

/// From signal to exit; what `docs/cluster.md` promises for the example.
const BOUND: Duration = Duration::from_secs(10);

/// An extraction in small parts and small batches, so that a toy store takes a while.
fn command(toy: &Toy, root: &Path) -> Command {
    let mut command = program(toy.path());
    command
        .args(toy.arguments(root))
        .args(["--quiet", "--no-progress", "--self-check", "0"])
        .args(["--chunk-bytes", "4000", "--file-bytes", "16000"])
        .args(["--part-bytes", "32000", "--max-batch-tokens", "64"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn finish(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

fn run(mut command: Command) -> (Option<i32>, String) {
    finish(command.spawn().unwrap())
}

fn store(root: &Path) -> PathBuf {
    root.join("toy-bert--names.zarr")
}

fn one_error(said: &str) {
    let errors = said.lines().filter(|line| line.starts_with("error:"));
    assert_eq!(errors.count(), 1, "{said}");
}

#[test]
fn told_to_stop_at_any_moment_it_stops_in_time_and_goes_on() {
    let signals: usize = std::env::var("STORE_KILLS")
        .ok()
        .and_then(|signals| signals.parse().ok())
        .unwrap_or(5);
    let names = stop_signals();
    let toy = Toy::repeated(20);
    let (whole, root) = (toy.path().join("whole"), toy.path().join("cache"));
    let begun = Instant::now();
    assert_eq!(run(command(&toy, &whole)), (Some(0), String::new()));
    let (duration, mut chance) = (begun.elapsed(), Random::new(7));
    let (mut stopped, mut completed, mut longest) = (0, 0, Duration::ZERO);
    while stopped < signals {
        let child = command(&toy, &root).spawn().unwrap();
        armed(&child);
        std::thread::sleep(duration.mul_f64(chance.unit() * 0.7));
        let signal = names[stopped % names.len()];
        let sent = Instant::now();
        let kill = Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .stderr(Stdio::null())
            .status();
        kill.unwrap();
        let (code, said) = finish(child);
        longest = longest.max(sent.elapsed());
        match code {
            Some(75) => {
                assert!(said.contains("run the same command again"), "{said}");
                stopped += 1;
            }
            // It was done already, or about to be.
            Some(0) => {
                assert!(tree(&store(&root)) == tree(&store(&whole)), "other bytes");
                fs_err::remove_dir_all(&root).unwrap();
                completed += 1;
            }
            _ => panic!("{signal}: {code:?}, {said}"),
        }
    }
    assert!(longest < BOUND, "it took {longest:?} to stop");
    assert_eq!(run(command(&toy, &root)), (Some(0), String::new()));
    assert!(tree(&store(&root)) == tree(&store(&whole)), "other bytes");
    println!(
        "{stopped} signals at work, the longest way out {longest:?}; {completed} stores completed under them"
    );
}

#[test]
fn a_disk_that_fails_in_the_middle_of_a_file_is_named_and_gone_on_from() {
    let (toy, disk) = (Toy::repeated(2), scratch());
    let (whole, root) = (toy.path().join("whole"), disk.path().join("cache"));
    assert_eq!(run(command(&toy, &whole)), (Some(0), String::new()));
    let Some(storage) = FaultyStorage::new(&root, disk.path()) else {
        return;
    };
    let mut calm = command(&toy, &root);
    storage.under(&mut calm, 0, false);
    assert_eq!(run(calm), (Some(0), String::new()));
    let (calls, mut told) = (storage.calls().len(), 0);
    for at in chosen(calls, 6) {
        fs_err::remove_dir_all(&root).unwrap();
        let mut broken = command(&toy, &root);
        storage.under(&mut broken, at, at % 2 == 0);
        let (code, said) = run(broken);
        if code != Some(0) {
            assert_eq!(code, Some(2), "call {at}: {said}");
            one_error(&said);
            assert!(
                said.contains("Input/output error") && said.contains("cache"),
                "call {at}: {said}"
            );
            assert!(!store(&root).join("done.json").exists() || tree(&store(&root)).len() > 3);
            told += 1;
        }
        assert_eq!(
            run(command(&toy, &root)),
            (Some(0), String::new()),
            "call {at}"
        );
        assert!(
            tree(&store(&root)) == tree(&store(&whole)),
            "call {at}: other bytes"
        );
    }
    assert!(told > 0);
    println!("{told} failures of {calls} calls stopped the extraction, 0 bytes lost");
}

/// Writes a value into a tensor of float32 of the toy model.
fn poke(toy: &Toy, tensor: &str, at: usize, value: f32) {
    let path = toy.model().join("model.safetensors");
    let mut bytes = fs_err::read(&path).unwrap();
    let header = usize::try_from(u64::from_le_bytes(*bytes.first_chunk().unwrap())).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let names = json.as_object().unwrap();
    let (_, info) = names
        .iter()
        .find(|(name, _)| name.ends_with(tensor))
        .unwrap();
    assert_eq!(info["dtype"], "F32");
    let begin = usize::try_from(info["data_offsets"][0].as_u64().unwrap()).unwrap();
    let place = 8 + header + begin + 4 * at;
    bytes[place..place + 4].copy_from_slice(&value.to_le_bytes());
    fs_err::write(&path, bytes).unwrap();
}

#[test]
fn a_layer_that_gives_no_numbers_is_named_and_nothing_of_it_is_stored() {
    for (value, layers) in [(f32::NAN, "all"), (f32::INFINITY, "0,2")] {
        let toy = Toy::new();
        poke(&toy, "encoder.layer.1.output.LayerNorm.bias", 3, value);
        let mut command = command(&toy, &toy.root());
        command.args(["--layers", layers]);
        let (code, said) = run(command);
        assert_eq!(code, Some(1), "{said}");
        one_error(&said);
        assert!(
            said.contains("train, sentence ") && said.contains("layer 2: the encoder gave"),
            "{said}"
        );
        assert!(said.contains("in layer 2: its weights"), "{said}");
        let files = tree(&toy.store());
        assert!(!files.contains_key("done.json"));
        let written = files
            .keys()
            .filter(|name| name.contains("hidden_states/c.") || name.starts_with("progress/"));
        assert_eq!(written.count(), 0, "{:?}", files.keys());
    }
}

#[test]
fn a_word_that_gives_no_numbers_is_named_with_its_sentence_and_keeps_others_as_they_are() {
    let toy = Toy::new();
    assert_eq!(run(command(&toy, &toy.root())), (Some(0), String::new()));
    let (id, sentence) = rare_token(&toy.store());
    let calm = tree(&toy.store());
    fs_err::remove_dir_all(toy.root()).unwrap();
    poke(
        &toy,
        "embeddings.word_embeddings.weight",
        id * HIDDEN,
        f32::INFINITY,
    );
    let (code, said) = run(command(&toy, &toy.root()));
    assert_eq!(code, Some(1), "{said}");
    one_error(&said);
    // Attention takes it to every token of the sentence, and to no other sentence.
    let place = format!("train, sentence {}, token ", sentence + 1);
    assert!(
        said.contains(&place) && said.contains(": the encoder gave"),
        "{place:?} in {said}"
    );
    let report = cache::verify::verify(&toy.store(), false, &|_, _| ()).unwrap();
    assert_eq!(report.problems, []);
    assert!(
        0 < report.parts_done && report.parts_done < report.parts,
        "{report:?}"
    );
    // What is there, is what it was with whole weights.
    let hidden = tree(&toy.store());
    let hidden: Vec<_> = hidden
        .iter()
        .filter(|(name, _)| name.contains("hidden_states/c."))
        .collect();
    assert!(
        !hidden.is_empty()
            && hidden
                .iter()
                .all(|(name, bytes)| calm.get(*name) == Some(bytes))
    );
}

/// Hidden size of the toy model.
const HIDDEN: usize = 16;

/// A token of the last third of the training set that is in one sentence only, and the sentence.
fn rare_token(store: &Path) -> (usize, u32) {
    let store = cache::Store::open(store, cache::Io::Read).unwrap();
    assert_eq!(store.manifest().hidden, HIDDEN);
    let train = store.split(shared::datasets::SplitName::Train).unwrap();
    let ids = train.input_ids();
    let at = (2 * ids.len() / 3..ids.len())
        .find(|&at| ids.iter().filter(|&&id| id == ids[at]).count() == 1)
        .unwrap();
    let sequence = train.offsets().partition_point(|&begin| begin <= at as u64) - 1;
    (ids[at] as usize, train.sentence_of()[sequence])
}

/// The same command in a shell that limits the address space to 1.5 GB.
fn with_little_memory(whole: &Command, toy: &Toy) -> Command {
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -v 1500000 && exec \"$0\" \"$@\""])
        .arg(whole.get_program())
        .args(whole.get_args())
        .current_dir(toy.path());
    for (name, value) in whole.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

#[test]
fn a_job_with_too_little_memory_is_told_before_it_begins() {
    let toy = Toy::new();
    // Nothing is read of the weights: sizes are in the configuration.
    let config = toy.model().join("config.json");
    let mut fields: serde_json::Value =
        serde_json::from_slice(&fs_err::read(&config).unwrap()).unwrap();
    fields["intermediate_size"] = (1 << 22).into();
    fs_err::write(&config, fields.to_string()).unwrap();
    let begun = Instant::now();
    let mut extraction = with_little_memory(&command(&toy, &toy.root()), &toy);
    extraction.stdout(Stdio::null()).stderr(Stdio::piped());
    let (code, said) = run(extraction);
    assert_eq!(code, Some(2), "{said}");
    one_error(&said);
    for words in [
        "loading the encoder on cpu takes 2.1 GB of memory at least",
        "may have 1.5 GB",
        "--mem",
        "--layers with a list that ends at 1",
    ] {
        assert!(said.contains(words), "{words:?} in {said}");
    }
    assert!(!toy.root().exists(), "{:?}", begun.elapsed());
    // What `plan` tells, with the same end.
    let mut plan = program(toy.path());
    plan.arg("plan").args(toy.arguments(&toy.root())).args([
        "--json",
        "--tokens-per-second",
        "100",
    ]);
    let output = with_little_memory(&plan, &toy).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let line = "at least 2.1 GB while they are loaded, 1.5 GB may be used: it does not fit";
    assert!(said.contains(line), "{said}");
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["memory"]["fits"], false, "{plan}");
    assert_eq!(plan["memory"]["device"], "cpu", "{plan}");
}
