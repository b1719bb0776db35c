//! `portcullis policy bench`: what a decision costs. What a guest does is counted,
//! which comes out the same on every machine; time is measured as well.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::wrong;
use crate::cli::print::{Column, Table};
use crate::cli::{Failure, Surroundings};
use crate::policy::{Bundle, HostLimits, PolicyHost, Question, cases};

/// Calls of each case whose time is measured, after as many again to warm up.
const CALLS: usize = 200;

#[derive(Debug, Args)]
pub(in crate::cli) struct Bench {
    /// The policy's folder, with its policy.toml and its cases
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Save the result beside the policy, to be compared with from then on
    #[arg(long)]
    save: bool,
    /// How much more than the saved result a case may cost
    #[arg(long, value_name = "PERCENT", default_value_t = 5)]
    tolerance: u64,
}

/// `bench.toml`: what each case cost when it was saved.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Saved {
    #[serde(default)]
    cost: BTreeMap<String, u64>,
}

struct Measured {
    name: String,
    cost: u64,
    median: Duration,
}

impl Bench {
    pub(super) fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let file = self.folder.join("bench.toml");
        let saved = read(&file)?;
        let measured = measure(&self.folder)?;
        let mut table = Table::new(&["CASE", "COST", "SAVED", "MEDIAN"].map(Column::whole));
        let mut dearer = Vec::new();
        for Measured { name, cost, median } in &measured {
            let before = saved.cost.get(name).copied();
            if let Some(before) = before.filter(|before| self.is_dearer(*cost, *before)) {
                dearer.push(format!(
                    "{name}: costs {cost}, {before} when it was saved; mend it, or save this with --save"
                ));
            }
            let micros = format!("{:.1} µs", median.as_secs_f64() * 1e6);
            let before = before.map(|before| before.to_string()).unwrap_or_default();
            table.row([name.clone(), cost.to_string(), before, micros]);
        }
        table.print(surroundings.out, surroundings.terminal.width)?;
        if self.save {
            let costs = measured.into_iter().map(|each| (each.name, each.cost));
            write(
                &file,
                &Saved {
                    cost: costs.collect(),
                },
            )?;
            return Ok(writeln!(surroundings.err, "saved in {}", file.display())?);
        }
        if dearer.is_empty() {
            Ok(())
        } else {
            Err(Failure::Failed(dearer.join("\n")))
        }
    }

    fn is_dearer(&self, cost: u64, before: u64) -> bool {
        cost * 100 > before * (100 + self.tolerance)
    }
}

/// Cases that expect a failure are left out: what they cost says nothing.
fn measure(folder: &Path) -> Result<Vec<Measured>, Failure> {
    let bundle = Bundle::read(folder).map_err(|error| wrong(folder, &error))?;
    let cases = cases::read(folder).map_err(Failure::usage)?;
    let load = |host: &PolicyHost| host.load(&bundle).map_err(|error| wrong(folder, &error));
    let counting = PolicyHost::metered().map_err(Failure::failed)?;
    let timing = PolicyHost::new(HostLimits::default()).map_err(Failure::failed)?;
    let (counted, timed) = (load(&counting)?, load(&timing)?);
    let mut measured = Vec::new();
    for case in &cases {
        let name = case.path.file_stem().unwrap_or_default();
        let Some(question) = &case.question else {
            continue;
        };
        let Ok((_, Some(cost))) = counting.cost(&counted, question) else {
            continue;
        };
        measured.push(Measured {
            name: name.to_string_lossy().into_owned(),
            cost,
            median: median(&timing, &timed, question),
        });
    }
    Ok(measured)
}

/// A fresh instance each time, on this thread.
fn median(host: &PolicyHost, policy: &crate::policy::Policy, question: &Question) -> Duration {
    let call = || {
        let started = Instant::now();
        // Its answer was looked at when its cost was counted.
        drop(host.answer_here(policy, question));
        started.elapsed()
    };
    for _ in 0..CALLS {
        call();
    }
    let mut times: Vec<Duration> = (0..CALLS).map(|_| call()).collect();
    times.sort_unstable();
    times.get(CALLS / 2).copied().unwrap_or_default()
}

fn read(file: &Path) -> Result<Saved, Failure> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Saved::default()),
        Err(error) => return Err(Failure::usage(format!("{}: {error}", file.display()))),
    };
    toml::from_str(&text).map_err(|error| {
        let message = error.message().replace('\n', " ");
        let file = file.display();
        Failure::usage(format!("{file}: {message}; save it anew with --save"))
    })
}

fn write(file: &Path, saved: &Saved) -> Result<(), Failure> {
    let told =
        |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", file.display()));
    let text = toml::to_string(saved).map_err(|error| told(&error))?;
    std::fs::write(file, text).map_err(|error| told(&error))
}
