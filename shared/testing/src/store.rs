//! What all made-up stores have in common: a manifest of which a test changes what it is about, and the way from rows
//! to a complete store.

use std::collections::BTreeMap;
use std::path::Path;

use cache::{
    ByteLimits, Codec, DatasetIdentity, FORMAT_VERSION, LongPolicy, Manifest, ModelIdentity,
    OpenMode, Opened, PartStatistics, PartWriter, SplitTables, StoreDtype, StoreError, StoreWriter,
};
use shared::datasets::SplitName;
use shared::tasks::Task;

/// A manifest of a made-up model and part-of-speech data set: all `layers`, of width `hidden`, uncompressed.
pub fn manifest(
    tables: &[SplitTables],
    dtype: StoreDtype,
    layers: usize,
    hidden: usize,
    limits: ByteLimits,
) -> Manifest {
    let units = limits.units(layers * dtype.vector_bytes(hidden));
    Manifest {
        format_version: FORMAT_VERSION,
        model: ModelIdentity {
            id: "someone/tiny".to_owned(),
            revision: None,
            weights_digest: "00ff".to_owned(),
            family: "bert".to_owned(),
            layers_in_model: layers,
            random_seed: None,
        },
        tokenizer_digest: "11ee".to_owned(),
        dataset: DatasetIdentity {
            id: "made-up".to_owned(),
            digest: "22dd".to_owned(),
            task: Task::Pos,
            scheme: None,
        },
        splits: tables
            .iter()
            .map(|table| (table.name, table.size()))
            .collect(),
        max_length: 128,
        long: LongPolicy::Split,
        long_sentences: 0,
        layers: (0..layers).collect(),
        hidden,
        compute_dtype: "float32".to_owned(),
        max_batch_tokens: 2048,
        store_dtype: dtype,
        codec: Codec::None,
        provider: "cpu".to_owned(),
        chunk_tokens: units.chunk_tokens,
        file_tokens: units.file_tokens,
        part_files: units.part_files,
        versions: BTreeMap::from([("extractor".to_owned(), "0.1.0".to_owned())]),
        converted_from: None,
    }
}

/// Arrays of a split without a sentence.
pub fn no_sentences(name: SplitName) -> SplitTables {
    SplitTables {
        name,
        offsets: vec![0],
        sentence_of: Vec::new(),
        input_ids: Vec::new(),
        word_ids: Vec::new(),
        words: Vec::new(),
        second_text: Vec::new(),
        labels: Vec::new(),
    }
}

/// Writes what a store at `path` misses: `write` gets each part and tells the statistics of its rows. With `complete`
/// false the last step, which makes it a store that can be read, is left out.
///
/// # Errors
/// Whatever the writing of a store meets.
pub fn write(
    path: &Path,
    manifest: &Manifest,
    tables: &[SplitTables],
    complete: bool,
    mut write: impl FnMut(&mut PartWriter) -> Result<PartStatistics, StoreError>,
) -> Result<(), StoreError> {
    let opened = StoreWriter::open(path, manifest, tables, OpenMode::Resume)?;
    let Opened::Writer(writer) = opened else {
        return Ok(());
    };
    for part in writer.pending() {
        let mut writing = writer.begin(&part)?;
        let statistics = write(&mut writing)?;
        writing.finish(&statistics)?;
    }
    if complete {
        assert!(writer.complete()?, "a part is missing");
    }
    Ok(())
}
