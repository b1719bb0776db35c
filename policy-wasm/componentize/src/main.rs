//! Turns a core WebAssembly module, as cargo builds it, into a component.
//!
//! `componentize IN.wasm OUT.wasm`. The module carries its interface in a
//! custom section, so nothing else is needed. No adapter is given: a guest that
//! asks for anything of the system is turned away here, before the gate sees
//! it.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use wit_component::ComponentEncoder;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [module, component] = arguments.as_slice() else {
        return fail("usage: componentize IN.wasm OUT.wasm", 2);
    };
    match componentize(module, component) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

fn componentize(module: &Path, component: &Path) -> Result<(), String> {
    let core = fs::read(module).map_err(|error| format!("{}: {error}", module.display()))?;
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(&core)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| format!("{}: {error:#}", module.display()))?;
    write_whole(component, &encoded).map_err(|error| format!("{}: {error}", component.display()))
}

/// Writes beside the target and renames, so that a build that reads it at the
/// same time sees the old component or the new one, never half of one.
fn write_whole(target: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = target.with_extension(format!("{}.part", std::process::id()));
    fs::write(&beside, bytes)?;
    fs::rename(&beside, target)
}

#[expect(clippy::print_stderr, reason = "a command's own error line")]
fn fail(message: &str, code: u8) -> ExitCode {
    eprintln!("componentize: {message}");
    ExitCode::from(code)
}
