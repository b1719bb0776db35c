//! The pages of docs/apps: the configurations that they show are the ones that
//! the tests run.

#![allow(clippy::expect_used)]

use std::net::SocketAddr;

/// The page's configuration, with the tested application for the upstream that
/// the page names.
///
/// # Panics
/// Where the page shows none, or names no such upstream.
pub fn config(page: &str, upstream: &str, tested: SocketAddr) -> String {
    let (_, from) = page.split_once("```toml\n").expect("a block of TOML");
    let (config, rest) = from.split_once("```").expect("its end");
    assert!(!rest.contains("```toml"), "more than one configuration");
    assert!(config.contains(upstream), "{upstream} is not in the page");
    config.replace(upstream, &tested.to_string())
}
