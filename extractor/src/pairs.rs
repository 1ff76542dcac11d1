//! Pairs of texts that are encoded in one sequence: where the second one begins, and what is left
//! of both where they are too long.

/// The place of the first token of the second text, from the word of each token (`[tokens]`, -1 for
/// special ones); `second` is the first word of that text, 0 where there is none.
#[must_use]
pub fn second_token(word_ids: &[i32], second: usize) -> Option<usize> {
    if second == 0 {
        return None;
    }
    word_ids
        .iter()
        .position(|&word| usize::try_from(word).is_ok_and(|word| word >= second))
}

/// How many sub-words are kept of two texts with so many, if at most `room` fit: the longer one is
/// cut until both are of one length, then both in turn (`longest_first` of `transformers`).
#[must_use]
pub fn longest_first(first: usize, second: usize, room: usize) -> (usize, usize) {
    if first + second <= room {
        return (first, second);
    }
    let (shorter, longer) = (first.min(second), first.max(second));
    let (shorter, longer) = if 2 * shorter <= room {
        (shorter, longer.min(room - shorter))
    } else {
        (room / 2, room - room / 2)
    };
    if first > second {
        (longer, shorter)
    } else {
        (shorter, longer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_second_text_begins_at_its_first_sub_word() {
        let word_ids = [-1, 0, 0, 1, -1, 2, 3, -1];
        assert_eq!(second_token(&word_ids, 2), Some(5));
        assert_eq!(second_token(&word_ids, 0), None);
        assert_eq!(second_token(&word_ids, 9), None);
        // Its first word may have no sub-word.
        assert_eq!(second_token(&[0, 1, 3], 2), Some(2));
    }

    proptest! {
        #[test]
        fn the_longer_text_is_cut_first(first in 0_usize..40, second in 0_usize..40, room in 0_usize..60) {
            let (one, other) = longest_first(first, second, room);
            prop_assert_eq!(one + other, room.min(first + second));
            prop_assert!(one <= first && other <= second);
            // The one that was cut is no shorter than the other, but for the odd one.
            prop_assert!(one == first || one + 1 >= other);
            prop_assert!(other == second || other + 1 >= one);
        }
    }
}
