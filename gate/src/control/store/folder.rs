//! The state folder: made private, claimed by one process, and errors that name
//! the path and the mend.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The store itself.
pub const LEDGER_FILE: &str = "ledger.db";
/// Locked (advisory, by the operating system) while a process uses the folder.
pub const LOCK_FILE: &str = "ledger.lock";

/// Why a store cannot be opened. Each message names the path and the mend.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the state folder {} is not a folder; name one, or move the file away", path.display())]
    NotAFolder { path: PathBuf },
    #[error(
        "the state folder {} is in use by another process; stop that gate, or name another folder",
        path.display()
    )]
    InUse { path: PathBuf },
    #[error(
        "the state folder {} cannot be used: {cause}; give the gate's user the right to write there",
        path.display()
    )]
    Denied { path: PathBuf, cause: io::Error },
    #[error(
        "the store {} is of version {found}, this gate knows up to {known}; run a newer gate on it",
        path.display()
    )]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error(
        "the built-in SQLite is {found}, it must be 3.51.3 or newer (older ones can damage a store); build the gate with the bundled one"
    )]
    OldLibrary { found: &'static str },
    #[error(
        "the store {} is empty, but there was one before; restore it from a copy (or, to begin anew without any suspension, remove the folder)",
        path.display()
    )]
    Emptied { path: PathBuf },
    #[error(
        "the store {} ends at entry {head} but its users are as of entry {cursor}; restore it from a copy",
        path.display()
    )]
    Inconsistent {
        path: PathBuf,
        head: u64,
        cursor: u64,
    },
    /// The text names the file and the mend.
    #[error("{0}")]
    Damaged(String),
}

/// A folder that is ours until this is dropped.
pub(super) struct Claim {
    folder: PathBuf,
    /// Locked as long as it is open. Not empty once there has been a store.
    lock: File,
}

/// What the lock file says once there has been a store in the folder.
const MARK: &[u8] = b"There is a store in this folder: ledger.db\n";

impl Claim {
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        create(folder)?;
        let denied = |path: &Path| {
            let path = path.to_owned();
            move |cause| OpenError::Denied { path, cause }
        };
        let lock = private_file(&folder.join(LOCK_FILE)).map_err(denied(folder))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    path: folder.to_owned(),
                });
            }
            Err(TryLockError::Error(cause)) => {
                return Err(OpenError::Denied {
                    path: folder.to_owned(),
                    cause,
                });
            }
        }
        // SQLite would create it with the umask's mode; the files that it puts
        // beside it (-wal, -shm) take after it.
        let path = folder.join(LEDGER_FILE);
        private_file(&path).map_err(denied(&path))?;
        Ok(Self {
            folder: folder.to_owned(),
            lock,
        })
    }

    /// Whether a store was ever made here: if so, an empty file is a loss and not
    /// a beginning.
    pub(super) fn is_marked(&self) -> bool {
        self.lock.metadata().is_ok_and(|lock| lock.len() > 0)
    }

    /// Notes that a store was made here.
    pub(super) fn mark(&self) -> Result<(), OpenError> {
        if self.is_marked() {
            return Ok(());
        }
        (&self.lock)
            .write_all(MARK)
            .and_then(|()| self.lock.sync_all())
            .map_err(|cause| OpenError::Denied {
                path: self.folder.clone(),
                cause,
            })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn ledger_path(&self) -> PathBuf {
        self.folder.join(LEDGER_FILE)
    }
}

fn create(folder: &Path) -> Result<(), OpenError> {
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => {
            return Err(OpenError::NotAFolder {
                path: folder.to_owned(),
            });
        }
        Err(_) => {}
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    // So that the folder itself is still there after a power cut.
    let parent = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    made.and_then(|()| File::open(parent)?.sync_all())
        .map_err(|cause| {
            let path = folder.to_owned();
            let in_the_way = [io::ErrorKind::NotADirectory, io::ErrorKind::AlreadyExists];
            if in_the_way.contains(&cause.kind()) {
                OpenError::NotAFolder { path }
            } else {
                OpenError::Denied { path, cause }
            }
        })
}

/// Opens or creates a file that only its owner can read.
fn private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}
