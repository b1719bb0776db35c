#!/bin/sh
# Builds policy.wasm. The toolchain's wasm target is added where it is missing.
set -eu
cd "$(dirname "$0")"
rustup target add wasm32-unknown-unknown
cargo build --release --target wasm32-unknown-unknown
"${PORTCULLIS:-portcullis}" policy pack "${CARGO_TARGET_DIR:-target}"/wasm32-unknown-unknown/release/POLICY_CRATE.wasm --output policy.wasm
