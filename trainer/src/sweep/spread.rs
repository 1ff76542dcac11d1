//! The groups of a sweep on several GPUs: each GPU gets the next group when it has finished one. A GPU
//! that fails gets no more, so that the others train what is left.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Whether a device can be used after a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can train another group.
    Well,
    /// It has failed and is not used any more.
    Failed,
}

/// The results of the groups.
#[derive(Debug)]
pub struct Spread<G, R> {
    /// Of groups that a device has trained, in the order in which they ended.
    pub results: Vec<R>,
    /// Groups that no device has trained: all devices have failed, or a signal came.
    pub left: Vec<G>,
}

/// Calls `work` with the number of a device and each of the groups, for each device in a thread of its
/// own, until `stop` says so.
pub fn spread<G: Send, R: Send>(
    devices: usize,
    groups: Vec<G>,
    stop: impl Fn() -> bool + Sync,
    work: impl Fn(usize, G) -> (R, Health) + Sync,
) -> Spread<G, R> {
    let (queue, results) = (Mutex::new(VecDeque::from(groups)), Mutex::new(Vec::new()));
    let next = || {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        if stop() { None } else { queue.pop_front() }
    };
    let device = |device: usize| {
        while let Some(group) = next() {
            let (result, health) = work(device, group);
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.push(result);
            if health == Health::Failed {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for number in 0..devices {
            let device = &device;
            scope.spawn(move || device(number));
        }
    });
    let left = queue.into_inner().unwrap_or_else(PoisonError::into_inner);
    Spread {
        results: results.into_inner().unwrap_or_else(PoisonError::into_inner),
        left: left.into(),
    }
}

/// Cuts the largest groups in two until there are as many as `wanted`, or none has two members; the
/// largest come first. Members that are `alike` stay together where they can.
pub fn divided<T>(
    groups: Vec<Vec<T>>,
    wanted: usize,
    alike: impl Fn(&T, &T) -> bool,
) -> Vec<Vec<T>> {
    let mut groups: Vec<Vec<T>> = groups
        .into_iter()
        .map(|members| sorted(members, &alike))
        .collect();
    loop {
        groups.sort_by_key(|members| std::cmp::Reverse(members.len()));
        let enough = groups.len() >= wanted;
        let Some(largest) = groups
            .first_mut()
            .filter(|members| !enough && members.len() > 1)
        else {
            return groups;
        };
        let middle = largest.len() / 2;
        let ends = (1..largest.len()).filter(|&end| !alike(&largest[end - 1], &largest[end]));
        let end = ends.min_by_key(|end| end.abs_diff(middle));
        let second = largest.split_off(end.unwrap_or(middle));
        groups.push(second);
    }
}

/// The members in their order, but for those that are alike, which follow the first of them.
fn sorted<T>(members: Vec<T>, alike: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let mut kinds: Vec<Vec<T>> = Vec::new();
    for member in members {
        match kinds.iter_mut().find(|kind| alike(&kind[0], &member)) {
            Some(kind) => kind.push(member),
            None => kinds.push(vec![member]),
        }
    }
    kinds.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_group_is_worked_on_once_and_all_devices_work() {
        let all_at_work = Barrier::new(3);
        let done = spread(
            3,
            (0..12).collect(),
            || false,
            |device, group| {
                if group < 3 {
                    // Passed only when all three devices are at work.
                    all_at_work.wait();
                }
                ((device, group), Health::Well)
            },
        );
        let mut groups: Vec<usize> = done.results.iter().map(|&(_, group)| group).collect();
        groups.sort_unstable();
        assert_eq!(groups, (0..12).collect::<Vec<_>>());
        assert!(done.left.is_empty());
    }

    #[test]
    fn a_device_that_fails_leaves_its_share_to_the_others() {
        let all_at_work = Barrier::new(2);
        let done = spread(
            2,
            (0..9).collect(),
            || false,
            |device, group| {
                if group < 2 {
                    all_at_work.wait();
                }
                let health = if device == 1 {
                    Health::Failed
                } else {
                    Health::Well
                };
                ((device, group), health)
            },
        );
        assert_eq!((done.results.len(), done.left.len()), (9, 0));
        let of_failed = done.results.iter().filter(|&&(device, _)| device == 1);
        assert_eq!(of_failed.count(), 1);

        let done = spread(
            2,
            (0..9).collect(),
            || false,
            |_, group| (group, Health::Failed),
        );
        assert_eq!((done.results.len(), done.left.len()), (2, 7));
    }

    #[test]
    fn what_is_to_stop_takes_no_more() {
        let taken = AtomicUsize::new(0);
        let stop = || taken.load(Ordering::SeqCst) >= 3;
        let done = spread(1, (0..9).collect(), stop, |_, group| {
            taken.fetch_add(1, Ordering::SeqCst);
            (group, Health::Well)
        });
        assert_eq!(done.results, [0, 1, 2]);
        assert_eq!(done.left, [3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn groups_are_divided_until_there_are_enough() {
        let alike = |one: &&str, other: &&str| one == other;
        let of = |groups: &[&[&'static str]], wanted| {
            let groups = groups.iter().map(|group| group.to_vec()).collect();
            divided(groups, wanted, alike)
        };
        assert_eq!(of(&[&["a", "b", "a"]], 1), [["a", "a", "b"]]);
        assert_eq!(of(&[&["a", "b", "a"]], 2), [vec!["a", "a"], vec!["b"]]);
        assert_eq!(
            of(&[&["a"; 8]], 3),
            [vec!["a"; 4], vec!["a"; 2], vec!["a"; 2]]
        );
        assert_eq!(of(&[&["a"], &["b", "c"]], 2), [vec!["b", "c"], vec!["a"]]);
        assert_eq!(of(&[&["a"]], 4), [["a"]]);
    }
}
