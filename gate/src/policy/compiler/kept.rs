//! Compiled policies on the disk, so that a start compiles nothing that was compiled
//! before: a folder for the gate alone, in the folder of the store.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use thiserror::Error;

use super::artefact::{Artefact, SEAL_BYTES};
use crate::policy::limits::{ARTEFACT_BYTES_MAX, KEPT_BYTES_MAX, KEPT_FILES_MAX};

/// The key of the seals.
const KEY_FILE: &str = "key";
const KEY_BYTES: usize = 32;
/// What an artefact's file ends in, and one that is not whole yet.
const WHOLE: &str = "compiled";
const PARTIAL: &str = "partial";

/// Why compiled policies are not kept. The gate runs all the same.
#[derive(Debug, Error)]
pub(super) enum KeptError {
    #[error("{path}: {cause}; look at the disk and at the rights of the store's folder")]
    Disk { path: PathBuf, cause: io::Error },
    #[error(
        "{path}: others than the gate's user may read or write it (mode {mode:o}, owner {owner}), \
         so nothing in it can be believed; remove it, and the gate makes it anew"
    )]
    Open {
        path: PathBuf,
        mode: u32,
        owner: u32,
    },
    #[error("{path}: it is not {what}; remove it, and the gate makes it anew")]
    Other { path: PathBuf, what: &'static str },
    #[error("the system has no randomness to make a key from")]
    Randomness,
}

#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    key: hmac::Key,
    bytes_max: u64,
    files_max: usize,
}

impl Kept {
    pub(super) fn open(folder: &Path) -> Result<Self, KeptError> {
        Self::bounded(folder, KEPT_BYTES_MAX, KEPT_FILES_MAX)
    }

    fn bounded(folder: &Path, bytes_max: u64, files_max: usize) -> Result<Self, KeptError> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(at(folder, error));
            }
            Ok(()) | Err(_) => {}
        }
        check_private(folder, true)?;
        let kept = Self {
            key: key(folder)?,
            folder: folder.to_owned(),
            bytes_max,
            files_max,
        };
        // What a gate that was killed did not get to the end of.
        for path in kept.files(PARTIAL).map_err(|error| at(folder, error))? {
            fs::remove_file(&path).map_err(|error| at(&path, error))?;
        }
        Ok(kept)
    }

    /// What is kept under a name. One that cannot be believed is as good as none, and
    /// is removed.
    pub(super) fn find(&self, name: &str) -> Option<Artefact> {
        let path = self.path(name, WHOLE);
        let file = match read(&path) {
            Ok(file) => file,
            Err(KeptError::Disk { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, "a compiled policy cannot be read; it is compiled anew");
                self.forget(name);
                return None;
            }
        };
        let found = Artefact::unseal(&self.key, name, file);
        if found.is_none() {
            tracing::warn!(
                path = %path.display(),
                "a compiled policy is damaged, or of another gate; it is compiled anew"
            );
            self.forget(name);
        }
        found
    }

    /// Lets go of one that is of no use.
    pub(super) fn forget(&self, name: &str) {
        // What cannot be removed is written over, or is of no use the next time, too.
        let _ = fs::remove_file(self.path(name, WHOLE));
    }

    /// Renamed into its place when it is whole and on the disk.
    pub(super) fn keep(&self, name: &str, artefact: &Artefact) -> Result<(), KeptError> {
        let (draft, path) = (self.path(name, PARTIAL), self.path(name, WHOLE));
        let (seal, code) = artefact.sealed(&self.key, name);
        let written = write_new(&draft, &[seal.as_ref(), code])
            .and_then(|()| fs::rename(&draft, &path))
            .and_then(|()| File::open(&self.folder)?.sync_all());
        if let Err(error) = written {
            // A full disk is not to stay so for half a file.
            let _ = fs::remove_file(&draft);
            return Err(at(&path, error));
        }
        self.make_room(&path)
            .map_err(|error| at(&self.folder, error))
    }

    /// Removes what was not used for longest, until the rest is within the bounds.
    fn make_room(&self, newest: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        for path in self.files(WHOLE)? {
            let seen = fs::symlink_metadata(&path)?;
            files.push((path != newest, seen.modified()?, seen.len(), path));
        }
        // The one just written counts as used last, whatever the clock did.
        files.sort_by(|a, b| (a.0, b.1).cmp(&(b.0, a.1)));
        let mut bytes = 0;
        for (place, (_, _, len, path)) in files.iter().enumerate() {
            bytes += len;
            if place > 0 && (bytes > self.bytes_max || place >= self.files_max) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn path(&self, name: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{name}.{ending}"))
    }

    fn files(&self, ending: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == ending) {
                found.push(path);
            }
        }
        Ok(found)
    }
}

/// A file that is for its owner alone and no longer than one can be. That it was used
/// is noted by its time.
fn read(path: &Path) -> Result<Vec<u8>, KeptError> {
    check_private(path, false)?;
    let disk = |error| at(path, error);
    let file = File::open(path).map_err(disk)?;
    let len = file.metadata().map_err(disk)?.len();
    let mut bytes = Vec::new();
    if len > (SEAL_BYTES + ARTEFACT_BYTES_MAX) as u64 {
        // None of ours: no seal fits nothing.
        return Ok(bytes);
    }
    (&file).take(len).read_to_end(&mut bytes).map_err(disk)?;
    // On a disk that can't be written to nothing is removed either.
    let _ = file.set_modified(SystemTime::now());
    Ok(bytes)
}

/// Ours, and nobody else's in any way; not through a link.
fn check_private(path: &Path, folder: bool) -> Result<(), KeptError> {
    let seen = fs::symlink_metadata(path).map_err(|error| at(path, error))?;
    let path = path.to_owned();
    let fits = if folder {
        seen.is_dir()
    } else {
        seen.is_file()
    };
    if !fits {
        let what = if folder { "a folder" } else { "a file" };
        return Err(KeptError::Other { path, what });
    }
    let (mode, owner) = (seen.mode() & 0o7777, seen.uid());
    if mode & 0o077 != 0 || owner != rustix::process::geteuid().as_raw() {
        return Err(KeptError::Open { path, mode, owner });
    }
    Ok(())
}

/// The key; a new one where there is none that can be used, and then nothing that was
/// kept can be, either.
fn key(folder: &Path) -> Result<hmac::Key, KeptError> {
    let path = folder.join(KEY_FILE);
    let disk = |error| at(&path, error);
    if path.symlink_metadata().is_ok() {
        check_private(&path, false)?;
        let bytes = fs::read(&path).map_err(disk)?;
        if bytes.len() == KEY_BYTES {
            return Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes));
        }
        fs::remove_file(&path).map_err(disk)?;
    }
    let mut bytes = [0; KEY_BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| KeptError::Randomness)?;
    write_new(&path, &[&bytes])
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(disk)?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// Writes a file that must not be there, for its owner alone, down to the disk.
fn write_new(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()
}

fn at(path: &Path, cause: io::Error) -> KeptError {
    KeptError::Disk {
        path: path.to_owned(),
        cause,
    }
}

#[cfg(test)]
mod tests;
