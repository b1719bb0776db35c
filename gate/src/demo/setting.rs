//! The demo's configuration: written to a file, so that it can be read, changed and
//! checked like any other.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use crate::config::api_key_hash;

/// Who is known to the demo app.
pub(super) const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// One tenant of the demo.
pub(super) struct DemoTenant {
    pub id: &'static str,
    pub app: SocketAddr,
    pub token_key_file: &'static str,
}

pub(super) struct Addresses {
    pub data: SocketAddr,
    pub admin: SocketAddr,
}

/// The file as text; paths in it are relative to `target/demo`.
pub(super) fn config_text(addresses: &Addresses, acme: &DemoTenant, globex: &DemoTenant) -> String {
    let mut text = format!(
        "# Written by `portcullis demo` at each start.\n\n\
         [data]\nlisten = \"{}\"\n\n\
         [admin]\nlisten = \"{}\"\n\
         # The Circularo calls take ?token= here; off unless a gate says so.\nquery_token = true\n\n\
         [store]\nfolder = \"state\"\n",
        addresses.data, addresses.admin
    );
    tenant(&mut text, acme, "form", "username");
    tenant(&mut text, globex, "json", "email");
    text
}

fn tenant(text: &mut String, tenant: &DemoTenant, body: &str, user_field: &str) {
    let DemoTenant {
        id,
        app,
        token_key_file,
    } = tenant;
    let _ = write!(
        text,
        "\n[[tenants]]\nid = \"{id}\"\nhosts = [\"{id}.localhost\"]\nupstream = \"http://{app}\"\n\
         login_page = \"/login\"\n\n\
         [tenants.policy]\nbuiltin = \"{id}\"\n\n\
         [[tenants.session_cookies]]\nname = \"demo_session\"\n\n\
         [[tenants.logins]]\npath = \"/login\"\nbody = \"{body}\"\nuser_field = \"{user_field}\"\n\n\
         # Tokens are asked for as JSON and answered without a cookie.\n\
         [[tenants.logins]]\npath = \"/api/token\"\nbody = \"json\"\nuser_field = \"{token_field}\"\n\
         success_statuses = [200]\nsession_token = \"/access_token\"\n\n\
         [tenants.logout]\nmethod = \"POST\"\npath = \"/logout\"\n\n\
         [[tenants.jwts]]\nfrom = \"bearer\"\nalgorithms = [\"HS256\"]\n\
         key_file = \"{token_key_file}\"\n\n\
         [[tenants.api_keys]]\nheader = \"X-API-Key\"\nkeys = [\n",
        token_field = if body == "form" { "username" } else { "email" },
    );
    for user in USERS {
        let hash = api_key_hash(format!("demo-key-{user}").as_bytes()).0;
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(text, "  {{ hash = \"sha256:{hash}\", user = \"{user}\" }},");
    }
    text.push_str("]\n");
}

/// The demo's own folder, below the one it was started in.
pub(super) fn folder() -> &'static Path {
    Path::new("target/demo")
}
