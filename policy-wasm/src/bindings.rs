//! The contract in `wit/` as Rust types, generated.

#![allow(
    unsafe_code,
    missing_docs,
    reason = "generated glue between component and core module"
)]
#![allow(clippy::all, unreachable_pub, reason = "generated")]

wit_bindgen::generate!({ path: "../wit", world: "policy" });

// The exported names hold colons, which native linkers take for syntax.
#[cfg(target_family = "wasm")]
export!(StandardPolicy);

#[cfg(target_family = "wasm")]
use crate::StandardPolicy;
