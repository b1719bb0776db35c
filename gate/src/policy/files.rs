//! Files of a policy's folder, which a tenant's developer writes: only plain ones, and
//! no more of them than a policy may hold.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::limits::{HostLimits, POLICY_TEXT_BYTES_MAX};

/// A module.
pub(super) fn module(path: &Path) -> io::Result<Vec<u8>> {
    // One more, so that what is too large is told as any module that is.
    read(path, HostLimits::default().module_bytes_max + 1)
}

/// Anything else.
pub(super) fn text(path: &Path) -> io::Result<String> {
    let bytes = read(path, POLICY_TEXT_BYTES_MAX + 1)?;
    if bytes.len() > POLICY_TEXT_BYTES_MAX {
        let what = format!("it is more than {POLICY_TEXT_BYTES_MAX} bytes; make it shorter");
        return Err(io::Error::other(what));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}

/// A pipe would be waited for, and a device has no end.
fn read(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(bytes_max as u64)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_no_plain_file_or_has_no_end_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let zeros = folder.path().join("policy.wasm");
        std::os::unix::fs::symlink("/dev/zero", &zeros).unwrap();
        let pipe = folder.path().join("policy.toml");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        assert!(module(&zeros).unwrap_err().to_string().contains("regular"));
        assert!(text(&pipe).unwrap_err().to_string().contains("regular"));
        let long = folder.path().join("case.toml");
        fs::write(&long, "#".repeat(POLICY_TEXT_BYTES_MAX + 1)).unwrap();
        assert!(text(&long).unwrap_err().to_string().contains("shorter"));
    }
}
