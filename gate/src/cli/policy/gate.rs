//! A policy's folder as the admin API takes it, and where it goes.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::wrong;
use crate::cli::Failure;
use crate::policy::Bundle;

/// The folder's policy and cases as a body.
pub(super) fn body(folder: &Path) -> Result<Value, Failure> {
    let bundle = Bundle::read(folder).map_err(|error| wrong(folder, &error))?;
    let settings: BTreeMap<&str, &str> = bundle.settings.pairs().collect();
    Ok(json!({
        "module": STANDARD.encode(&bundle.module),
        "settings": settings,
        "templates": bundle.templates,
        "limits": bundle.limits,
        "cases": cases(folder)?,
    }))
}

/// The texts of the folder's cases; none where it has no cases.
fn cases(folder: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let folder = folder.join("cases");
    if !folder.is_dir() {
        return Ok(BTreeMap::new());
    }
    let told = |error: std::io::Error| Failure::usage(format!("{}: {error}", folder.display()));
    let mut cases = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).map_err(told)? {
        let path = entry.map_err(told)?.path();
        let name = path.file_name().and_then(std::ffi::OsStr::to_str);
        if let Some(name) = name.filter(|name| name.ends_with(".toml")) {
            let text = std::fs::read_to_string(&path).map_err(told)?;
            cases.insert(name.to_owned(), text);
        }
    }
    Ok(cases)
}

pub(super) fn path(tenant: &str, deed: &str) -> String {
    let tenant = percent_encoding::utf8_percent_encode(tenant, percent_encoding::NON_ALPHANUMERIC);
    format!("/api/v1/tenants/{tenant}/policy{deed}")
}
