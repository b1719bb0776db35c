//! What a module must show before it is put in force.
//!
//! Cheap looks come before dear ones, and each answers with its own words: what
//! the compiler would say of a core module or of a foreign world helps nobody.

use std::path::PathBuf;

use aws_lc_rs::digest;
use portcullis_core::policy::Fault;
use thiserror::Error;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};
use wit_parser::decoding::{self, DecodedWasm};
use wit_parser::{Resolve, WorldId};

use super::bindings::{COMPONENT_TYPE, Exports};
use super::compiler::CompilerError;
use super::contract::{self, SUPPORTED, Supported, World};
use super::guest::Guest;
use super::manifest::ManifestError;

/// The package in `wit/`.
const CONTRACT: (&str, &str) = ("portcullis", "policy");

/// One thing that the policy finds wrong with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The dotted key; may be empty.
    pub key: String,
    pub message: String,
}

/// Why a policy was not put in force. The one before it stays.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error("{path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("module: builtin:{0} is not a policy that the gate brings; it brings builtin:standard")]
    UnknownBuiltin(String),
    #[error("module: {bytes} bytes are more than the {max} allowed")]
    TooLarge { bytes: usize, max: usize },
    #[error("module: this is not WebAssembly; give the path of a component")]
    NotWasm,
    #[error(
        "module: this is a core WebAssembly module, not a component; \
         turn it into one with `portcullis policy pack`"
    )]
    CoreModule,
    #[error(
        "module: this is compiled already; give the component itself, since compiled code \
         cannot be checked"
    )]
    Precompiled,
    #[error("module: this component is damaged: {0}")]
    Damaged(String),
    #[error(
        "module: the policy imports {}; a policy of {SUPPORTED} imports nothing at all: build it \
         for the world of the contract, without WASI", .0.join(", ")
    )]
    Imports(Vec<String>),
    #[error(
        "module: the policy was built against portcullis:policy@{found}, this gate speaks \
         {supported}; build it against one of those"
    )]
    Version { found: String, supported: Supported },
    #[error(
        "module: the component is no policy of {SUPPORTED}: {}; build it against the contract \
         that `portcullis policy new` writes down", .0.join("; ")
    )]
    World(Vec<String>),
    #[error("module: this core module cannot be made a component: {0}")]
    Pack(String),
    #[error("module: sha256:{module}: {error}")]
    Compile {
        module: String,
        error: CompilerError,
    },
    #[error("module: the policy failed its trial: {0}")]
    Trial(Fault),
    #[error("module: what the policy says of itself cannot be used: {0}")]
    Undescribed(Fault),
    #[error("module: the policy has no answer to a {kind} that can be used: {fault}")]
    Question { kind: &'static str, fault: Fault },
    #[error("settings: the policy could not check them: {0}")]
    Unchecked(Fault),
    #[error("settings: {}", list_problems(.0))]
    Settings(Vec<Problem>),
    #[error("limits: {0}")]
    Limits(String),
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
    #[error("a thread for policies cannot start: {0}")]
    Thread(std::io::Error),
}

fn list_problems(problems: &[Problem]) -> String {
    let words = |problem: &Problem| match problem.key.as_str() {
        "" => problem.message.clone(),
        key => format!("{key}: {}", problem.message),
    };
    problems.iter().map(words).collect::<Vec<_>>().join("; ")
}

/// The SHA-256 of a module, in hexadecimal: its name in logs and decisions.
pub(super) fn hash(wasm: &[u8]) -> String {
    hexadecimal(digest::digest(&digest::SHA256, wasm).as_ref())
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything that can be told of a component without compiling it.
pub(super) fn check(wasm: &[u8], bytes_max: usize) -> Result<(), LoadError> {
    if wasm.len() > bytes_max {
        return Err(LoadError::TooLarge {
            bytes: wasm.len(),
            max: bytes_max,
        });
    }
    check_preamble(wasm)?;
    let (resolve, id) = decode(wasm)?;
    check_imports(&resolve, id)?;
    check_version(&resolve)?;
    let resolve = &resolve;
    check_world(World { resolve, id })
}

/// The empty linker is the whole of what a guest may call.
pub(super) fn link(engine: &Engine, component: &Component) -> Result<Exports<Guest>, LoadError> {
    let unfit = |error: wasmtime::Error| LoadError::World(vec![format!("{error:#}")]);
    let linked = Linker::<Guest>::new(engine)
        .instantiate_pre(component)
        .map_err(unfit)?;
    Exports::find(linked).map_err(unfit)
}

/// Tells apart what the first eight bytes tell: `\0asm`, a version, a layer.
fn check_preamble(wasm: &[u8]) -> Result<(), LoadError> {
    if Engine::detect_precompiled(wasm).is_some() {
        return Err(LoadError::Precompiled);
    }
    match wasm {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => Err(LoadError::CoreModule),
        _ => Err(LoadError::NotWasm),
    }
}

/// Validates the binary and reads its interface.
fn decode(wasm: &[u8]) -> Result<(Resolve, WorldId), LoadError> {
    match decoding::decode(wasm) {
        Ok(DecodedWasm::Component(resolve, world)) => Ok((resolve, world)),
        Ok(DecodedWasm::WitPackage(..)) => Err(LoadError::Damaged(
            "it holds interfaces and no code".to_owned(),
        )),
        Err(error) => Err(LoadError::Damaged(format!("{error:#}"))),
    }
}

/// Whatever is imported is refused by its name, types alone included: the types
/// of the contract are exported, so that "no import" is a thing one can see.
fn check_imports(resolve: &Resolve, world: WorldId) -> Result<(), LoadError> {
    let refused: Vec<String> = resolve.worlds[world]
        .imports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect();
    if refused.is_empty() {
        Ok(())
    } else {
        Err(LoadError::Imports(refused))
    }
}

/// The version stands in the names of what is exported, so one that does not fit
/// would come out as everything missing.
fn check_version(resolve: &Resolve) -> Result<(), LoadError> {
    let found = resolve
        .packages
        .iter()
        .filter(|(_, package)| (&*package.name.namespace, &*package.name.name) == CONTRACT)
        .filter_map(|(_, package)| package.name.version.as_ref())
        .find(|version| !SUPPORTED.covers(version.major, version.minor));
    match found {
        Some(found) => Err(LoadError::Version {
            found: found.to_string(),
            supported: SUPPORTED,
        }),
        None => Ok(()),
    }
}

/// Compares every type and function with the contract that this gate was built
/// with.
fn check_world(found: World<'_>) -> Result<(), LoadError> {
    let (resolve, id) = decoding::decode_world(COMPONENT_TYPE)
        .map_err(|error| LoadError::World(vec![format!("{error:#}")]))?;
    let resolve = &resolve;
    let differences = contract::differences(World { resolve, id }, found);
    if differences.is_empty() {
        Ok(())
    } else {
        Err(LoadError::World(differences))
    }
}
