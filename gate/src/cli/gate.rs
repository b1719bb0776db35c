//! The commands that are about the gate itself: run, demo, check.

use std::path::Path;

use super::{Failure, Surroundings};
use crate::config::Config;
use crate::{app, demo};

pub(super) fn run(file: &Path) -> Result<(), Failure> {
    app::run(Config::load(file)?).map_err(Failure::failed)
}

pub(super) fn demo(keep: bool) -> Result<(), Failure> {
    demo::run(keep).map_err(Failure::failed)
}

/// A policy that does not load is a wrong configuration: the exit code says so.
pub(super) fn check(file: &Path, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    let config = Config::load(file)?;
    let report = app::check(&config).map_err(Failure::usage)?;
    writeln!(surroundings.out, "{report}")?;
    Ok(())
}
