use std::path::Path;

use cache::StoreDtype;
use shared::datasets::Source;
use shared::device::DeviceChoice;
use shared::exit::{ExitStatus, HasExitStatus as _};
use shared::terminal::Verbosity;

use super::*;
use crate::encoder::{Footprint, LayerSelection, RowsOn};
use crate::extract::{Request, StoreFormat};
use crate::graph::ComputeDtype;
use crate::model::ModelFiles;

const GIGABYTE: u64 = 1 << 30;

/// bert-large in float16, stored so.
fn memory(free: u64) -> GpuMemory {
    GpuMemory {
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
            biased_heads: 0,
            distances: false,
            biases: 0,
            blocks: None,
            capped: false,
            compute: ComputeDtype::F16,
            rows: Some(StoreDtype::F16),
        },
    }
}

fn choice(tokens: usize, encoders: usize) -> Choice {
    Choice { tokens, encoders }
}

#[test]
fn a_large_gpu_takes_two_encoders_and_a_small_one_smaller_batches() {
    assert_eq!(memory(130 * GIGABYTE).choose(None, None), choice(16384, 2));
    assert_eq!(memory(6 * GIGABYTE).choose(None, None), choice(4096, 2));
    // Twice the weights would leave too little for batches that are worth it.
    assert_eq!(memory(3 * GIGABYTE).choose(None, None), choice(4096, 1));
    assert_eq!(memory(GIGABYTE / 16).choose(None, None), choice(256, 1));
}

#[test]
fn what_is_asked_for_is_not_changed() {
    let small = memory(3 * GIGABYTE);
    assert_eq!(small.choose(Some(9999), None), choice(9999, 1));
    assert_eq!(small.choose(Some(1000), None), choice(1000, 2));
    assert_eq!(small.choose(Some(1000), Some(1)), choice(1000, 1));
    assert_eq!(small.choose(None, Some(2)), choice(2048, 2));
}

#[test]
fn rows_that_wait_for_the_disk_must_fit_as_well() {
    let limited = GpuMemory {
        host: Some(4 * GIGABYTE),
        ..memory(130 * GIGABYTE)
    };
    // Half of it for six batches of 50 KiB a token.
    assert_eq!(limited.choose(None, None), choice(4096, 2));
    let unknown = GpuMemory {
        free: None,
        ..memory(0)
    };
    assert_eq!(unknown.choose(None, None), choice(CPU_TOKENS, 1));
}

fn out_of_memory() -> EncoderError {
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
    let found = largest_fitting(16384, |tokens| {
        tried.push(tokens);
        (tokens <= 4096).then_some(()).ok_or_else(out_of_memory)
    });
    let (tokens, failed) = found.unwrap();
    assert_eq!((tokens, tried), (4096, vec![16384, 8192, 4096]));
    let error = does_not_fit(16384, tokens, false, failed.unwrap());
    assert_eq!(error.hints(), ["--max-batch-tokens 4096 would fit"]);
    assert_eq!(error.exit_status(), ExitStatus::Machine);
    // When nothing fits, the first reason is told.
    assert!(largest_fitting(1024, |_| Err(out_of_memory())).is_err());
    // Another error is not a matter of size.
    let mut count = 0;
    let other = largest_fitting(1024, |_| {
        count += 1;
        Err(EncoderError::HalfOnCpu {
            dtype: ComputeDtype::F16,
        })
    });
    assert!(other.is_err() && count == 1);
}

/// What becomes of the toy encoder, on the CPU, if that is taken for a GPU.
fn taken_for_a_gpu(request: BatchRequest) -> (Result<Choice, ExtractError>, Vec<Encoder>, Setup) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let settings = Request {
        out: None,
        layers: LayerSelection::all(),
        compute_dtype: ComputeDtype::F32,
        device: DeviceChoice::Cpu,
        threads: None,
        rows: RowsOn::Graph(StoreDtype::F16),
        max_length: None,
        long: cache::LongPolicy::Split,
        max_batch_tokens: None,
        format: StoreFormat {
            dtype: StoreDtype::F16,
            codec: cache::Codec::None,
            chunk_bytes: cache::ByteLimits::default().chunk,
            file_bytes: cache::ByteLimits::default().file,
            part_bytes: None,
        },
    };
    let files = ModelFiles::in_folder(&fixtures.join("toy-bert")).unwrap();
    let mut model = Model::open(files, &settings).unwrap();
    model.options.profile = true;
    let data = fixtures.join("toy.conll");
    let dataset = Source::new(data.to_str().unwrap()).load().unwrap();
    let mut extraction = Extraction::new(model, dataset, &settings);
    let tokens = extraction.tokens().unwrap();
    let encoder = extraction.model.load().unwrap();
    let weight_bytes = extraction.model.weight_bytes().unwrap();
    let mut gpus = Gpus {
        setup: Setup::for_encoder(&encoder),
        encoders: vec![encoder],
        extraction: &extraction,
        largest: LargestBatch::from_tables(&tokens.tables),
        weight_bytes,
        request,
        terminal: &Terminal::new(Verbosity::Quiet, false),
    };
    let chosen = gpus.prepare();
    (chosen, gpus.encoders, gpus.setup)
}

#[test]
fn the_largest_batch_comes_first_and_tells_where_its_nodes_ran() {
    let asked = BatchRequest {
        tokens: None,
        from_store: true,
        encoders: None,
    };
    let (chosen, mut encoders, setup) = taken_for_a_gpu(asked);
    // A GPU that does not tell what it has.
    assert_eq!(chosen.unwrap(), choice(CPU_TOKENS, 1));
    assert_eq!(encoders.len(), 1);
    assert!(setup.rows_by_graph && !setup.rows_pinned);
    let said = setup.nodes_without_kernel().unwrap();
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
    let memory = memory(130 * GIGABYTE);
    assert!(memory.check_countable(Some(83_886), false).is_ok());
    let error = memory.check_countable(Some(83_887), false).unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::User);
    assert!(
        error.to_string().contains("25 layers of 1024 numbers"),
        "{error:?}"
    );
    assert_eq!(
        error.hints(),
        ["--max-batch-tokens 83886 is the most for this encoder"]
    );
    let error = memory.check_countable(Some(1 << 20), true).unwrap_err();
    assert!(error.hints()[0].contains("--overwrite"), "{error:?}");
    // What is chosen stays below it.
    let wide = GpuMemory {
        footprint: Footprint {
            layers: 200,
            ..memory.footprint
        },
        ..memory
    };
    assert_eq!(wide.choose(None, None), choice(8192, 2));
}

#[test]
fn as_many_encoders_as_are_asked_for_are_made_ready() {
    let asked = BatchRequest {
        tokens: Some(48),
        from_store: false,
        encoders: Some(2),
    };
    let (chosen, encoders, _) = taken_for_a_gpu(asked);
    assert_eq!(chosen.unwrap(), choice(48, 2));
    assert_eq!(encoders.len(), 2);
}
