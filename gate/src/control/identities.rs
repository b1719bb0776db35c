//! What is asked of identity providers: key sets that are fetched, and tokens that
//! their servers are asked about. The answers are published in `live`; the data
//! wing calls nobody.

mod call;
mod introspection;
mod keys;

use crate::live::tenants::Tenants;

/// Starts a task for each key set and each token server of `tenants`; call it in
/// the control runtime. A task ends with its tenant.
pub fn start(tenants: &Tenants) {
    for tenant in tenants.all() {
        for judges in &tenant.judges {
            for verifier in &judges.verifiers {
                keys::start(tenant.id(), verifier);
            }
            for introspection in &judges.introspections {
                introspection::start(tenant.id(), introspection);
            }
        }
    }
}
