//! What a million sessions of a hundred thousand users cost in memory, and how long
//! a request looks for its own: `cargo run --release --example session_table -p portcullis`.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use mimalloc::MiMalloc;
use portcullis::live::connections::Stake;
use portcullis::live::sessions::{
    Bounds, Change, LearnError, Learnt, Place, SessionHash, SessionStore, hash,
};
use portcullis::live::tenants::Tenants;
use portcullis::live::{self, Reader};
use portcullis_core::deed::Deed;
use portcullis_core::ids::{Revision, TenantId, UserId, UserKey};
use portcullis_core::time::Timestamp;

/// As the gate itself allocates.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const SESSIONS: usize = 1_000_000;
const USERS: usize = 100_000;
const LOOKS: usize = 1_000_000;

/// Durable at once: what the disk costs is measured elsewhere.
struct Kept;

impl SessionStore for Kept {
    fn keep(&self, _: Vec<Change>) -> BoxFuture<'static, Result<(), LearnError>> {
        Box::pin(async { Ok(()) })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let tenant = TenantId::parse("acme")?;
    let users: Vec<UserKey> = (0..USERS)
        .map(|n| {
            Ok(UserKey::new(
                &tenant,
                &UserId::parse(&format!("user{n}@acme.test"))?,
            ))
        })
        .collect::<Result<_, Box<dyn Error>>>()?;
    let hashes: Vec<SessionHash> = (0..SESSIONS)
        .map(|n| hash(&tenant, "sessionid", format!("value-{n}").as_bytes()))
        .collect();
    let bounds = Bounds {
        all: SESSIONS * 2,
        per_user: 1_000,
    };
    let (live, writer) = live::open(
        Tenants::default(),
        Arc::new(Kept),
        bounds,
        &[0; 32],
        Box::new(|_| ()),
    );

    let before = resident()?;
    for (n, hash) in hashes.iter().enumerate() {
        writer
            .sessions()
            .insert(learnt(*hash, &users[n % USERS], n));
    }
    let sessions = resident()? - before;
    let before = resident()?;
    let tickets: Vec<_> = users
        .iter()
        .filter_map(|user| live.register(vec![Stake::of(user.clone(), false)], &[], Deed::Act))
        .collect();
    let connections = resident()? - before;
    writeln!(
        out,
        "{SESSIONS} sessions of {USERS} users: {} bytes each",
        sessions / SESSIONS
    )?;
    writeln!(
        out,
        "{USERS} requests under way: {} bytes each",
        connections / USERS
    )?;
    look_up(&mut out, &live, &hashes, &users)?;
    drop(tickets);
    Ok(())
}

fn learnt(hash: SessionHash, user: &UserKey, n: usize) -> Learnt {
    // As they come from the store: each with its own copy of the name.
    let tenant = TenantId::parse(user.tenant());
    let own = tenant.and_then(|tenant| Ok(UserKey::new(&tenant, &UserId::parse(user.user())?)));
    Learnt {
        hash,
        user: own.unwrap_or_else(|_| user.clone()),
        learnt_at: Revision(1),
        first_seen: Timestamp(1_000),
        last_seen: Timestamp(1_000),
        place: Place {
            name: "sessionid".into(),
            path: Some("/".into()),
            domain: None,
        },
        address: Some([10, 0, (n >> 8) as u8, n as u8].into()),
        agent: Some(format!(
            "Mozilla/5.0 (X11; Linux x86_64) Browser/{}",
            n % 500
        )),
        ended: None,
    }
}

/// What a request does: its session, that session's user, and the user's standing.
fn look_up(
    out: &mut impl Write,
    live: &Reader,
    hashes: &[SessionHash],
    users: &[UserKey],
) -> Result<(), Box<dyn Error>> {
    // A fixed walk that jumps over the whole table, so that caches help little.
    let walk = |n: usize| n.wrapping_mul(7_919) % SESSIONS;
    let mut took: Vec<u64> = Vec::with_capacity(LOOKS);
    for n in 0..LOOKS {
        let started = Instant::now();
        live.sessions().owners(&hashes[walk(n)], |session| {
            let user = live.resolve(session.user.clone());
            black_box(live.standing(&user));
        });
        took.push(started.elapsed().as_nanos() as u64);
    }
    took.sort_unstable();
    let at = |part: usize| took[took.len() * part / 1000];
    writeln!(
        out,
        "session, user and status: {} ns median, {} ns p99",
        at(500),
        at(990)
    )?;
    let started = Instant::now();
    for n in 0..LOOKS {
        black_box(live.standing(&users[walk(n) % USERS]));
    }
    let each = started.elapsed().as_nanos() / LOOKS as u128;
    writeln!(out, "status alone: {each} ns mean")?;
    Ok(())
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<usize, Box<dyn Error>> {
    const PAGE: usize = 4096;
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).ok_or("statm has two numbers")?;
    Ok(pages.parse::<usize>()? * PAGE)
}
