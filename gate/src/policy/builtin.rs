//! The policies that the gate brings along.

use std::path::Path;

use super::load::LoadError;
use super::manifest::Manifest;

/// The standard policy, as the build script found it.
static STANDARD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/standard.wasm"));

/// The component that a manifest names as `builtin:NAME`.
///
/// # Errors
/// [`LoadError::UnknownBuiltin`].
pub fn module(name: &str) -> Result<&'static [u8], LoadError> {
    match name {
        "standard" => Ok(STANDARD),
        other => Err(LoadError::UnknownBuiltin(other.to_owned())),
    }
}

/// The `policy.toml` of a policy that the gate brings: `standard`, which needs
/// nothing but a contact, and the two of the demo, `acme` and `globex`.
///
/// # Errors
/// [`LoadError::UnknownBuiltin`].
pub fn manifest(name: &str) -> Result<Manifest, LoadError> {
    let text = match name {
        "standard" => include_str!("../../../policies/standard/policy.toml"),
        "acme" => include_str!("../../../policies/acme/policy.toml"),
        "globex" => include_str!("../../../policies/globex/policy.toml"),
        other => return Err(LoadError::UnknownBuiltin(other.to_owned())),
    };
    let path = Path::new("policies").join(name).join("policy.toml");
    Ok(Manifest::parse(&path, text)?)
}
