//! What needs no token: whether the gate lives and works, a few numbers, and a
//! page for whoever opens the listener in a browser.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::ask::Api;
use super::problem::Problem;
use crate::control::ledger::Ledger;
use crate::live::tenants::Tenant;
use crate::policy::compiler::Compilations;
use crate::policy::{Calls, Counts, Series};

pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

pub(super) async fn readyz(State(api): State<Arc<Api>>) -> Response {
    let lacks = if api.state.live.is_blind() {
        Err("the ledger can't be followed".to_owned())
    } else {
        (api.state.ready)()
    };
    match lacks {
        Ok(()) => "ready\n".into_response(),
        Err(what) => Problem::unavailable("not_ready", format!("the gate is not ready: {what}"))
            .into_response(),
    }
}

/// Prometheus' text format, version 0.0.4.
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let live = &api.state.live;
    let gauges = [
        (
            "sessions_known",
            "Sessions that the gate has learnt",
            live.sessions().count() as u64,
        ),
        (
            "requests_under_way",
            "Requests that are not done",
            live.connections().count() as u64,
        ),
        (
            "ledger_head",
            "Number of the newest entry of the ledger",
            api.state.commander.store().head().0,
        ),
        (
            "tenants",
            "Tenants that the gate serves",
            live.tenants().all().len() as u64,
        ),
    ];
    let mut text = String::new();
    for (name, help, value) in gauges {
        let _ = writeln!(
            text,
            "# HELP portcullis_{name} {help}.\n# TYPE portcullis_{name} gauge\nportcullis_{name} {value}"
        );
    }
    let host = api.state.policies.host();
    write_outcomes(&mut text, &host.outcomes());
    write_compilations(&mut text, host.compilations());
    write_shadows(&mut text, live.tenants().all());
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    (StatusCode::OK, [(header::CONTENT_TYPE, kind)], text).into_response()
}

/// Names of policies are one word, and tenants' are, too: nothing needs escaping.
fn write_outcomes(text: &mut String, outcomes: &[(Series, Calls)]) {
    let count = |calls: &Calls| calls.count.to_string();
    let taken = |calls: &Calls| format!("{:.6}", calls.taken.as_secs_f64());
    type Value<'a> = &'a dyn Fn(&Calls) -> String;
    let families: [(&str, &str, Value<'_>); 2] = [
        (
            "policy_calls_total",
            "Calls of policies, by what became of them",
            &count,
        ),
        (
            "policy_seconds_total",
            "Time that they took, the wait for a thread included",
            &taken,
        ),
    ];
    for (name, help, value) in families {
        let _ = writeln!(
            text,
            "# HELP portcullis_{name} {help}.\n# TYPE portcullis_{name} counter"
        );
        for (series, calls) in outcomes {
            let Series {
                tenant,
                policy,
                generation,
                outcome,
            } = series;
            let _ = writeln!(
                text,
                "portcullis_{name}{{tenant=\"{tenant}\",policy=\"{policy}\",\
                 generation=\"{generation}\",outcome=\"{outcome}\"}} {}",
                value(calls)
            );
        }
    }
}

fn write_compilations(text: &mut String, compilations: Compilations) {
    let Compilations {
        made,
        failed,
        reused,
    } = compilations;
    let name = "portcullis_policy_compilations_total";
    let _ = writeln!(
        text,
        "# HELP {name} Modules of policies, by how they became code: compiled, in vain, or \
         kept from before.\n# TYPE {name} counter"
    );
    for (outcome, count) in [("made", made), ("failed", failed), ("kept", reused)] {
        let _ = writeln!(text, "{name}{{outcome=\"{outcome}\"}} {count}");
    }
}

/// Of each tenant that had a shadow.
fn write_shadows(text: &mut String, tenants: &[Arc<Tenant>]) {
    let shadowed: Vec<(&Tenant, Counts)> = tenants
        .iter()
        .filter_map(|tenant| Some((&**tenant, tenant.decisions.shadowed()?)))
        .collect();
    let name = "portcullis_policy_shadow_total";
    let _ = writeln!(
        text,
        "# HELP {name} Decisions that a shadow was asked as well, by how its answer compares.\n\
         # TYPE {name} counter"
    );
    for (tenant, counts) in shadowed {
        let Counts {
            same,
            different,
            failed,
            skipped,
        } = counts;
        let outcomes = [
            ("same", same),
            ("different", different),
            ("failed", failed),
            ("skipped", skipped),
        ];
        for (outcome, count) in outcomes {
            let tenant = tenant.id();
            let _ = writeln!(
                text,
                "{name}{{tenant=\"{tenant}\",outcome=\"{outcome}\"}} {count}"
            );
        }
    }
}

const PAGE: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<title>Portcullis, admin listener</title>
<h1>Portcullis</h1>
<p>This is the admin listener of a gate: programs and the <code>portcullis</code> command suspend
and restore users here. There is nothing to click yet.</p>
<p>The API is under <code>/api/v1/</code> and is described in <code>docs/admin-api.md</code>.
<a href=\"/readyz\">/readyz</a> says whether the gate is ready, <a href=\"/metrics\">/metrics</a>
gives a few numbers.</p>
</html>
";

pub(super) async fn page() -> Response {
    let mut response = Html(PAGE).into_response();
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
    response
}
