//! `portcullis user export`: to a file, which is there whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use http::Method;

use super::path;
use crate::cli::client::{AdminApi, Call};
use crate::cli::terminal::{Unit, progress};
use crate::cli::{Failure, Surroundings};

#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    /// The user's id, email, phone, username or employee id
    id: String,
    /// The file to write, readable by you alone; - is standard output, as is none
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    common: super::Common,
}

impl Export {
    pub(super) fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let api = AdminApi::require(surroundings)?;
        let path = path(&self.id, "/export", &self.common)?;
        let what = format!("export {}", self.id);
        let call = Call {
            what: &what,
            method: Method::GET,
            path: &path,
            header: None,
            body: None,
        };
        let file = self.output.as_ref().filter(|file| file.as_os_str() != "-");
        let Some(file) = file else {
            return Ok(api.stream(&call, |part| Ok(surroundings.out.write_all(part)?))?);
        };
        let mut draft = Draft::beside(file)?;
        let bar = progress(surroundings.terminal.watched, &what, None, Unit::Bytes);
        api.stream(&call, |part| {
            bar.inc(part.len() as u64);
            draft.write(part)
        })?;
        bar.finish_and_clear();
        let bytes = draft.finish()?;
        if self.common.json {
            let told = serde_json::json!({ "file": file, "bytes": bytes });
            return Ok(writeln!(surroundings.out, "{told}")?);
        }
        let line = format!("{} holds all that is known of {}", file.display(), self.id);
        Ok(writeln!(surroundings.err, "{line}: {bytes} bytes.")?)
    }
}

/// A file that takes its name when it is whole. Dropped before, it is removed.
struct Draft<'a> {
    /// The name that was asked for, and that errors speak of.
    target: &'a Path,
    path: PathBuf,
    file: File,
    bytes: u64,
    whole: bool,
}

impl<'a> Draft<'a> {
    fn beside(target: &'a Path) -> Result<Self, Failure> {
        let Some(name) = target.file_name() else {
            return Err(Failure::usage(format!(
                "--output: {} names no file; write one such as bob.json",
                target.display()
            )));
        };
        if target.is_dir() {
            return Err(Failure::usage(format!(
                "--output: {} is a folder; name a file in it",
                target.display()
            )));
        }
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", std::process::id()));
        let path = target.with_file_name(hidden);
        // Personal data: nobody else's, from the first byte on.
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let file = opened.map_err(|error| {
            Failure::failed(format!(
                "{}: cannot be written: {error}; name another file by --output",
                target.display()
            ))
        })?;
        Ok(Self {
            target,
            path,
            file,
            bytes: 0,
            whole: false,
        })
    }

    fn write(&mut self, part: &[u8]) -> Result<(), Failure> {
        self.bytes += part.len() as u64;
        self.file.write_all(part).map_err(|error| {
            Failure::failed(format!(
                "{}: cannot be written: {error}; make room, or name another file by --output",
                self.target.display()
            ))
        })
    }

    fn finish(mut self) -> Result<u64, Failure> {
        let done = self.file.sync_all();
        let done = done.and_then(|()| fs::rename(&self.path, self.target));
        done.map_err(|error| {
            Failure::failed(format!(
                "{}: cannot be written: {error}; name another file by --output",
                self.target.display()
            ))
        })?;
        self.whole = true;
        Ok(self.bytes)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.whole {
            // What is left says by its name that it is no export.
            drop(fs::remove_file(&self.path));
        }
    }
}
