//! The tree with the highest sum of scores: a maximum spanning arborescence (Chu and Liu 1965;
//! Edmonds 1967) in which exactly one word hangs on the root.
//!
//! Arcs from the root are lowered by more than any two sums of scores can differ, so that the best
//! tree has as few of them as there can be, one, and is the best of those that have one. Sums are
//! in float64, which holds that for scores in float32.

/// No word: the place of the root among heads, before all words.
const ROOT: usize = 0;

/// The heads of the tree with the highest sum of `scores` `[words, words + 1]`: how well each word
/// (row) hangs on the root (column 0) and on each word; what it has for itself does not count.
/// Gives for each word its head, none for the root. Scores that are NaN or infinite count as
/// lowest.
///
/// # Panics
/// When there are not so many scores.
#[must_use]
pub fn best_tree(scores: &[f32], words: usize) -> Vec<Option<usize>> {
    assert_eq!(scores.len(), words * (words + 1), "scores of {words} words");
    if words == 0 {
        return Vec::new();
    }
    let mut graph = Graph::new(scores, words);
    while let Some(cycle) = graph.cycle() {
        graph.contract(&cycle);
    }
    let heads = graph.expand();
    let of_word = |head: &usize| head.checked_sub(1);
    heads[1..].iter().map(of_word).collect()
}

/// An arc between words, or the root.
#[derive(Debug, Clone, Copy)]
struct Link {
    head: usize,
    dependent: usize,
}

/// The arcs between the root and groups of words, of which each is called by one of its nodes. In
/// the beginning each word is a group; a circle becomes one.
struct Graph {
    nodes: usize,
    /// `[nodes, nodes]`, of the best arc into each group (row) from each (column), less what is
    /// lost by it inside the group.
    scores: Vec<f64>,
    /// The arc that is meant.
    links: Vec<Link>,
    /// The groups that there are, without the root.
    active: Vec<usize>,
    /// The nodes in each group.
    members: Vec<Vec<usize>>,
    contractions: Vec<Contraction>,
}

/// A circle that became a group: its groups with their nodes, and the arc into each on the circle.
struct Contraction(Vec<(Vec<usize>, Link)>);

impl Graph {
    fn new(scores: &[f32], words: usize) -> Self {
        let nodes = words + 1;
        let finite = || scores.iter().filter(|score| score.is_finite());
        let (lowest, highest) = finite().fold((0.0_f64, 0.0_f64), |(lowest, highest), &score| {
            (lowest.min(score.into()), highest.max(score.into()))
        });
        #[expect(clippy::cast_precision_loss, reason = "words of a sentence")]
        let more_than_all = (highest - lowest + 1.0) * nodes as f64;
        let mut all = vec![f64::NEG_INFINITY; nodes * nodes];
        let mut links = Vec::with_capacity(nodes * nodes);
        for dependent in 0..nodes {
            for head in 0..nodes {
                links.push(Link { head, dependent });
                if dependent == ROOT || head == dependent {
                    continue;
                }
                let score = scores[(dependent - 1) * nodes + head];
                let score = if score.is_finite() {
                    f64::from(score)
                } else {
                    lowest - 1.0
                };
                let penalty = if head == ROOT { more_than_all } else { 0.0 };
                all[dependent * nodes + head] = score - penalty;
            }
        }
        Self {
            nodes,
            scores: all,
            links,
            active: (1..nodes).collect(),
            members: (0..nodes).map(|node| vec![node]).collect(),
            contractions: Vec::new(),
        }
    }

    fn place(&self, dependent: usize, head: usize) -> usize {
        dependent * self.nodes + head
    }

    /// The group that a group hangs on best, the first of equal ones.
    fn best_head(&self, dependent: usize) -> usize {
        let others = self.active.iter().filter(|&&head| head != dependent);
        let mut best = ROOT;
        for &head in others {
            if self.scores[self.place(dependent, head)] > self.scores[self.place(dependent, best)] {
                best = head;
            }
        }
        best
    }

    /// A circle among the best heads of all groups, if there is one: each group and its head.
    fn cycle(&self) -> Option<Vec<(usize, usize)>> {
        let mut heads = vec![ROOT; self.nodes];
        for &group in &self.active {
            heads[group] = self.best_head(group);
        }
        let mut met = vec![ROOT; self.nodes];
        for &start in &self.active {
            let mut group = start;
            while group != ROOT && met[group] == ROOT {
                met[group] = start;
                group = heads[group];
            }
            if group == ROOT || met[group] != start {
                continue;
            }
            let mut cycle = vec![(group, heads[group])];
            let mut at = heads[group];
            while at != group {
                cycle.push((at, heads[at]));
                at = heads[at];
            }
            return Some(cycle);
        }
        None
    }

    /// Makes one group of a circle: an arc into it takes the place of the one into that group.
    fn contract(&mut self, cycle: &[(usize, usize)]) {
        let (name, _) = cycle[0];
        let inside: Vec<usize> = cycle.iter().map(|&(group, _)| group).collect();
        self.active.retain(|group| !inside.contains(group));
        let outside: Vec<usize> = std::iter::once(ROOT).chain(self.active.clone()).collect();
        let mut best = Vec::with_capacity(outside.len());
        for &other in &outside {
            let into = cycle.iter().map(|&(group, head)| {
                let place = self.place(group, other);
                (
                    self.scores[place] - self.scores[self.place(group, head)],
                    place,
                )
            });
            let from = inside.iter().map(|&group| {
                let place = self.place(other, group);
                (self.scores[place], place)
            });
            best.push((highest(into), highest(from)));
        }
        let links = cycle.iter().map(|&(group, head)| {
            let link = self.links[self.place(group, head)];
            (std::mem::take(&mut self.members[group]), link)
        });
        let contraction = Contraction(links.collect());
        let all = contraction.0.iter().flat_map(|(nodes, _)| nodes);
        self.members[name] = all.copied().collect();
        self.contractions.push(contraction);
        for (&other, (into, from)) in outside.iter().zip(best) {
            for ((score, link), place) in [
                (into, self.place(name, other)),
                (from, self.place(other, name)),
            ] {
                (self.scores[place], self.links[place]) = (score, self.links[link]);
            }
        }
        self.active.push(name);
    }

    /// The heads of all nodes, when no circle is left.
    fn expand(mut self) -> Vec<usize> {
        let mut heads = vec![None; self.nodes];
        for &group in &self.active {
            let link = self.links[self.place(group, self.best_head(group))];
            heads[link.dependent] = Some(link.head);
        }
        while let Some(Contraction(groups)) = self.contractions.pop() {
            let entered = |nodes: &[usize]| nodes.iter().any(|&node| heads[node].is_some());
            let within: Vec<Link> = groups
                .iter()
                .filter(|(nodes, _)| !entered(nodes))
                .map(|(_, link)| *link)
                .collect();
            for link in within {
                heads[link.dependent] = Some(link.head);
            }
        }
        heads.into_iter().map(|head| head.unwrap_or(ROOT)).collect()
    }
}

/// The highest score, the first of equal ones, with its place.
fn highest(scores: impl Iterator<Item = (f64, usize)>) -> (f64, usize) {
    let better = |best: (f64, usize), one: (f64, usize)| if one.0 > best.0 { one } else { best };
    scores.reduce(better).unwrap_or((f64::NEG_INFINITY, 0))
}
