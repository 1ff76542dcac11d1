//! Who works on something that one process at a time may write: a part of a store, a store that is being
//! opened, a run. Without file locks, which network file systems do not keep.
//!
//! A claim is a file `<name>.owner-<n>` that only one process can create; the highest n is the owner. A
//! claim is never deleted to be taken over: the next one is created with n + 1, and again only one
//! process can. The owner's file is rewritten every `HEARTBEAT`. An owner is dead if it ran on this
//! machine and its process is gone, or if its batch job has been started again since, or, elsewhere, if
//! its file has not been touched for `STALE_AFTER` (for `REBOOT_AFTER` if its machine has the name of
//! this one, which was started anew, most likely). Times are the file system's, which writes them: no
//! other clock is asked. Should that one jump, a living owner may be taken for dead until its next
//! heartbeat: then it learns at its end that it is not the owner any more.

mod heartbeat;
mod owner;

use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use heartbeat::{HEARTBEAT, Heartbeat};
pub use owner::Owner;

/// How long the file of an owner elsewhere may be untouched.
const STALE_AFTER: Duration = Duration::from_mins(10);
/// Machines may share a name without sharing anything else, so even then an owner is given time for
/// some heartbeats.
const REBOOT_AFTER: Duration = Duration::from_mins(2);

/// Why something cannot be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The file of the claim cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A living process has it.
    #[error("it is in the hands of {0}")]
    Held(Box<Owner>),
}

/// The right to write something, given back when dropped.
#[derive(Debug)]
pub struct Claim {
    folder: PathBuf,
    name: String,
    number: u32,
    owner: Owner,
    heartbeat: Option<Heartbeat>,
}

impl Claim {
    /// Claims `name`, by a file in `folder`.
    ///
    /// # Errors
    /// [`ClaimError::Held`] with the owner, if that one is alive.
    pub fn take(folder: &Path, name: &str) -> Result<Self, ClaimError> {
        Self::take_as(Owner::of_this_process(), folder, name)
    }

    /// Says that this process is at work in `folder`, as any number of processes may be at a time:
    /// [`living`] tells of it. The claim's name is `name` and random digits.
    ///
    /// # Errors
    /// [`ClaimError::Io`].
    pub fn join(folder: &Path, name: &str) -> Result<Self, ClaimError> {
        let owner = Owner::of_this_process();
        let name = format!("{name}-{}", owner.token);
        Self::take_as(owner, folder, &name)
    }

    fn take_as(owner: Owner, folder: &Path, name: &str) -> Result<Self, ClaimError> {
        let mut text = serde_json::to_vec_pretty(&owner).map_err(io::Error::from)?;
        text.push(b'\n');
        // Hidden, and swept as other temporary files are, should this process be killed now.
        let hidden = name.trim_start_matches('.');
        let draft = folder.join(format!(".{hidden}.owner.{}.tmp", owner.token));
        fs_err::write(&draft, &text)?;
        let taken = take_with(folder, name, &owner, &draft, &text);
        let _ = fs_err::remove_file(&draft);
        let number = taken?;
        let heartbeat = Some(Heartbeat::start(&path_of(folder, name, number), text)?);
        Ok(Self {
            folder: folder.to_owned(),
            name: name.to_owned(),
            number,
            owner,
            heartbeat,
        })
    }

    /// Random name of the claim, for the names of temporary files.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.owner.token
    }

    /// Whether this process is the owner still: nobody has taken it for dead, and the file is there.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let own = read(&path_of(&self.folder, &self.name, self.number));
        let taken_over = path_of(&self.folder, &self.name, self.number + 1).exists();
        !taken_over
            && own.is_some_and(|(own, _)| own.is_some_and(|own| own.token == self.owner.token))
    }

    /// Gives back what is finished: no claim of it stays, of dead owners neither.
    pub fn finish(self) {
        for number in (0..self.number).rev() {
            let _ = fs_err::remove_file(path_of(&self.folder, &self.name, number));
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        drop(self.heartbeat.take());
        // If it cannot be removed, the next process sees that this one is gone.
        if self.is_held() {
            let _ = fs_err::remove_file(path_of(&self.folder, &self.name, self.number));
        }
    }
}

/// The living owners of anything in `folder`, with the names of what they have.
#[must_use]
pub fn living(folder: &Path) -> Vec<(String, Owner)> {
    let observer = Owner::of_this_process();
    let (Ok(entries), now) = (fs_err::read_dir(folder), now_in(folder)) else {
        return Vec::new();
    };
    let claims = entries.filter_map(Result::ok).filter_map(|entry| {
        let file = entry.file_name().to_string_lossy().into_owned();
        let (name, _) = file.split_once(".owner-")?;
        let (owner, touched) = read(&entry.path())?;
        let owner = owner?;
        (!owner.is_dead(&observer, silence(now, touched))).then(|| (name.to_owned(), owner))
    });
    claims.collect()
}

/// The file system's own time, by a file written in `folder`; this machine's where none can be
/// written.
fn now_in(folder: &Path) -> SystemTime {
    let probe = folder.join(format!(".now.{}.tmp", Owner::of_this_process().token));
    let written = fs_err::write(&probe, b"").and_then(|()| fs_err::metadata(&probe)?.modified());
    let _ = fs_err::remove_file(&probe);
    written.unwrap_or_else(|_| SystemTime::now())
}

/// How long a file has not been touched. One from the future was touched before the clock was set
/// back: it must not count as touched until that future comes.
fn silence(now: SystemTime, touched: SystemTime) -> Duration {
    now.duration_since(touched)
        .unwrap_or_else(|future| future.duration())
}

fn path_of(folder: &Path, name: &str, number: u32) -> PathBuf {
    folder.join(format!("{name}.owner-{number}"))
}

/// Number of the claim that was won. `draft` is a file with the claim's text, just written: its time
/// is the file system's own now, which the clocks of other machines are not.
fn take_with(
    folder: &Path,
    name: &str,
    own: &Owner,
    draft: &Path,
    text: &[u8],
) -> Result<u32, ClaimError> {
    let now = fs_err::metadata(draft)?.modified()?;
    let mut number = 0;
    loop {
        let path = path_of(folder, name, number);
        match create(draft, &path, text) {
            Ok(()) => return Ok(number),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
        // Somebody has this number. If a higher one is there, only that one counts.
        if path_of(folder, name, number + 1).exists() {
            number += 1;
            continue;
        }
        // Given back since: try the same number again, so that there is never a gap below an owner.
        let Some((owner, touched)) = read(&path) else {
            continue;
        };
        if !is_dead(owner.as_ref(), own, silence(now, touched)) {
            let owner = Box::new(owner.unwrap_or_else(|| Owner::unknown(&path)));
            return Err(ClaimError::Held(owner));
        }
        number += 1;
    }
}

/// Whether nobody holds a claim any more that has not been touched for `silent_for`. One without text was
/// made by a process that was killed meanwhile, or is slow.
fn is_dead(owner: Option<&Owner>, observer: &Owner, silent_for: Duration) -> bool {
    owner.map_or(silent_for > HEARTBEAT, |owner| {
        owner.is_dead(observer, silent_for)
    })
}

/// Creates the claim in one step, text and all; without hard links, in two.
fn create(draft: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    match fs_err::hard_link(draft, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            let mut file = fs_err::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(path)?;
            file.write_all(text)?;
            file.sync_all()
        }
        result => result,
    }
}

/// A claim and when it was last touched, none if it is not there.
fn read(path: &Path) -> Option<(Option<Owner>, SystemTime)> {
    let bytes = fs_err::read(path).ok()?;
    let touched = fs_err::metadata(path)
        .and_then(|file| file.modified())
        .ok()?;
    Some((serde_json::from_slice(&bytes).ok(), touched))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A store folder in which somebody has claimed part `train-0`, `silent` seconds ago.
    fn claimed(change: impl Fn(&mut Owner), silent: i64) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut owner = Owner::of_this_process();
        change(&mut owner);
        let path = path_of(folder.path(), "train-0", 0);
        fs_err::write(&path, serde_json::to_vec(&owner).unwrap()).unwrap();
        let file = fs_err::OpenOptions::new().write(true).open(&path).unwrap();
        let (now, seconds) = (
            SystemTime::now(),
            Duration::from_secs(silent.unsigned_abs()),
        );
        let touched = if silent < 0 {
            now + seconds
        } else {
            now - seconds
        };
        file.file().set_modified(touched).unwrap();
        folder
    }

    fn take(folder: &tempfile::TempDir) -> Result<Claim, ClaimError> {
        Claim::take(folder.path(), "train-0")
    }

    fn elsewhere(owner: &mut Owner) {
        (owner.host, owner.boot) = ("node17".to_owned(), "another".to_owned());
        owner.job = Some("4711".to_owned());
    }

    #[test]
    fn a_living_owner_is_named_and_kept() {
        let error = take(&claimed(|_| (), 0)).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        let error = take(&claimed(elsewhere, 120)).unwrap_err();
        assert!(
            error.to_string().contains("on node17 (job 4711)"),
            "{error}"
        );
    }

    #[test]
    fn a_dead_owner_is_replaced() {
        // The same number, another process: this one was started at another time.
        assert!(take(&claimed(|owner| owner.started += 1, 0)).is_ok());
        assert!(take(&claimed(|owner| owner.pid = u32::MAX, 0)).is_ok());
        assert!(take(&claimed(|owner| owner.boot = "before".to_owned(), 150)).is_ok());
        assert!(take(&claimed(elsewhere, 1_200)).is_ok());
    }

    #[test]
    fn a_machine_of_the_same_name_and_process_number_is_not_this_one() {
        let namesake = |owner: &mut Owner| owner.boot = "another".to_owned();
        assert!(take(&claimed(namesake, 60)).is_err());
        // Of the same machine, but in a container that counts processes for itself.
        let container = |owner: &mut Owner| owner.pid_namespace = "pid:[7]".to_owned();
        assert!(take(&claimed(container, 540)).is_err());
        assert!(take(&claimed(container, 660)).is_ok());
    }

    #[test]
    fn a_clock_that_jumps_neither_kills_an_owner_nor_keeps_a_dead_one() {
        // Set back by five minutes: somebody may be alive. By a day: nobody who lives has not written since.
        assert!(take(&claimed(elsewhere, -300)).is_err());
        assert!(take(&claimed(elsewhere, -86_400)).is_ok());
        let folder = claimed(elsewhere, -300);
        assert_eq!(living(folder.path()).len(), 1);
        assert!(living(claimed(elsewhere, -86_400).path()).is_empty());
        let left = fs_err::read_dir(folder.path()).unwrap();
        assert_eq!(left.count(), 1);
        // On this machine no clock counts.
        assert!(take(&claimed(|_| (), 86_400)).is_err());
        assert!(take(&claimed(|_| (), -86_400)).is_err());
    }

    #[test]
    fn only_one_takes_over_and_the_old_owner_learns_of_it() {
        let folder = claimed(|owner| owner.started += 1, 0);
        let claim = take(&folder).unwrap();
        assert!(claim.is_held());
        assert!(matches!(take(&folder), Err(ClaimError::Held(_))));
        fs_err::write(path_of(folder.path(), "train-0", claim.number + 1), b"{}").unwrap();
        assert!(!claim.is_held());
        fs_err::remove_dir_all(folder.path()).unwrap();
        assert!(!claim.is_held());
    }

    #[test]
    fn a_claim_without_text_is_left_to_its_maker_for_a_heartbeat() {
        let observer = Owner::of_this_process();
        assert!(!is_dead(None, &observer, HEARTBEAT));
        let over = HEARTBEAT + Duration::from_millis(1);
        assert!(is_dead(None, &observer, over));
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(path_of(folder.path(), "train-0", 0), b"").unwrap();
        assert!(matches!(take(&folder), Err(ClaimError::Held(_))));
    }

    #[test]
    fn a_file_system_without_hard_links_takes_claims_in_two_steps() {
        let folder = tempfile::tempdir().unwrap();
        // A link to a file that is not there fails as one fails where there are no links.
        let (draft, path) = (folder.path().join("none"), folder.path().join("claim"));
        create(&draft, &path, b"text").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"text");
        let error = create(&draft, &path, b"other").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs_err::read(&path).unwrap(), b"text");
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let draft = folder.path().join("draft");
        fs_err::write(&draft, b"text").unwrap();
        let gone = folder.path().join("gone");
        let taken = take_with(&gone, "train-0", &Owner::of_this_process(), &draft, b"text");
        let Err(ClaimError::Io(error)) = taken else {
            panic!("{taken:?}");
        };
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn of_many_that_try_at_once_one_wins() {
        for dead in [false, true] {
            let folder = claimed(|owner| owner.started += 1, 0);
            if !dead {
                fs_err::remove_file(path_of(folder.path(), "train-0", 0)).unwrap();
            }
            let barrier = std::sync::Barrier::new(8);
            let claims: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            take(&folder)
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect()
            });
            assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 1);
        }
    }

    #[test]
    fn a_claim_that_is_given_back_leaves_nothing() {
        let folder = claimed(|owner| owner.started += 1, 0);
        take(&folder).unwrap().finish();
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_job_that_was_started_again_is_not_alive_twice() {
        let earlier = |owner: &mut Owner| {
            elsewhere(owner);
            owner.restart = Some("1".to_owned());
        };
        let own = |restart: &str| Owner {
            job: Some("4711".to_owned()),
            restart: Some(restart.to_owned()),
            ..Owner::of_this_process()
        };
        let folder = claimed(earlier, 0);
        for (restart, taken) in [("1", false), ("2", true)] {
            let claim = Claim::take_as(own(restart), folder.path(), "train-0");
            assert_eq!(claim.is_ok(), taken, "{restart}");
        }
    }

    #[test]
    fn any_number_may_be_at_work_and_all_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let claims = [(); 3].map(|()| Claim::join(folder.path(), "writer").unwrap());
        assert_eq!(living(folder.path()).len(), 3);
        let tokens: BTreeSet<&str> = claims.iter().map(Claim::token).collect();
        assert!(tokens.len() == 3 && tokens.iter().all(|token| token.len() == 16));
        drop(claims);
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
    }
}
