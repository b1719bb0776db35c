//! `portcullis check`: everything that a start would find wrong, without starting.

use std::fmt;
use std::sync::Arc;

use super::StartError;
use crate::config::{Config, PolicySource, TenantConfig};
use crate::policy::{Bundle, HostLimits, LoadError, Policy, PolicyHost};

/// What was checked: a line for each doubt, then one a tenant.
#[derive(Debug)]
pub struct CheckReport {
    lines: Vec<String>,
}

/// Loads each tenant's policy and has it check its settings; listens on nothing
/// and opens no store.
pub fn check(config: &Config) -> Result<CheckReport, StartError> {
    let host = PolicyHost::new(HostLimits::default()).map_err(StartError::PolicyHost)?;
    let doubts = config.doubts.iter();
    let mut lines: Vec<String> = doubts.map(|doubt| format!("warning: {doubt}")).collect();
    for tenant in &config.tenants {
        let policy = load_policy(&host, tenant)?;
        let hosts: Vec<String> = tenant.hosts.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "tenant {}: {} -> {}, policy sha256:{}",
            tenant.id,
            hosts.join(", "),
            tenant.upstream.authority(),
            policy.digest(),
        ));
    }
    Ok(CheckReport { lines })
}

pub(super) fn load_policy(
    host: &PolicyHost,
    tenant: &TenantConfig,
) -> Result<Arc<Policy>, StartError> {
    let bundle: Result<_, LoadError> = match &tenant.policy.source {
        PolicySource::Folder(folder) => Bundle::read(folder),
        PolicySource::Builtin(builtin) => Bundle::built_in(builtin.as_str()),
    };
    let loaded = bundle.and_then(|bundle| host.load_for(tenant.id.as_str(), 0, &bundle));
    loaded.map_err(|error| StartError::Policy {
        tenant: tenant.id.clone(),
        error,
    })
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        f.write_str("the configuration is good")
    }
}
