//! Who writes a part: one process at a time, without file locks, which network file systems do not keep.
//!
//! A claim is a file `progress/<part>.owner-<n>` that only one process can create; the highest n is the owner. A
//! claim is never deleted to be taken over: the next one is created with n + 1, and again only one process can. The
//! owner's file is rewritten every [`HEARTBEAT`]. An owner is dead if it ran on this machine and its process is gone,
//! or, elsewhere, if its file has not been touched for [`STALE_AFTER`] (for [`REBOOT_AFTER`] if its machine has the name of
//! this one, which was started anew, most likely). Times are the file system's, which writes them: no other clock is asked.
//! Should that one jump, a living owner may be taken for dead until its next beat: then it learns at its end that the
//! part is not its own any more, and leaves it to the other, which writes the same bytes.

mod process;

use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

pub use self::process::OwnerRecord;
use crate::StoreError;
use crate::error::named;
use crate::layout::record::progress_folder;

const HEARTBEAT: Duration = Duration::from_secs(30);
const STALE_AFTER: Duration = Duration::from_mins(10);
/// Machines may share a name without sharing anything else, so even then an owner is given time for some beats.
const REBOOT_AFTER: Duration = Duration::from_mins(2);

/// The right to write a part, given back when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    progress: PathBuf,
    part: String,
    number: u32,
    record: OwnerRecord,
    heart: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Claim {
    /// Takes a part, unless somebody alive has it.
    pub(crate) fn take(store: &Path, part: &str) -> Result<Self, StoreError> {
        let progress = progress_folder(store);
        let record = OwnerRecord::of_this_process();
        let text = crate::layout::metadata::pretty(&record);
        let draft = progress.join(format!(".{part}.owner.{}.tmp", record.token));
        fs_err::write(&draft, &text).map_err(StoreError::io)?;
        let taken = take_with(&progress, part, &record, &draft, &text);
        // A draft that stays harms nobody: the folder goes when the store is complete.
        let _ = fs_err::remove_file(&draft);
        let number = taken?;
        let heart = Some(beat(claim_path(&progress, part, number), text).map_err(StoreError::io)?);
        Ok(Self {
            progress,
            part: part.to_owned(),
            number,
            record,
            heart,
        })
    }

    /// Random name of the claim, for the names of temporary files.
    pub(crate) fn token(&self) -> &str {
        &self.record.token
    }

    /// An error if somebody else has taken the part over, or the store is not there any more.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let own = read_claim(&claim_path(&self.progress, &self.part, self.number));
        let taken_over = claim_path(&self.progress, &self.part, self.number + 1).exists();
        if !taken_over
            && own.is_some_and(|(own, _)| own.is_some_and(|own| own.token == self.record.token))
        {
            return Ok(());
        }
        let store = self.progress.parent().unwrap_or(&self.progress);
        if !store.join("zarr.json").exists() {
            let what = "is not there any more: was it moved or deleted, or its disk unmounted, while it was written?";
            let error = io::Error::new(ErrorKind::NotFound, what);
            return Err(named(store, error));
        }
        Err(StoreError::OwnerLost {
            part: self.part.clone(),
        })
    }

    /// Gives a finished part back: no claim of it stays.
    pub(crate) fn finish(self) {
        for number in (0..self.number).rev() {
            let _ = fs_err::remove_file(claim_path(&self.progress, &self.part, number));
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some((stop, heart)) = self.heart.take() {
            drop(stop);
            let _ = heart.join();
        }
        // If it cannot be removed, the next process sees that this one is gone.
        if self.check().is_ok() {
            let _ = fs_err::remove_file(claim_path(&self.progress, &self.part, self.number));
        }
    }
}

/// The owners that are alive, of any part of the store.
pub(crate) fn living_owners(store: &Path) -> Vec<(String, OwnerRecord)> {
    let observer = OwnerRecord::of_this_process();
    let progress = progress_folder(store);
    let (Ok(entries), now) = (fs_err::read_dir(&progress), now_in(&progress)) else {
        return Vec::new();
    };
    let claims = entries.filter_map(Result::ok).filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (part, _) = name.split_once(".owner-")?;
        let (owner, touched) = read_claim(&entry.path())?;
        let owner = owner?;
        (!owner.is_dead(&observer, silence(now, touched))).then(|| (part.to_owned(), owner))
    });
    claims.collect()
}

/// The file system's own time, by a file written in `folder`; this machine's where none can be written.
fn now_in(folder: &Path) -> SystemTime {
    let probe = folder.join(format!(".now.{}.tmp", OwnerRecord::of_this_process().token));
    let written = fs_err::write(&probe, b"").and_then(|()| fs_err::metadata(&probe)?.modified());
    let _ = fs_err::remove_file(&probe);
    written.unwrap_or_else(|_| SystemTime::now())
}

/// How long a file has not been touched. One from the future was touched before the clock was set back: it must not count as
/// touched until that future comes.
fn silence(now: SystemTime, touched: SystemTime) -> Duration {
    now.duration_since(touched)
        .unwrap_or_else(|future| future.duration())
}

fn claim_path(progress: &Path, part: &str, number: u32) -> PathBuf {
    progress.join(format!("{part}.owner-{number}"))
}

/// Number of the claim that was won. `draft` is a file with the claim's text, just written: its time is the file
/// system's own now, which the clocks of other machines are not.
fn take_with(
    progress: &Path,
    part: &str,
    own: &OwnerRecord,
    draft: &Path,
    text: &[u8],
) -> Result<u32, StoreError> {
    let now = fs_err::metadata(draft)
        .and_then(|draft| draft.modified())
        .map_err(StoreError::io)?;
    let mut number = 0;
    loop {
        let path = claim_path(progress, part, number);
        match create(draft, &path, text) {
            Ok(()) => return Ok(number),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(StoreError::io(error)),
        }
        // Somebody has this number. If a higher one is there, only that one counts.
        if claim_path(progress, part, number + 1).exists() {
            number += 1;
            continue;
        }
        // Given back since: try the same number again, so that there is never a gap below an owner.
        let Some((owner, touched)) = read_claim(&path) else {
            continue;
        };
        let silent_for = silence(now, touched);
        // A claim without text was killed, or is slow, while it was made.
        let dead = owner.as_ref().map_or(silent_for > HEARTBEAT, |owner| {
            owner.is_dead(own, silent_for)
        });
        if !dead {
            let owner = Box::new(owner.unwrap_or_else(|| OwnerRecord::unknown(&path)));
            return Err(StoreError::Owned {
                part: part.to_owned(),
                owner,
            });
        }
        number += 1;
    }
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
fn read_claim(path: &Path) -> Option<(Option<OwnerRecord>, SystemTime)> {
    let bytes = fs_err::read(path).ok()?;
    let touched = fs_err::metadata(path)
        .and_then(|file| file.modified())
        .ok()?;
    Some((serde_json::from_slice(&bytes).ok(), touched))
}

/// Rewrites the claim until the sender is dropped.
fn beat(path: PathBuf, text: Vec<u8>) -> io::Result<(Sender<()>, JoinHandle<()>)> {
    let file = fs_err::OpenOptions::new()
        .write(true)
        .open(path)?
        .into_file();
    let (stop, stopped) = mpsc::channel::<()>();
    let heart = std::thread::Builder::new()
        .name("owner".to_owned())
        .spawn(move || {
            while stopped.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                // A beat that fails is tried again; whether the claim still holds is checked at the end.
                let _ = file.write_all_at(&text, 0).and_then(|()| file.sync_all());
            }
        })?;
    Ok((stop, heart))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store folder in which somebody has claimed part `train-0`, `silent` seconds ago.
    fn claimed(change: impl Fn(&mut OwnerRecord), silent: i64) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir(progress_folder(folder.path())).unwrap();
        let mut owner = OwnerRecord::of_this_process();
        change(&mut owner);
        let path = claim_path(&progress_folder(folder.path()), "train-0", 0);
        fs_err::write(&path, crate::layout::metadata::pretty(&owner)).unwrap();
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

    fn take(folder: &tempfile::TempDir) -> Result<Claim, StoreError> {
        Claim::take(folder.path(), "train-0")
    }

    fn elsewhere(owner: &mut OwnerRecord) {
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
        let namesake = |owner: &mut OwnerRecord| owner.boot = "another".to_owned();
        assert!(take(&claimed(namesake, 60)).is_err());
        // Of the same machine, but in a container that counts processes for itself.
        let container = |owner: &mut OwnerRecord| owner.pid_namespace = "pid:[7]".to_owned();
        assert!(take(&claimed(container, 540)).is_err());
        assert!(take(&claimed(container, 660)).is_ok());
    }

    #[test]
    fn a_clock_that_jumps_neither_kills_an_owner_nor_keeps_a_dead_one() {
        // Set back by five minutes: somebody may be alive. By a day: nobody who lives has not written since.
        assert!(take(&claimed(elsewhere, -300)).is_err());
        assert!(take(&claimed(elsewhere, -86_400)).is_ok());
        let folder = claimed(elsewhere, -300);
        assert_eq!(living_owners(folder.path()).len(), 1);
        assert!(living_owners(claimed(elsewhere, -86_400).path()).is_empty());
        let left = fs_err::read_dir(progress_folder(folder.path())).unwrap();
        assert_eq!(left.count(), 1);
        // On this machine no clock counts.
        assert!(take(&claimed(|_| (), 86_400)).is_err());
        assert!(take(&claimed(|_| (), -86_400)).is_err());
    }

    #[test]
    fn only_one_takes_over_and_the_old_owner_learns_of_it() {
        let folder = claimed(|owner| owner.started += 1, 0);
        fs_err::write(folder.path().join("zarr.json"), b"{}").unwrap();
        let claim = take(&folder).unwrap();
        assert!(claim.check().is_ok());
        assert!(matches!(take(&folder), Err(StoreError::Owned { .. })));
        fs_err::write(
            claim_path(&claim.progress, "train-0", claim.number + 1),
            b"{}",
        )
        .unwrap();
        assert!(matches!(claim.check(), Err(StoreError::OwnerLost { .. })));
        fs_err::remove_dir_all(folder.path()).unwrap();
        assert!(matches!(claim.check(), Err(StoreError::Io(_))));
    }

    #[test]
    fn of_many_that_try_at_once_one_wins() {
        for dead in [false, true] {
            let folder = claimed(|owner| owner.started += 1, 0);
            if !dead {
                fs_err::remove_file(claim_path(&progress_folder(folder.path()), "train-0", 0))
                    .unwrap();
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
        assert_eq!(
            fs_err::read_dir(progress_folder(folder.path()))
                .unwrap()
                .count(),
            0
        );
    }
}
