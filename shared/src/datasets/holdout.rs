//! A validation split for data sets that come without one: a tenth of train, the same tenth for the
//! same seed.

use sha2::{Digest, Sha256};

use super::{Sentences, Split, SplitName};

/// One sentence in so many is held out.
const SHARE: usize = 10;

/// Takes a validation split out of train where there is none. Gives what there is to tell about
/// missing splits.
pub(super) fn fill(splits: &mut Vec<Split>, seed: u64) -> Vec<String> {
    let mut notes = Vec::new();
    let has = |splits: &[Split], name| splits.iter().any(|split| split.name == name);
    if has(splits, SplitName::Train) && !has(splits, SplitName::Validation) {
        notes.push(hold_out(splits, seed));
    }
    for name in [SplitName::Train, SplitName::Test] {
        if !has(splits, name) {
            notes.push(format!("there is no {name} split"));
        }
    }
    splits.sort_by_key(|split| split.name);
    notes
}

fn hold_out(splits: &mut Vec<Split>, seed: u64) -> String {
    let Some(train) = splits
        .iter_mut()
        .find(|split| split.name == SplitName::Train)
    else {
        return String::new();
    };
    let total = train.sentences.len();
    if total < 2 {
        return "there is no validation split, and train is too small to take one from".to_owned();
    }
    let chosen = choose(&train.sentences, (total / SHARE).max(1), seed);
    let sentences = train.sentences.take_out(|index| chosen[index]);
    let note = format!(
        "there is no validation split: {} of the {total} sentences of train were taken for it (seed {seed}; --split-seed takes others, --validation names a file)",
        sentences.len()
    );
    let path = train.path.clone();
    splits.push(Split {
        name: SplitName::Validation,
        path,
        sentences,
    });
    note
}

/// Marks the `count` sentences whose hash is lowest: no two machines choose differently.
fn choose(sentences: &Sentences, count: usize, seed: u64) -> Vec<bool> {
    let mut order: Vec<([u8; 8], usize)> = (0..sentences.len())
        .map(|index| (hash(sentences, index, seed), index))
        .collect();
    order.sort_unstable();
    let mut chosen = vec![false; sentences.len()];
    for (_, index) in order.into_iter().take(count) {
        chosen[index] = true;
    }
    chosen
}

fn hash(sentences: &Sentences, index: usize, seed: u64) -> [u8; 8] {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update((index as u64).to_le_bytes());
    for word in sentences.words(index) {
        hasher.update(word);
        hasher.update([0]);
    }
    let mut start = [0; 8];
    start.copy_from_slice(&hasher.finalize()[..8]);
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(count: usize) -> Vec<Split> {
        let mut sentences = Sentences::default();
        (0..count).for_each(|index| sentences.push(&[format!("w{index}")], &["O"], index + 1));
        vec![Split {
            name: SplitName::Train,
            path: "train.conll".into(),
            sentences,
        }]
    }

    fn held_out(seed: u64) -> Vec<String> {
        let mut splits = train(105);
        let notes = fill(&mut splits, seed);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(
            notes[0].contains("10 of the 105") && notes[1].contains("no test split"),
            "{notes:?}"
        );
        assert_eq!(
            (splits[0].sentences.len(), splits[1].sentences.len()),
            (95, 10)
        );
        splits[1]
            .sentences
            .iter()
            .flat_map(|sentence| sentence.words)
            .collect()
    }

    #[test]
    fn a_tenth_is_held_out_the_same_for_the_same_seed() {
        assert_eq!(held_out(0), held_out(0));
        assert_ne!(held_out(0), held_out(1));
    }

    #[test]
    fn a_single_sentence_stays_in_train() {
        let mut splits = train(1);
        assert!(fill(&mut splits, 0)[0].contains("too small"));
        assert_eq!(splits.len(), 1);
    }
}
