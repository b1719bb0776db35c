//! Hands the standard policy, which is built for another target, to the gate.
//!
//! It copies and never builds: a cargo within a cargo would wait for its lock.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    match copy_standard_policy() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}

fn copy_standard_policy() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PORTCULLIS_STANDARD_POLICY");
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    let out = env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .ok_or("OUT_DIR is not set")?;
    let source = find_standard_policy(&out)?;
    println!("cargo::rerun-if-changed={}", source.display());
    if !source.is_file() {
        return Err(format!(
            "the standard policy is not built ({} is missing): run `make policy` first",
            source.display()
        ));
    }
    fs::copy(&source, out.join("standard.wasm"))
        .map(drop)
        .map_err(|error| format!("{}: {error}", source.display()))
}

/// `policy/standard.wasm` in the target folder, or where the environment says.
fn find_standard_policy(out: &Path) -> Result<PathBuf, String> {
    if let Some(path) = env::var_os("PORTCULLIS_STANDARD_POLICY") {
        return Ok(PathBuf::from(path));
    }
    // OUT_DIR lies within the target folder, wherever that was set from: the
    // environment, a config file or the command line. Cross builds put one
    // folder more in between, so the way up is walked, not counted.
    let built = out
        .ancestors()
        .map(|folder| folder.join("policy/standard.wasm"));
    if let Some(found) = built.into_iter().find(|path| path.is_file()) {
        return Ok(found);
    }
    let target = env::var_os("CARGO_TARGET_DIR")
        .map(PathBuf::from)
        .unwrap_or_else(|| "target".into());
    let manifest = env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?;
    let workspace = Path::new(&manifest)
        .parent()
        .ok_or("the gate lies in no workspace")?;
    Ok(workspace.join(target).join("policy/standard.wasm"))
}
