//! `portcullis policy shadow`: what a candidate beside the policy in force has counted
//! so far, and its end.

use clap::Args;
use http::Method;

use super::gate::path;
use super::rehearse::tell_decision;
use crate::cli::client::{AdminApi, Answer};
use crate::cli::print::visible;
use crate::cli::{Failure, Surroundings};

#[derive(Debug, Args)]
pub(in crate::cli) struct Shadow {
    /// The tenant whose shadow it is
    #[arg(long, value_name = "TENANT")]
    tenant: String,
    /// Stop it before its time
    #[arg(long)]
    stop: bool,
    /// Print the answer of the API as JSON
    #[arg(long)]
    json: bool,
}

impl Shadow {
    pub(super) fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let api = AdminApi::require(surroundings)?;
        let path = path(&self.tenant, "/shadow");
        let method = if self.stop {
            Method::DELETE
        } else {
            Method::GET
        };
        let answer = api.call("policy shadow", method, &path, None)?;
        tell(&answer, self.json, surroundings)
    }
}

pub(super) fn tell(
    answer: &Answer,
    json: bool,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), Failure> {
    let out = &mut *surroundings.out;
    if json {
        return Ok(writeln!(out, "{}", answer.text)?);
    }
    let (tenant, shadow) = (&answer.json["tenant"], &answer.json["shadow"]);
    let tenant = visible(tenant.as_str().unwrap_or_default());
    if shadow.is_null() {
        return Ok(writeln!(
            out,
            "{tenant}: no shadow ran since the gate started"
        )?);
    }
    for example in shadow["examples"].as_array().into_iter().flatten() {
        tell_decision(example, out)?;
    }
    if let Some(more) = shadow["not_shown"].as_u64().filter(|more| *more > 0) {
        writeln!(out, "and {more} more that differ or fail\n")?;
    }
    let text = |key: &str| shadow[key].as_str().unwrap_or_default();
    let candidate = &shadow["candidate"];
    let named = |key: &str| visible(candidate[key].as_str().unwrap_or_default());
    let state = match shadow["ended"]["why"].as_str() {
        Some(why) => format!(
            "ended at {} ({why})",
            shadow["ended"]["at"].as_str().unwrap_or_default()
        ),
        None => format!("runs until {}", text("ends_at")),
    };
    let counts = &shadow["counts"];
    Ok(writeln!(
        out,
        "{tenant}: {} {} beside generation {} {state}: {} same, {} different, {} failed, {} skipped",
        named("name"),
        named("version"),
        shadow["beside"],
        counts["same"],
        counts["different"],
        counts["failed"],
        counts["skipped"],
    )?)
}
