//! Long sentences cut into windows that the encoder has positions for.
//!
//! An encoder reads so many tokens and no more. Cutting between words keeps every label; a word is
//! cut only when it is longer than a window by itself.

use std::ops::Range;

/// Consecutive windows over the sub-words of a sentence, each of at most `room` of them.
///
/// `word_ids` (`[tokens]`) is the word of each sub-word. A sentence without sub-words is one empty
/// window, so that it keeps its place in the store. `room` of 0 is taken as 1.
#[must_use]
pub fn windows(word_ids: &[u32], room: usize) -> Vec<Range<usize>> {
    let room = room.max(1);
    let mut windows = Vec::new();
    let mut begin = 0;
    let mut at = 0;
    for word in word_ids.chunk_by(|left, right| left == right) {
        if at > begin && at + word.len() - begin > room {
            windows.push(begin..at);
            begin = at;
        }
        at += word.len();
        while at - begin > room {
            windows.push(begin..begin + room);
            begin += room;
        }
    }
    if at > begin || windows.is_empty() {
        windows.push(begin..at);
    }
    windows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::windows;

    #[test]
    fn words_are_not_cut_where_they_fit() {
        let word_ids = [0, 0, 1, 2, 2, 2, 3];
        assert_eq!(windows(&word_ids, 7), vec![0..7]);
        assert_eq!(windows(&word_ids, 4), [0..3, 3..7]);
        assert_eq!(windows(&word_ids, 3), [0..3, 3..6, 6..7]);
        assert_eq!(windows(&word_ids, 2), [0..2, 2..3, 3..5, 5..7]);
        assert_eq!(windows(&[], 4), vec![0..0]);
    }

    proptest! {
        #[test]
        fn windows_cover_the_sentence_and_cut_only_what_does_not_fit(
            lengths in prop::collection::vec(0_usize..9, 0..30),
            room in 1_usize..12,
        ) {
            let word_ids: Vec<u32> =
                (0_u32..).zip(&lengths).flat_map(|(word, &length)| vec![word; length]).collect();
            let windows = windows(&word_ids, room);
            let mut at = 0;
            for window in &windows {
                prop_assert_eq!(window.start, at);
                prop_assert!(window.len() <= room);
                at = window.end;
                if at < word_ids.len() && word_ids[at - 1] == word_ids[at] {
                    let length = word_ids.iter().filter(|&&word| word == word_ids[at]).count();
                    prop_assert!(length > room, "a word of {} sub-words was cut", length);
                }
            }
            prop_assert_eq!(at, word_ids.len());
        }
    }
}
