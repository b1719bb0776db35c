//! What is kept of compiled policies, and what is not believed.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use tempfile::TempDir;

use super::*;

fn stage() -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("compiled");
    (place, folder)
}

fn code(kept: &Kept, name: &str) -> Option<Vec<u8>> {
    let found = kept.find(name)?;
    Some(found.sealed(&kept.key, name).1.to_vec())
}

fn keep(kept: &Kept, name: &str, code: &[u8]) {
    kept.keep(name, &Artefact::made(code.to_vec())).unwrap();
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_kept_outlives_the_gate_and_is_for_its_user_alone() {
    let (_place, folder) = stage();
    keep(&Kept::open(&folder).unwrap(), "a", b"code");
    let again = Kept::open(&folder).unwrap();
    assert_eq!(code(&again, "a"), Some(b"code".to_vec()));
    assert_eq!(code(&again, "b"), None);
    assert_eq!(mode(&folder), 0o700);
    for file in ["key", "a.compiled"] {
        assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
    }
    assert!(!folder.join("a.partial").exists());
}

#[test]
fn what_cannot_be_believed_is_removed() {
    let (_place, folder) = stage();
    let kept = Kept::open(&folder).unwrap();
    let file = folder.join("a.compiled");
    let damages: [&dyn Fn(); 6] = [
        &|| fs::write(&file, b"").unwrap(),
        &|| {
            let mut bytes = fs::read(&file).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(&file, bytes).unwrap();
        },
        &|| {
            let opened = OpenOptions::new().write(true).open(&file).unwrap();
            opened.set_len(SEAL_BYTES as u64 + 2).unwrap();
        },
        &|| {
            // Of another module.
            keep(&kept, "b", b"code of b");
            fs::copy(folder.join("b.compiled"), &file).unwrap();
        },
        &|| set_mode(&file, 0o622),
        &|| {
            fs::remove_file(&file).unwrap();
            symlink(folder.join("b.compiled"), &file).unwrap();
        },
    ];
    for (number, damage) in damages.iter().enumerate() {
        keep(&kept, "a", b"code");
        damage();
        assert_eq!(code(&kept, "a"), None, "damage {number}");
        assert!(file.symlink_metadata().is_err(), "damage {number}");
    }
}

#[test]
fn what_another_gate_kept_is_not_believed() {
    let (_place, folder) = stage();
    let (_other_place, other) = stage();
    keep(&Kept::open(&other).unwrap(), "a", b"code");
    let kept = Kept::open(&folder).unwrap();
    fs::copy(other.join("a.compiled"), folder.join("a.compiled")).unwrap();
    assert_eq!(code(&kept, "a"), None);
    // Nor what was kept under a key that is lost.
    keep(&kept, "a", b"code");
    fs::write(folder.join("key"), b"short").unwrap();
    assert_eq!(code(&Kept::open(&folder).unwrap(), "a"), None);
}

#[test]
fn a_folder_or_key_that_others_may_use_is_refused_with_its_mend() {
    let (_place, folder) = stage();
    Kept::open(&folder).unwrap();
    for (path, wrong, right) in [
        (folder.clone(), 0o770, 0o700),
        (folder.clone(), 0o705, 0o700),
        (folder.join("key"), 0o640, 0o600),
    ] {
        set_mode(&path, wrong);
        let error = Kept::open(&folder).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert!(error.contains("remove it"), "{error}");
        set_mode(&path, right);
    }
    Kept::open(&folder).unwrap();
    let linked = folder.with_file_name("linked");
    symlink(&folder, &linked).unwrap();
    let error = Kept::open(&linked).unwrap_err().to_string();
    assert!(error.contains("not a folder"), "{error}");
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let (_place, folder) = stage();
    let room = 3 * (SEAL_BYTES as u64 + 10);
    let kept = Kept::bounded(&folder, room, 100).unwrap();
    let used = |name: &str, seconds_ago| {
        let file = File::open(folder.join(format!("{name}.compiled"))).unwrap();
        let then = SystemTime::now() - Duration::from_secs(seconds_ago);
        file.set_modified(then).unwrap();
    };
    for (name, seconds_ago) in [("a", 30), ("b", 20), ("c", 10)] {
        keep(&kept, name, &[0; 10]);
        used(name, seconds_ago);
    }
    // To be found is to be used.
    assert!(kept.find("a").is_some());
    keep(&kept, "d", &[0; 10]);
    let left = |kept: &Kept| ["a", "b", "c", "d", "e"].map(|name| kept.find(name).is_some());
    assert_eq!(left(&kept), [true, false, true, true, false]);
    // One that takes all the room is kept by itself.
    keep(&kept, "e", &[0; 1000]);
    assert_eq!(left(&kept), [false, false, false, false, true]);
    let few = Kept::bounded(&folder, u64::MAX, 2).unwrap();
    for name in ["a", "b", "c"] {
        keep(&few, name, b"");
    }
    assert_eq!(few.files(WHOLE).unwrap().len(), 2);
}

#[test]
fn what_a_killed_gate_left_half_written_is_removed() {
    let (_place, folder) = stage();
    Kept::open(&folder).unwrap();
    fs::write(folder.join("a.partial"), b"half").unwrap();
    let kept = Kept::open(&folder).unwrap();
    assert!(!folder.join("a.partial").exists());
    keep(&kept, "a", b"code");
}
