//! `portcullis policy push` and `rollback`: through the admin API of a running gate.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::wrong;
use crate::cli::client::AdminApi;
use crate::cli::{Failure, Surroundings};
use crate::policy::Bundle;

#[derive(Debug, Args)]
pub(in crate::cli) struct Push {
    /// The tenant whose policy it is to be
    #[arg(long, value_name = "TENANT")]
    tenant: String,
    /// The policy's folder, with its policy.toml and its cases
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Rollback {
    /// The tenant whose policy is taken back
    #[arg(long, value_name = "TENANT")]
    tenant: String,
}

impl Push {
    pub(super) fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let api = AdminApi::require(surroundings)?;
        let bundle = Bundle::read(&self.folder).map_err(|error| wrong(&self.folder, &error))?;
        let settings: BTreeMap<&str, &str> = bundle.settings.pairs().collect();
        let body = json!({
            "module": STANDARD.encode(&bundle.module),
            "settings": settings,
            "templates": bundle.templates,
            "limits": bundle.limits,
            "cases": self.cases()?,
        });
        let path = path(&self.tenant, "");
        let answer = api.call("policy push", Method::PUT, &path, Some(&body))?;
        tell(&answer.json, surroundings)
    }

    /// The texts of the folder's cases; none where it has no cases.
    fn cases(&self) -> Result<BTreeMap<String, String>, Failure> {
        let folder = self.folder.join("cases");
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
}

impl Rollback {
    pub(super) fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let api = AdminApi::require(surroundings)?;
        let path = path(&self.tenant, "/rollback");
        let body = json!({});
        let answer = api.call("policy rollback", Method::POST, &path, Some(&body))?;
        tell(&answer.json, surroundings)
    }
}

fn path(tenant: &str, deed: &str) -> String {
    let tenant = percent_encoding::utf8_percent_encode(tenant, percent_encoding::NON_ALPHANUMERIC);
    format!("/api/v1/tenants/{tenant}/policy{deed}")
}

fn tell(view: &Value, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    let text = |key: &str| view[key].as_str().unwrap_or_default();
    Ok(writeln!(
        surroundings.out,
        "{}: generation {} is in force: {} {}, sha256:{}",
        text("tenant"),
        view["generation"],
        text("name"),
        text("version"),
        text("digest"),
    )?)
}
