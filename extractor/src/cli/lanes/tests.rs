use std::path::Path;

use cache::StoreDtype;
use clap::Parser;
use shared::signals::StopFlag;
use shared::terminal::Verbosity;

use super::*;
use crate::cli::options::InputOptions;
use crate::graph::ComputeDtype;
use crate::hub::model::Need;

const GIGABYTE: u64 = 1 << 30;

/// bert-large in float16, stored so.
fn room(free: u64) -> Room {
    Room {
        free: Some(free),
        weights: GIGABYTE,
        host: Some(64 * GIGABYTE),
        gpus: 1,
        row_bytes: 25 * 1024 * 2,
        width: 512,
        footprint: Footprint {
            layers: 25,
            hidden: 1024,
            intermediate: 4096,
            heads: 16,
            compute: ComputeDtype::F16,
            rows: Some(StoreDtype::F16),
        },
    }
}

fn choice(tokens: usize, lanes: usize) -> Choice {
    Choice { tokens, lanes }
}

#[test]
fn a_large_card_takes_two_encoders_and_a_small_one_smaller_batches() {
    assert_eq!(room(130 * GIGABYTE).choose(None, None), choice(16384, 2));
    assert_eq!(room(6 * GIGABYTE).choose(None, None), choice(4096, 2));
    // Twice the weights would leave too little for batches that are worth it.
    assert_eq!(room(3 * GIGABYTE).choose(None, None), choice(4096, 1));
    assert_eq!(room(GIGABYTE / 16).choose(None, None), choice(256, 1));
}

#[test]
fn what_is_asked_for_is_not_changed() {
    let small = room(3 * GIGABYTE);
    assert_eq!(small.choose(Some(9999), None), choice(9999, 1));
    assert_eq!(small.choose(Some(1000), None), choice(1000, 2));
    assert_eq!(small.choose(Some(1000), Some(1)), choice(1000, 1));
    assert_eq!(small.choose(None, Some(2)), choice(2048, 2));
}

#[test]
fn rows_that_wait_for_the_disk_must_fit_as_well() {
    let limited = Room {
        host: Some(4 * GIGABYTE),
        ..room(130 * GIGABYTE)
    };
    // Half of it for six batches of 50 KiB a token.
    assert_eq!(limited.choose(None, None), choice(4096, 2));
    let unknown = Room {
        free: None,
        ..room(0)
    };
    assert_eq!(unknown.choose(None, None), choice(CPU_TOKENS, 1));
}

fn want_of_memory() -> EncoderError {
    EncoderError::Run {
        device: "cuda:0".to_owned(),
        rows: 1,
        width: 1,
        source: ort::Error::new("BFCArena: Failed to allocate memory for requested buffer"),
    }
}

#[test]
fn batches_are_halved_until_one_fits() {
    crate::encoder::runtime::session_builder(crate::encoder::runtime::Target::Cpu, 1).unwrap();
    let mut tried = Vec::new();
    let found = fitting(16384, |tokens| {
        tried.push(tokens);
        (tokens <= 4096).then_some(()).ok_or_else(want_of_memory)
    });
    let (tokens, failed) = found.unwrap();
    assert_eq!((tokens, tried), (4096, vec![16384, 8192, 4096]));
    let error = does_not_fit(16384, tokens, false, &failed.unwrap());
    assert_eq!(error.hints, ["--max-batch-tokens 4096 would fit"]);
    assert_eq!(error.status, ExitStatus::Machine);
    // When nothing fits, the first reason is told.
    assert!(fitting(1024, |_| Err(want_of_memory())).is_err());
    // Another error is not a matter of size.
    let mut count = 0;
    let other = fitting(1024, |_| {
        count += 1;
        Err(EncoderError::HalfOnCpu {
            dtype: ComputeDtype::F16,
        })
    });
    assert!(other.is_err() && count == 1);
}

/// Options as they are typed.
#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    input: InputOptions,
}

/// What becomes of the toy encoder, on the processor, if that is taken for a GPU.
fn taken_for_a_gpu(asked: Asked) -> (Result<Choice, CliError>, Vec<Encoder>, Setup) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let (model, data) = (fixtures.join("toy-bert"), fixtures.join("toy.conll"));
    let line = Line::try_parse_from([
        "extractor".as_ref(),
        "--model".as_ref(),
        model.as_os_str(),
        "--dataset".as_ref(),
        data.as_os_str(),
        "--device".as_ref(),
        "cpu".as_ref(),
        "--rows".as_ref(),
        "device".as_ref(),
    ])
    .unwrap();
    let terminal = Terminal::new(Verbosity::Quiet, false);
    let stop = StopFlag::default();
    let mut prepared = Prepared::new(&line.input, Need::All, &terminal, &stop).unwrap();
    prepared.encoder.profile = true;
    let tokens = prepared.tokens(&terminal).unwrap();
    let mut encoders = vec![prepared.load().unwrap()];
    let mut setup = Setup::of(&encoders[0]);
    let chosen = on_gpus(
        &prepared,
        &mut encoders,
        &tokens,
        asked,
        &mut setup,
        &terminal,
    );
    (chosen, encoders, setup)
}

#[test]
fn the_largest_batch_comes_first_and_tells_where_its_nodes_ran() {
    let asked = Asked {
        tokens: None,
        by_store: true,
        lanes: None,
    };
    let (chosen, mut encoders, setup) = taken_for_a_gpu(asked);
    // A card that does not tell what it has.
    assert_eq!(chosen.unwrap(), choice(CPU_TOKENS, 1));
    assert_eq!(encoders.len(), 1);
    assert!(setup.rows_by_graph && !setup.rows_pinned);
    let said = setup.on_the_processor().unwrap();
    assert!(
        said.contains("no kernel for the GPU: Gather (embeddings.") && said.contains(" more"),
        "{said}"
    );
    let nodes = setup.nodes_on_cpu.unwrap();
    for node in ["Attention (layer.0.attention)", "Concat (rows.layers)"] {
        assert!(nodes.iter().any(|found| found == node), "{nodes:?}");
    }
    // Nothing is profiled any more.
    assert_eq!(encoders[0].nodes_on_cpu().unwrap(), None);
}

#[test]
fn batches_that_a_gpu_cannot_count_are_refused_with_the_number_that_fits() {
    let room = room(130 * GIGABYTE);
    let asked = |tokens, by_store| Asked {
        tokens: Some(tokens),
        by_store,
        lanes: None,
    };
    assert!(check_countable(room, asked(83_886, false)).is_ok());
    let error = check_countable(room, asked(83_887, false)).unwrap_err();
    assert_eq!(error.status, ExitStatus::User);
    assert!(
        error.message.contains("25 layers of 1024 numbers"),
        "{error:?}"
    );
    assert_eq!(
        error.hints,
        ["--max-batch-tokens 83886 is the most for this encoder"]
    );
    let error = check_countable(room, asked(1 << 20, true)).unwrap_err();
    assert!(error.hints[0].contains("--overwrite"), "{error:?}");
    // What is chosen stays below it.
    let wide = Room {
        footprint: Footprint {
            layers: 200,
            ..room.footprint
        },
        ..room
    };
    assert_eq!(wide.choose(None, None), choice(8192, 2));
}

#[test]
fn as_many_encoders_as_are_asked_for_are_made_ready() {
    let asked = Asked {
        tokens: Some(48),
        by_store: false,
        lanes: Some(2),
    };
    let (chosen, encoders, _) = taken_for_a_gpu(asked);
    assert_eq!(chosen.unwrap(), choice(48, 2));
    assert_eq!(encoders.len(), 2);
}
