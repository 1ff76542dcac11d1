use proptest::prelude::*;

use super::*;

fn split(tags: &str) -> Vec<&str> {
    tags.split_whitespace().collect()
}

fn detected(sentences: &[&str]) -> Scheme {
    detect(sentences.iter().map(|tags| split(tags)))
}

#[test]
fn every_scheme_is_recognised() {
    assert_eq!(
        detected(&["I-PER I-PER O", "O I-LOC B-LOC I-LOC"]),
        Scheme::Iob1
    );
    assert_eq!(detected(&["B-PER I-PER O", "O B-LOC B-LOC"]), Scheme::Iob2);
    assert_eq!(detected(&["I-PER I-PER O", "O I-LOC"]), Scheme::Io);
    assert_eq!(detected(&["PERSON PERSON O", "O O LOCATION"]), Scheme::Io);
    assert_eq!(detected(&["B-PER E-PER O", "S-LOC O"]), Scheme::Iobes);
    assert_eq!(detected(&["B-PER L-PER O", "U-LOC O"]), Scheme::Bilou);
    assert_eq!(detected(&["O O"]), Scheme::Iob2);
    assert_eq!(detected(&[]), Scheme::Iob2);
    assert_eq!(detected(&["B I O B"]), Scheme::Iob2);
}

#[test]
fn a_few_slips_do_not_change_the_scheme() {
    assert_eq!(
        detected(&["B-PER I-PER", "O B-LOC", "O I-ORG I-ORG"]),
        Scheme::Iob2
    );
}

#[test]
fn tags_become_iob2() {
    let cases = [
        (
            Scheme::Iob1,
            "I-PER B-PER I-PER O I-LOC",
            "B-PER B-PER I-PER O B-LOC",
        ),
        (
            Scheme::Iob2,
            "O I-PER I-PER B-LOC I-ORG",
            "O B-PER I-PER B-LOC B-ORG",
        ),
        (
            Scheme::Io,
            "PERSON PERSON O CITY",
            "B-PERSON I-PERSON O B-CITY",
        ),
        (
            Scheme::Iobes,
            "B-PER E-PER S-LOC S-LOC",
            "B-PER I-PER B-LOC B-LOC",
        ),
        (Scheme::Bilou, "B-PER L-PER U-LOC O", "B-PER I-PER B-LOC O"),
        (Scheme::Iob2, "B I O B", "B-_ I-_ O B-_"),
    ];
    for (scheme, tags, expected) in cases {
        assert_eq!(to_iob2(scheme, &split(tags)), split(expected), "{scheme}");
    }
}

/// A sentence as runs of words: a type and a length, or none for words outside.
fn sentence() -> impl Strategy<Value = Vec<(Option<&'static str>, usize)>> {
    let kind = prop_oneof![
        Just(None),
        Just(Some("PER")),
        Just(Some("LOC")),
        Just(Some("creative-work"))
    ];
    prop::collection::vec((kind, 1..4usize), 0..12)
}

/// The tags of a sentence in a scheme, written from the scheme's definition.
fn write(scheme: Scheme, runs: &[(Option<&str>, usize)]) -> Vec<String> {
    let mut tags = Vec::new();
    let mut before = None;
    for &(kind, length) in runs {
        for index in 0..length {
            let (first, last) = (index == 0, index + 1 == length);
            let prefix = match scheme {
                Scheme::Iob1 if first && kind == before => "B",
                Scheme::Iobes if first && last => "S",
                Scheme::Bilou if first && last => "U",
                Scheme::Iob2 | Scheme::Iobes | Scheme::Bilou if first => "B",
                Scheme::Iobes if last => "E",
                Scheme::Bilou if last => "L",
                _ => "I",
            };
            tags.push(kind.map_or_else(|| "O".to_owned(), |kind| format!("{prefix}-{kind}")));
        }
        before = kind;
    }
    tags
}

/// What the runs are in IOB2; in IO adjacent runs of one type are one.
fn expected(scheme: Scheme, runs: &[(Option<&str>, usize)]) -> Vec<String> {
    let mut merged: Vec<(Option<&str>, usize)> = Vec::new();
    for &(kind, length) in runs {
        match merged.last_mut() {
            Some((before, total)) if scheme == Scheme::Io && *before == kind => *total += length,
            _ => merged.push((kind, length)),
        }
    }
    write(Scheme::Iob2, &merged)
}

proptest! {
    #[test]
    fn conversion_keeps_the_spans_of_every_scheme(runs in sentence()) {
        for scheme in [Scheme::Iob1, Scheme::Iob2, Scheme::Io, Scheme::Iobes, Scheme::Bilou] {
            let tags = write(scheme, &runs);
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            prop_assert_eq!(to_iob2(scheme, &tags), expected(scheme, &runs), "{}", scheme);
        }
    }

    #[test]
    fn any_tags_can_be_converted_and_stay_as_they_then_are(tags in prop::collection::vec("[BIOESLU]-?[A-Z]{0,2}|\\PC{0,3}", 0..12)) {
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        for scheme in [Scheme::Iob1, Scheme::Iob2, Scheme::Io, Scheme::Iobes, Scheme::Bilou] {
            let once = to_iob2(scheme, &tags);
            let twice = to_iob2(Scheme::Iob2, &once.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(&once, &twice);
        }
    }
}
