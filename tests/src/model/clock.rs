//! A clock that stands still until it is set, for the gate's process alone: by
//! libfaketime, which stands between it and the system's clock. What the gate
//! measures (deadlines, heartbeats) goes on by the monotonic clock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use super::hold::Second;

/// Where distributions put it.
const LIBRARIES: &str = "/usr/lib";
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The file that the gate's clock is read from, on every look at it.
pub struct Clock {
    file: PathBuf,
}

impl Clock {
    /// In `folder`, set to `now`.
    pub fn new(folder: &Path, now: Second) -> Self {
        let clock = Self {
            file: folder.join("clock"),
        };
        clock.set(now);
        clock
    }

    /// At one stroke: whoever looks sees the time before or the time after.
    pub fn set(&self, now: Second) {
        let next = self.file.with_extension("next");
        fs::write(&next, now.to_string()).expect("a time");
        fs::rename(&next, &self.file).expect("the clock is set");
    }

    /// What the gate is started with.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.to_str().expect("a path that is text").to_owned();
        vec![
            ("LD_PRELOAD", path(&library())),
            ("FAKETIME_TIMESTAMP_FILE", path(&self.file)),
            ("FAKETIME_FMT", "%s".to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
            ("TZ", "UTC".to_owned()),
        ]
    }
}

/// # Panics
/// Where it is not installed, with the mend.
fn library() -> PathBuf {
    let folders = fs::read_dir(LIBRARIES).expect("the libraries");
    let places = folders.map(|folder| folder.expect("a folder").path().join(LIBRARY));
    let mut places = places.chain([Path::new(LIBRARIES).join(LIBRARY)]);
    places
        .find(|place| place.exists())
        .unwrap_or_else(|| panic!("libfaketime is missing: `make test` installs it"))
}
