//! `portcullis policy push` and `rollback`: through the admin API of a running gate.

use std::path::PathBuf;

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::gate::{body, path};
use crate::cli::client::AdminApi;
use crate::cli::{Failure, Surroundings};

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
        let body = body(&self.folder)?;
        let path = path(&self.tenant, "");
        let answer = api.call("policy push", Method::PUT, &path, Some(&body))?;
        tell(&answer.json, surroundings)
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
