//! What concerns the gate as a whole: listeners, deadlines, store, log.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use portcullis_core::limits;
use tracing::Level;

use super::fault::Noted;
use super::section::Section;
use super::{
    AdminConfig, Config, DataConfig, Deadlines, LogConfig, LogFormat, SessionBounds, scalar, tenant,
};

const WORKERS_MAX: usize = 64;
/// Shorter than this, a deadline fires on a healthy network.
const DEADLINE_MIN: Duration = Duration::from_millis(10);

pub(super) fn read_config(top: &Section<'_>) -> Result<Config, Noted> {
    let data = read_data(top);
    let admin = read_admin(top);
    let store_folder = read_store(top);
    let sessions = read_sessions(top);
    let log = read_log(top);
    let tenants = read_tenants(top);
    let (data, admin) = (data?, admin?);
    if is_taken(data.listen, admin.listen) {
        let text = "is the data listener's address too; give the admin listener another port";
        return Err(top.section("admin")?.note("listen", text));
    }
    Ok(Config {
        file: top.file().to_owned(),
        data,
        admin,
        store_folder: store_folder?,
        sessions: sessions?,
        log: log?,
        tenants: tenants?,
        doubts: top.doubts(),
    })
}

/// Whether two listeners would want the same port of the same address.
fn is_taken(data: SocketAddr, admin: SocketAddr) -> bool {
    let all = data.ip().is_unspecified() || admin.ip().is_unspecified();
    // Port 0 is a free port each time.
    data.port() == admin.port() && data.port() != 0 && (data.ip() == admin.ip() || all)
}

fn read_data(top: &Section<'_>) -> Result<DataConfig, Noted> {
    let section = top.section("data")?;
    let listen = section.optional("listen", scalar::address);
    let workers = section.optional("workers", |value| scalar::whole(value, 1, WORKERS_MAX));
    let deadlines = read_deadlines(&section);
    section.refuse_unknown();
    let cores = || thread::available_parallelism().map_or(1, |cores| cores.get().min(WORKERS_MAX));
    Ok(DataConfig {
        listen: listen?.unwrap_or(([127, 0, 0, 1], 8080).into()),
        workers: workers?.unwrap_or_else(cores),
        deadlines: deadlines?,
    })
}

fn read_deadlines(data: &Section<'_>) -> Result<Deadlines, Noted> {
    let section = data.section("deadlines")?;
    let read = |key, default: Duration| {
        let given = section.optional(key, |value| scalar::duration(value, DEADLINE_MIN))?;
        Ok(given.unwrap_or(default))
    };
    let first_bytes = read("first_bytes", limits::FIRST_BYTES_WAIT);
    let request_head = read("request_head", limits::REQUEST_HEAD_WAIT);
    let request_body_idle = read("request_body_idle", limits::REQUEST_BODY_IDLE);
    let upstream_connect = read("upstream_connect", limits::UPSTREAM_CONNECT_WAIT);
    let upstream_head = read("upstream_head", limits::UPSTREAM_HEAD_WAIT);
    let response_body_idle = read("response_body_idle", limits::RESPONSE_BODY_IDLE);
    let http2_idle = read("http2_idle", limits::HTTP2_IDLE);
    let upgraded_idle = read("upgraded_idle", limits::UPGRADED_IDLE);
    let drain = read("drain", limits::DRAIN_WAIT);
    section.refuse_unknown();
    Ok(Deadlines {
        first_bytes: first_bytes?,
        request_head: request_head?,
        request_body_idle: request_body_idle?,
        upstream_connect: upstream_connect?,
        upstream_head: upstream_head?,
        response_body_idle: response_body_idle?,
        http2_idle: http2_idle?,
        upgraded_idle: upgraded_idle?,
        drain: drain?,
    })
}

fn read_admin(top: &Section<'_>) -> Result<AdminConfig, Noted> {
    let section = top.section("admin")?;
    let listen = section.optional("listen", scalar::address);
    let query_token = section.optional("query_token", scalar::flag);
    section.refuse_unknown();
    Ok(AdminConfig {
        listen: listen?.unwrap_or(([127, 0, 0, 1], 8081).into()),
        query_token: query_token?.unwrap_or(false),
    })
}

fn read_store(top: &Section<'_>) -> Result<std::path::PathBuf, Noted> {
    let section = top.section("store")?;
    let folder = section.optional("folder", scalar::text);
    section.refuse_unknown();
    Ok(section.resolve(folder?.unwrap_or("state")))
}

fn read_sessions(top: &Section<'_>) -> Result<SessionBounds, Noted> {
    const MOST: usize = 100_000_000;
    let section = top.section("sessions")?;
    let all = section.optional("max", |value| scalar::whole(value, 1, MOST));
    let per_user = section.optional("per_user", |value| scalar::whole(value, 1, 100_000));
    section.refuse_unknown();
    Ok(SessionBounds {
        all: all?.unwrap_or(limits::SESSIONS_MAX),
        per_user: per_user?.unwrap_or(limits::SESSIONS_PER_USER_MAX),
    })
}

fn read_log(top: &Section<'_>) -> Result<LogConfig, Noted> {
    const LEVELS: [(&str, Level); 5] = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let section = top.section("log")?;
    let level = section.optional("level", |value| scalar::word(value, &LEVELS));
    let format = section.optional("format", |value| scalar::word(value, &FORMATS));
    section.refuse_unknown();
    Ok(LogConfig {
        level: level?.unwrap_or(Level::INFO),
        format: format?.unwrap_or(LogFormat::Text),
    })
}

fn read_tenants(top: &Section<'_>) -> Result<Vec<super::TenantConfig>, Noted> {
    let sections = top.sections("tenants")?;
    if sections.is_empty() {
        return Err(top.note("tenants", "there is no tenant; add a [[tenants]] table"));
    }
    let (mut ids, mut hosts) = (HashSet::new(), HashSet::new());
    let mut tenants = Vec::with_capacity(sections.len());
    for section in &sections {
        let Ok(tenant) = tenant::read_tenant(section) else {
            continue;
        };
        if !ids.insert(tenant.id.clone()) {
            section.note(
                "id",
                format!(
                    "there is another tenant {}; give each its own id",
                    tenant.id
                ),
            );
        }
        for host in &tenant.hosts {
            if !hosts.insert(host.clone()) {
                section.note(
                    "hosts",
                    format!("{host} is listed twice; a host belongs to one tenant"),
                );
            }
        }
        tenants.push(tenant);
    }
    if tenants.len() == sections.len() {
        Ok(tenants)
    } else {
        Err(Noted)
    }
}
