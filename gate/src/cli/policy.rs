//! `portcullis policy …`: what the developer of a tenant's policy does with it, on
//! their own machine.

mod bench;
mod gate;
mod new;
mod push;
mod rehearse;
mod scaffold;
mod shadow;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Failure, Surroundings};
use crate::policy::contract::SUPPORTED;
use crate::policy::{
    Bundle, HostLimits, LoadError, ManifestError, Policy, PolicyHost, cases, pack,
};

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Write down a new policy that builds and passes its cases
    #[command(
        after_help = "Examples:\n  portcullis policy new shop --lang rust\n  portcullis policy new shop --lang js\n  portcullis policy new shop --lang python"
    )]
    New(new::New),
    /// Turn a core WebAssembly module, as a compiler makes it, into a component
    #[command(
        after_help = "Examples:\n  portcullis policy pack target/wasm32-unknown-unknown/release/shop.wasm \\\n      --output policy.wasm"
    )]
    Pack(Pack),
    /// Check a policy's module, settings, templates and limits, as a gate would
    #[command(
        after_help = "Examples:\n  portcullis policy check\n  portcullis policy check policies/acme"
    )]
    Check(Folder),
    /// Ask the policy what its cases ask, and compare
    #[command(
        after_help = "Examples:\n  portcullis policy test\n  portcullis policy test policies/acme"
    )]
    Test(Folder),
    /// Measure what each case costs, and compare with a saved result
    #[command(
        after_help = "Examples:\n  portcullis policy bench policies/acme\n  portcullis policy bench policies/acme --save     writes bench.toml"
    )]
    Bench(bench::Bench),
    /// Ask a candidate what a running gate's policy was asked of late, and tell the
    /// differences
    #[command(
        after_help = "Examples:\n  portcullis policy rehearse --tenant acme policies/acme\n  portcullis policy rehearse --tenant acme policies/acme --fail-on-difference\n  portcullis policy rehearse --tenant acme policies/acme --shadow 10m"
    )]
    Rehearse(rehearse::Rehearse),
    /// Tell what a candidate that runs beside the policy in force has counted
    #[command(
        after_help = "Examples:\n  portcullis policy shadow --tenant acme\n  portcullis policy shadow --tenant acme --stop"
    )]
    Shadow(shadow::Shadow),
    /// Put a policy in force at a running gate, with its cases as a condition
    #[command(after_help = "Examples:\n  portcullis policy push --tenant acme policies/acme")]
    Push(push::Push),
    /// Put the policy before the one in force in force again
    #[command(after_help = "Examples:\n  portcullis policy rollback --tenant acme")]
    Rollback(push::Rollback),
}

#[derive(Debug, Args)]
pub(super) struct Folder {
    /// The policy's folder, with its policy.toml
    #[arg(value_name = "FOLDER", default_value = ".")]
    path: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Pack {
    /// The core module
    module: PathBuf,
    /// Where the component goes
    #[arg(long, short, value_name = "FILE", default_value = "policy.wasm")]
    output: PathBuf,
}

pub(super) fn execute(
    command: PolicyCommand,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), Failure> {
    match command {
        PolicyCommand::New(new) => new.execute(surroundings),
        PolicyCommand::Pack(pack) => pack.execute(surroundings),
        PolicyCommand::Check(folder) => check(&folder.path, surroundings),
        PolicyCommand::Test(folder) => test(&folder.path, surroundings),
        PolicyCommand::Bench(bench) => bench.execute(surroundings),
        PolicyCommand::Rehearse(rehearse) => rehearse.execute(surroundings),
        PolicyCommand::Shadow(shadow) => shadow.execute(surroundings),
        PolicyCommand::Push(push) => push.execute(surroundings),
        PolicyCommand::Rollback(rollback) => rollback.execute(surroundings),
    }
}

fn check(folder: &Path, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    let (_, bundle, policy) = load(folder)?;
    let said = policy.description();
    let out = &mut surroundings.out;
    writeln!(out, "{} {}: {}", said.name, said.version, said.summary)?;
    writeln!(
        out,
        "module: sha256:{}, {} bytes, no imports, fits {SUPPORTED}",
        policy.digest(),
        bundle.module.len()
    )?;
    writeln!(
        out,
        "settings: {} given, all taken; templates: {} of its own",
        bundle.settings.0.len(),
        bundle.templates.len()
    )?;
    let limits = policy.limits();
    writeln!(
        out,
        "limits: {} ms, {} bytes of memory, {} bytes of answer",
        limits.deadline_ms, limits.memory_bytes_max, limits.result_bytes_max
    )?;
    Ok(writeln!(out, "the policy is good")?)
}

/// Every case is run, so that one look mends them all.
fn test(folder: &Path, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    let (host, bundle, policy) = load(folder)?;
    let cases = cases::read(folder).map_err(Failure::usage)?;
    if cases.is_empty() {
        return Err(Failure::usage(format!(
            "{}: holds no case; write one, such as cases/permanent.toml",
            folder.join("cases").display()
        )));
    }
    let runtime = runtime()?;
    let mut failed = Vec::new();
    for case in &cases {
        let name = case.path.file_stem().unwrap_or_default().to_string_lossy();
        match runtime.block_on(case.check(&host, &bundle, &policy)) {
            Ok(()) => writeln!(surroundings.out, "ok      {name}")?,
            Err(error) => {
                writeln!(surroundings.out, "FAILED  {name}")?;
                failed.push(error.to_string());
            }
        }
    }
    if failed.is_empty() {
        return Ok(writeln!(surroundings.out, "{} cases hold", cases.len())?);
    }
    let (count, of) = (failed.len(), cases.len());
    failed.push(format!("{count} of {of} cases do not hold"));
    Err(Failure::Failed(failed.join("\n")))
}

impl Pack {
    fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let told = |path: &Path, error: &dyn std::fmt::Display| {
            Failure::usage(format!("{}: {error}", path.display()))
        };
        let core = std::fs::read(&self.module).map_err(|error| told(&self.module, &error))?;
        let component = pack(&core).map_err(|error| told(&self.module, &error))?;
        std::fs::write(&self.output, &component).map_err(|error| told(&self.output, &error))?;
        Ok(writeln!(
            surroundings.out,
            "{}: {} bytes",
            self.output.display(),
            component.len()
        )?)
    }
}

fn load(folder: &Path) -> Result<(PolicyHost, Bundle, std::sync::Arc<Policy>), Failure> {
    let host = PolicyHost::new(HostLimits::default()).map_err(Failure::failed)?;
    let bundle = Bundle::read(folder).map_err(|error| wrong(folder, &error))?;
    let policy = host.load(&bundle).map_err(|error| wrong(folder, &error))?;
    Ok((host, bundle, policy))
}

/// A line for each thing that is wrong, each with the folder where it does not say
/// so itself.
fn wrong(folder: &Path, error: &LoadError) -> Failure {
    let folder = folder.display();
    match error {
        LoadError::Read { .. } => Failure::usage(format!(
            "{error}; build it, or correct `module` in policy.toml"
        )),
        LoadError::Manifest(ManifestError::Read { .. }) => Failure::usage(format!(
            "{error}; name a folder with a policy.toml (portcullis policy new makes one)"
        )),
        LoadError::Manifest(ManifestError::Syntax { .. } | ManifestError::Value { .. }) => {
            Failure::usage(error)
        }
        LoadError::Settings(problems) => {
            let lines = problems.iter().map(|problem| {
                let (key, message) = (&problem.key, &problem.message);
                format!("{folder}: settings.{key} {message}")
            });
            Failure::Usage(lines.collect::<Vec<_>>().join("\n"))
        }
        LoadError::UnknownBuiltin(_)
        | LoadError::TooLarge { .. }
        | LoadError::NotWasm
        | LoadError::CoreModule
        | LoadError::Precompiled
        | LoadError::Damaged(_)
        | LoadError::Imports(_)
        | LoadError::Version { .. }
        | LoadError::World(_)
        | LoadError::Pack(_)
        | LoadError::Compile { .. }
        | LoadError::Trial(_)
        | LoadError::Undescribed(_)
        | LoadError::Question { .. }
        | LoadError::Unchecked(_)
        | LoadError::Limits(_)
        | LoadError::Engine(_)
        | LoadError::Thread(_) => Failure::usage(format!("{folder}: {error}")),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}; try again")))
}
