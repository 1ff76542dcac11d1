//! The snippet of `docs/python.md` is run as it stands there, by a Python that has zarr.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use cache::{Codec, StoreDtype};
use shared::datasets::SplitName;

use testing::fixture::Fixture;

/// The first block of Python in the document.
fn snippet() -> String {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/python.md");
    let text = fs_err::read_to_string(document).unwrap();
    let code = text
        .split("```")
        .find_map(|block| block.strip_prefix("python\n"));
    code.unwrap().to_owned()
}

#[test]
fn the_snippet_of_the_documentation_reads_a_sentence() {
    let code = snippet();
    let lines = code.lines().filter(|line| !line.is_empty()).count();
    assert!(lines <= 20, "a snippet of {lines} lines");
    let Some(python) = std::env::var_os("PYTHON_WITH_ZARR") else {
        println!(
            "skipped: PYTHON_WITH_ZARR names no Python with zarr (`cargo xtask test` sets it)"
        );
        return;
    };
    for codec in [Codec::None, Codec::Blosc] {
        let fixture = Fixture::usual(StoreDtype::F16).compressed(codec);
        let folder = tempfile::tempdir().unwrap();
        fixture.fill(folder.path(), 0);
        // Sentence 3 of the fixture goes on in a second sequence.
        for (split, sentence) in [(SplitName::Train, 3), (SplitName::Test, 0)] {
            let output = Command::new(&python)
                .args(["-c", &code])
                .arg(folder.path())
                .args([split.to_string(), sentence.to_string()])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(
                said.trim_end(),
                expected(&fixture, split, sentence),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

/// What the snippet prints of a sentence.
fn expected(fixture: &Fixture, split: SplitName, sentence: u32) -> String {
    let table = fixture.table(split);
    let index = usize::try_from(sentence).unwrap();
    let before: usize = table.words[..index].iter().map(Vec::len).sum();
    let mut text = String::from("[");
    for (number, word) in table.words[index].iter().enumerate() {
        let class = usize::try_from(table.labels[0].ids[before + number]).unwrap();
        let comma = if number > 0 { ", " } else { "" };
        let tag = &table.labels[0].classes[class];
        write!(text, "{comma}('{word}', '{tag}')").unwrap();
    }
    let sequences: Vec<usize> = (0..table.sentence_of.len())
        .filter(|&sequence| table.sentence_of[sequence] == sentence)
        .collect();
    let start = usize::try_from(table.offsets[sequences[0]]).unwrap();
    let end = usize::try_from(table.offsets[sequences[sequences.len() - 1] + 1]).unwrap();
    let tokens = end - start;
    write!(
        text,
        "] ({tokens}, 3, 8) float16 {:?}",
        &table.word_ids[start..end]
    )
    .unwrap();
    text
}
