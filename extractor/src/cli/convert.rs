//! `extractor convert`: a store in another number format, with fewer layers or another compression.

use std::path::PathBuf;

use cache::{ByteLimits, Codec, Io, OpenMode, Opened, Store, StoreDtype, StoreWriter};
use clap::Args;
use serde_json::json;
use shared::exit::ExitStatus;
use shared::size::{format_bytes, parse_bytes};
use shared::terminal::Terminal;

use super::error::CliError;
use crate::convert::{self, Converted, Target, Wanted};
use crate::encoder::LayerSelection;

/// Options of `extractor convert`.
#[derive(Debug, Args)]
pub(super) struct ConvertOptions {
    /// The complete store to convert, or a root folder with one store in it. It stays as it is.
    #[arg(value_name = "STORE")]
    store: PathBuf,
    /// Root folder of the new store, which becomes ROOT/MODEL--DATASET.zarr.
    #[arg(long, value_name = "ROOT", help_heading = "Store")]
    out: PathBuf,
    /// Number format of the new store; that of the source by default.
    #[arg(long, value_enum, help_heading = "Store")]
    store_dtype: Option<StoreDtype>,
    /// Layers to keep of those that the source has: all, or numbers and ranges such as 0,4-8,-1.
    #[arg(
        long,
        default_value = "all",
        allow_hyphen_values = true,
        help_heading = "Store"
    )]
    layers: LayerSelection,
    /// Compression; that of the source by default.
    #[arg(long, value_enum, help_heading = "Store")]
    compression: Option<Codec>,
    /// Largest size of an inner chunk, such as 4MB.
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = parse_bytes,
        default_value_t = ByteLimits::default().chunk,
        help_heading = "Store"
    )]
    chunk_bytes: u64,
    /// Largest size of a file, such as 64MB or 1GiB.
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = parse_bytes,
        default_value_t = ByteLimits::default().file,
        help_heading = "Store"
    )]
    file_bytes: u64,
    /// Largest size of a part: what a killed run loses of its work.
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = parse_bytes,
        default_value_t = ByteLimits::default().part,
        help_heading = "Store"
    )]
    part_bytes: u64,
    /// Begin anew where a store of that name exists.
    #[arg(long, help_heading = "Store")]
    overwrite: bool,
    /// Print the summary as JSON on stdout.
    #[arg(long, help_heading = "Output")]
    json: bool,
}

impl ConvertOptions {
    fn wanted(&self) -> Wanted {
        Wanted {
            out: self.out.clone(),
            store_dtype: self.store_dtype,
            layers: self.layers.clone(),
            codec: self.compression,
            limits: ByteLimits {
                chunk: self.chunk_bytes,
                file: self.file_bytes,
                part: self.part_bytes,
            },
        }
    }
}

pub(super) fn run(options: &ConvertOptions, terminal: &Terminal) -> Result<ExitStatus, CliError> {
    let stop = shared::signals::install()?;
    let path = cache::find_store(&options.store, None, None)?;
    // Read and not mapped: memory stays bounded on any file system.
    let source = Store::open(&path, Io::Read)?;
    let target = Target::new(&source, &options.wanted())?;
    told(&source, &target, terminal);
    target.check_space()?;
    let mode = if options.overwrite {
        OpenMode::Overwrite
    } else {
        OpenMode::Resume
    };
    let writer = match StoreWriter::open_copy(&target.path, &target.manifest, &source, mode)? {
        Opened::Writer(writer) => writer,
        Opened::Complete(_) => {
            let place = target.path.display();
            terminal.status(format!("complete   {place}: nothing to do"));
            report(options, &path, &target, &Converted::finished(), terminal);
            return Ok(ExitStatus::Success);
        }
    };
    let parts = writer.pending();
    let done = convert::run(&source, &target, &writer, &parts, (&stop, terminal))?;
    report(options, &path, &target, &done, terminal);
    if done.interrupted {
        terminal.warn("stopped by a signal; run the same command again to go on");
        return Ok(ExitStatus::Interrupted);
    }
    Ok(ExitStatus::Success)
}

/// What becomes of what.
fn told(source: &Store, target: &Target, terminal: &Terminal) {
    let (theirs, own) = (source.manifest(), &target.manifest);
    terminal.status(format!(
        "source     {}: {}, layers {:?}, compression {}",
        source.path().display(),
        theirs.store_dtype,
        theirs.layers,
        theirs.codec
    ));
    terminal.status(format!(
        "target     {}: {}, layers {:?}, compression {}, {} without it",
        target.path.display(),
        own.store_dtype,
        own.layers,
        own.codec,
        format_bytes(target.needed_space())
    ));
    if own.converted_from.is_some() {
        terminal.status(
            "identity   not that of an extraction with these options: the manifest names the source (converted_from)",
        );
    }
    let rounded = matches!(theirs.store_dtype, StoreDtype::I8 | StoreDtype::I4);
    if rounded && own.store_dtype != theirs.store_dtype {
        terminal.warn(format!(
            "{} does not bring back what {} has rounded away",
            own.store_dtype, theirs.store_dtype
        ));
    }
}

fn report(
    options: &ConvertOptions,
    source: &std::path::Path,
    target: &Target,
    done: &Converted,
    terminal: &Terminal,
) {
    let stored = cache::inspect::stored_bytes(&target.path);
    if let Some(bytes) = stored.filter(|_| done.tokens > 0) {
        let before = cache::inspect::stored_bytes(source).unwrap_or_default();
        terminal.status(format!(
            "stored     {} of hidden states, {} before, in {:.1} s",
            format_bytes(bytes),
            format_bytes(before),
            done.elapsed.as_secs_f64()
        ));
    }
    if options.json {
        let state = match (done.interrupted, done.complete) {
            (true, _) => "interrupted",
            (false, true) => "complete",
            (false, false) => "incomplete",
        };
        let summary = json!({
            "store": target.path, "source": source, "identity": target.manifest.identity(), "state": state,
            "as_extracted": target.manifest.converted_from.is_none(), "tokens_converted": done.tokens,
            "stored_bytes": stored, "seconds": done.elapsed.as_secs_f64(),
        });
        terminal.result(summary.to_string());
    }
}
