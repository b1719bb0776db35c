//! The contract in `wit/` as Rust types, generated.

#![allow(
    unsafe_code,
    missing_docs,
    reason = "generated glue between component and core module"
)]
#![allow(clippy::all, unreachable_pub, reason = "generated")]

wit_bindgen::generate!({ path: "../wit", world: "policy" });

export!(StandardPolicy);

use crate::StandardPolicy;
