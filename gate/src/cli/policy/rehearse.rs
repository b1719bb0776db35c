//! `portcullis policy rehearse`: what would be other, decision by decision.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::gate::{body, path};
use super::shadow;
use crate::cli::client::AdminApi;
use crate::cli::print::visible;
use crate::cli::{Failure, Surroundings};

#[derive(Debug, Args)]
pub(in crate::cli) struct Rehearse {
    /// The tenant whose recent decisions are asked again
    #[arg(long, value_name = "TENANT")]
    tenant: String,
    /// The candidate's folder, with its policy.toml and its cases
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Let it run beside the policy in force, for so long (24h at most), in place of
    /// asking what was asked before
    #[arg(long, value_name = "DURATION")]
    shadow: Option<String>,
    /// Leave with exit code 1 where a decision differs or fails
    #[arg(long, conflicts_with = "shadow")]
    fail_on_difference: bool,
    /// Print the answer of the API as JSON
    #[arg(long)]
    json: bool,
}

impl Rehearse {
    pub(super) fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let api = AdminApi::require(surroundings)?;
        let body = body(&self.folder)?;
        if let Some(lasts) = &self.shadow {
            let lasts =
                percent_encoding::utf8_percent_encode(lasts, percent_encoding::NON_ALPHANUMERIC);
            let path = path(&self.tenant, &format!("/shadow?for={lasts}"));
            let answer = api.call("policy rehearse", Method::POST, &path, Some(&body))?;
            return shadow::tell(&answer, self.json, surroundings);
        }
        let path = path(&self.tenant, "/rehearse");
        let answer = api.call("policy rehearse", Method::POST, &path, Some(&body))?;
        if self.json {
            writeln!(surroundings.out, "{}", answer.text)?;
        } else {
            tell(&answer.json, surroundings.out)?;
        }
        let totals = &answer.json["totals"];
        let other = [&totals["different"], &totals["failed"]];
        let other: u64 = other.into_iter().filter_map(Value::as_u64).sum();
        if self.fail_on_difference && other > 0 {
            return Err(Failure::Told(format!(
                "{other} of {} decisions differ or fail",
                totals["decisions"]
            )));
        }
        Ok(())
    }
}

fn tell(view: &Value, out: &mut dyn Write) -> io::Result<()> {
    for decision in view["decisions"].as_array().into_iter().flatten() {
        tell_decision(decision, out)?;
    }
    if let Some(more) = view["not_shown"].as_u64().filter(|more| *more > 0) {
        writeln!(out, "and {more} more that differ or fail\n")?;
    }
    if let Some(note) = view["note"].as_str() {
        writeln!(out, "{}", visible(note))?;
    }
    let totals = &view["totals"];
    writeln!(
        out,
        "{} decisions, asked {} times: {} same, {} different, {} failed, {} left out",
        totals["decisions"],
        totals["times"],
        totals["same"],
        totals["different"],
        totals["failed"],
        totals["left_out"],
    )?;
    let cost = &view["cost"];
    if let (Some(current), Some(candidate)) = (cost["current"].as_u64(), cost["candidate"].as_u64())
    {
        let ratio = cost["ratio"].as_f64().unwrap_or_default();
        writeln!(out, "cost {current} -> {candidate}, times {ratio:.2}")?;
    }
    Ok(())
}

/// A line that says what was asked, then a line each for what was and what would be.
pub(super) fn tell_decision(decision: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", visible(&head(decision)))?;
    if decision["fault"].is_object() {
        let why = decision["fault"]["detail"].as_str().unwrap_or_default();
        writeln!(out, "  ! {}", visible(why))?;
    }
    for field in decision["fields"].as_array().into_iter().flatten() {
        let name = visible(field["field"].as_str().unwrap_or_default());
        let (before, after) = (field["before"].as_str(), field["after"].as_str());
        if let Some(before) = before {
            writeln!(out, "  - {name}: {}", visible(before))?;
        }
        if let Some(after) = after {
            writeln!(out, "  + {name}: {}", visible(after))?;
        }
        if before.is_none() && after.is_none() {
            writeln!(out, "  ~ {name}")?;
        }
    }
    let cost = &decision["cost"];
    if let (Some(current), Some(candidate)) = (cost["current"].as_u64(), cost["candidate"].as_u64())
    {
        writeln!(out, "  cost {current} -> {candidate}")?;
    }
    writeln!(out)
}

/// `DIFFERENT  refusal, request, permanent (suspiciousUserNoGood), page, de; asked 3 times`
fn head(decision: &Value) -> String {
    let text = |key: &str| decision[key].as_str().unwrap_or_default();
    let verdict = text("verdict").to_uppercase();
    let suspension = match decision["reason"].as_str() {
        Some(reason) => format!("{} ({reason})", text("suspension")),
        None => text("suspension").to_owned(),
    };
    let locales = decision["locales"].as_array().into_iter().flatten();
    let locales: Vec<&str> = locales.filter_map(Value::as_str).collect();
    let words = [
        text("question").to_owned(),
        text("occasion").to_owned(),
        suspension,
        text("surface").to_owned(),
        locales.join(" "),
    ];
    let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let mut line = format!("{verdict:<9}  {}", words.join(", "));
    if let Some(case) = decision["case"].as_str() {
        line += &format!("; case {case}");
    }
    if let Some(times) = decision["times"].as_u64() {
        line += &format!("; asked {times} times");
    }
    if let Some(last) = decision["last_at"].as_str() {
        line += &format!(", last {last}");
    }
    line
}
