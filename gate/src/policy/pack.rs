//! Turns a core module, as a compiler makes it, into a component.

use wit_component::ComponentEncoder;

use super::load::LoadError;

/// The module carries its interface in a custom section, so nothing else is needed.
/// No adapter is given: a guest that asks for anything of the system is turned away.
///
/// # Errors
/// [`LoadError::Pack`].
pub fn pack(core: &[u8]) -> Result<Vec<u8>, LoadError> {
    ComponentEncoder::default()
        .validate(true)
        .module(core)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| LoadError::Pack(format!("{error:#}")))
}
