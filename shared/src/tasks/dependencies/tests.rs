use super::*;

/// Numbers that repeat (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    /// Whole numbers, so that sums are exact whatever their order; few of them, so that many are
    /// equal.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn scores(&mut self, words: usize, most: u64) -> Vec<f32> {
        let scores = 0..words * (words + 1);
        scores
            .map(|_| self.below(2 * most) as f32 - most as f32)
            .collect()
    }
}

fn sum(scores: &[f32], heads: &[Option<usize>]) -> f32 {
    let words = heads.len();
    let of = |(word, head): (usize, &Option<usize>)| {
        scores[word * (words + 1) + head.map_or(0, |head| head + 1)]
    };
    heads.iter().enumerate().map(of).sum()
}

fn is_tree(heads: &[Option<usize>]) -> bool {
    let heads: Vec<i32> = heads
        .iter()
        .map(|head| head.map_or(ROOT, |head| i32::try_from(head).unwrap()))
        .collect();
    check(&heads) == Ok(())
}

/// The best sum over all trees with one root.
fn best_of_all(scores: &[f32], words: usize) -> f32 {
    fn fill(
        word: usize,
        roots: usize,
        heads: &mut Vec<Option<usize>>,
        scores: &[f32],
        best: &mut f32,
    ) {
        if word == heads.len() {
            if roots == 1 && sum(scores, heads) > *best && is_tree(heads) {
                *best = sum(scores, heads);
            }
            return;
        }
        for head in std::iter::once(None).chain((0..heads.len()).map(Some)) {
            let roots = roots + usize::from(head.is_none());
            if head != Some(word) && roots < 2 {
                heads[word] = head;
                fill(word + 1, roots, heads, scores, best);
            }
        }
    }
    let mut best = f32::NEG_INFINITY;
    let mut heads = vec![None; words];
    fill(0, 0, &mut heads, scores, &mut best);
    best
}

/// The score of the best tree by the algorithm on lists of arcs, which contracts circles by
/// renaming their nodes; once for each word as the only one on the root.
fn best_by_arcs(scores: &[f32], words: usize) -> f32 {
    let of_root = |root: usize| {
        let mut arcs: Vec<(usize, usize, f32)> = Vec::new();
        for word in 0..words {
            if word == root {
                arcs.push((0, word + 1, scores[word * (words + 1)]));
            }
            let others = (0..words).filter(|&head| head != word && word != root);
            arcs.extend(
                others.map(|head| (head + 1, word + 1, scores[word * (words + 1) + head + 1])),
            );
        }
        let (mut nodes, mut root_node, mut total) = (words + 1, 0, 0.0);
        loop {
            let mut best = vec![(f32::NEG_INFINITY, usize::MAX); nodes];
            for &(head, dependent, score) in &arcs {
                if head != dependent && score > best[dependent].0 {
                    best[dependent] = (score, head);
                }
            }
            let (mut name, mut seen, mut count) =
                (vec![usize::MAX; nodes], vec![usize::MAX; nodes], 0);
            for node in (0..nodes).filter(|&node| node != root_node) {
                total += best[node].0;
                let mut at = node;
                while at != root_node && seen[at] != node && name[at] == usize::MAX {
                    seen[at] = node;
                    at = best[at].1;
                }
                if at != root_node && name[at] == usize::MAX {
                    let mut inside = best[at].1;
                    while inside != at {
                        name[inside] = count;
                        inside = best[inside].1;
                    }
                    name[at] = count;
                    count += 1;
                }
            }
            if count == 0 {
                return total;
            }
            for name in name.iter_mut().filter(|name| **name == usize::MAX) {
                *name = count;
                count += 1;
            }
            for (head, dependent, score) in &mut arcs {
                *score -= best[*dependent].0;
                (*head, *dependent) = (name[*head], name[*dependent]);
            }
            arcs.retain(|(head, dependent, _)| head != dependent);
            (root_node, nodes) = (name[root_node], count);
        }
    };
    (0..words).map(of_root).fold(f32::NEG_INFINITY, f32::max)
}

#[test]
fn the_best_tree_of_few_words_is_the_best_of_all() {
    let mut random = Random(1);
    for words in 1..=7 {
        for round in 0..[400, 400, 400, 200, 60, 12][(words - 1).min(5)] {
            let scores = random.scores(words, [3, 100][round % 2]);
            let heads = best_tree(&scores, words);
            assert!(is_tree(&heads), "{heads:?}");
            let best = best_of_all(&scores, words);
            assert!((sum(&scores, &heads) - best).abs() < 1e-6, "{scores:?}");
            assert!((best_by_arcs(&scores, words) - best).abs() < 1e-6);
        }
    }
    assert!(best_tree(&[], 0).is_empty());
}

#[test]
fn the_best_tree_of_many_words_has_the_best_score() {
    let mut random = Random(2);
    for round in 0..150 {
        let words = 8 + usize::try_from(random.below(50)).unwrap();
        let scores = random.scores(words, [2, 20, 1000][round % 3]);
        let heads = best_tree(&scores, words);
        assert!(is_tree(&heads), "{heads:?}");
        let best = best_by_arcs(&scores, words);
        assert!((sum(&scores, &heads) - best).abs() < 1e-6);
    }
    // Circles within circles: neighbours hang on each other, then pairs of them, and so on.
    let words = 64;
    let mut scores = vec![-1000.0; words * (words + 1)];
    for word in 0..words {
        for head in (0..words).filter(|&head| head != word) {
            let shared = (word ^ head).ilog2();
            scores[word * (words + 1) + head + 1] = 10.0 - f32::from(u8::try_from(shared).unwrap());
        }
    }
    let heads = best_tree(&scores, words);
    assert!(is_tree(&heads));
    assert!((sum(&scores, &heads) - best_by_arcs(&scores, words)).abs() < 1e-3);
}

#[test]
fn scores_that_are_no_numbers_make_a_tree_too() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e38] {
        let mut scores = vec![0.0; 5 * 6];
        scores[7] = value;
        assert!(is_tree(&best_tree(&scores, 5)));
        assert!(is_tree(&best_tree(&[value; 30], 5)));
    }
}

#[test]
fn what_is_no_tree_is_told_with_its_word() {
    let told = |heads: &[i32]| match check(heads) {
        Ok(()) => (usize::MAX, String::new()),
        Err((word, error)) => (word, error.to_string()),
    };
    assert_eq!(told(&[1, ROOT, 1]), (usize::MAX, String::new()));
    assert_eq!(told(&[]), (usize::MAX, String::new()));
    assert_eq!(told(&[NO_HEAD, 0, NO_HEAD]), (usize::MAX, String::new()));
    let out = "the head of word 1 is word 4, but the sentence has 3 words";
    assert_eq!(told(&[3, ROOT, 1]), (0, out.to_owned()));
    assert_eq!(told(&[-7, ROOT]).0, 0);
    let two = "words 1 and 3 are both the root; a sentence has one";
    assert_eq!(told(&[ROOT, 0, ROOT]), (2, two.to_owned()));
    let cycle = "the heads go in a circle: word 2 hangs on word 4 hangs on word 3 hangs on word 2";
    assert_eq!(told(&[ROOT, 3, 1, 2]), (1, cycle.to_owned()));
    assert!(told(&[0]).1.ends_with("word 1 hangs on word 1"));
    assert!(told(&[ROOT, NO_HEAD, 4, 4, 3]).1.contains("circle"));
}

#[test]
fn subtypes_and_function_words() {
    let arc = |head, relation| Arc { head, relation };
    let gold = [
        arc(Some(1), "det"),
        arc(Some(2), "nsubj:pass"),
        arc(None, "root"),
        arc(Some(4), "case"),
        arc(Some(2), "obl:agent"),
        arc(Some(2), ""),
    ];
    let predicted = [
        arc(Some(1), "amod"),
        arc(Some(2), "nsubj"),
        arc(None, "root"),
        arc(Some(2), "case"),
        arc(Some(2), "obl:agent"),
        arc(Some(4), "punct"),
    ];
    let mut scores = AttachmentScores::default();
    scores.add(&gold, &predicted);
    assert_eq!((scores.words, scores.heads), (5, 4));
    assert_eq!((scores.labelled, scores.exact), (3, 2));
    // Content words: three of three are found, and `amod` is predicted for none.
    let content = scores.content;
    assert_eq!(
        (content.correct, content.predicted, content.gold),
        (3, 4, 3)
    );
    assert_eq!(scores.relations.types["nsubj"].correct, 1);
    assert_eq!(scores.distances[&1].gold, 3);
    let all: u64 = scores
        .distances
        .values()
        .map(|counts| counts.predicted)
        .sum();
    assert_eq!(all, 5);
}
