//! How long a request looks for its user's status where the cache does not have it,
//! with ten thousand users suspended and with ten million:
//! `cargo run --release --example status_speed -p portcullis [users …]`.
//!
//! A miss looks into the exact set of every user who was ever changed, and puts what
//! it found into the cache. Two kinds are measured: names that the gate never heard
//! of, each asked for once, and users who are suspended, after enough others were
//! asked for to have them out of the cache (where they are more than it holds).

use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use mimalloc::MiMalloc;
use portcullis::live::sessions::{Bounds, Change, LearnError, SessionStore};
use portcullis::live::tenants::Tenants;
use portcullis::live::{self, Reader};
use portcullis_core::ids::{Revision, TenantId, UserId, UserKey};
use portcullis_core::standing::Standing;
use portcullis_core::time::Timestamp;
use portcullis_core::user::{Access, Hold, Kind, Source, User};

/// As the gate itself allocates.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const LOOKS: usize = 200_000;

struct Kept;

impl SessionStore for Kept {
    fn keep(&self, _: Vec<Change>) -> BoxFuture<'static, Result<(), LearnError>> {
        Box::pin(async { Ok(()) })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut sizes: Vec<usize> = std::env::args()
        .skip(1)
        .map(|size| size.parse())
        .collect::<Result<_, _>>()?;
    if sizes.is_empty() {
        sizes = vec![10_000, 10_000_000];
    }
    let mut first = None;
    for size in sizes {
        let (unknown, suspended) = measure(size)?;
        let (p50, p99) = unknown;
        let base = *first.get_or_insert(p50);
        writeln!(
            std::io::stdout(),
            "{size} users: a name never heard of {p50:.2} µs (p99 {p99:.2}), {:.2} to 1; \
             a suspended user {:.2} µs (p99 {:.2})",
            p50 / base,
            suspended.0,
            suspended.1,
        )?;
    }
    Ok(())
}

/// Median and p99, in microseconds.
type Times = (f64, f64);

/// Of names never heard of and of suspended users.
fn measure(users: usize) -> Result<(Times, Times), Box<dyn Error>> {
    let tenant = TenantId::parse("acme")?;
    let key = |n: usize| -> Result<UserKey, Box<dyn Error>> {
        Ok(UserKey::new(&tenant, &UserId::parse(&format!("user{n}"))?))
    };
    let bounds = Bounds {
        all: 10,
        per_user: 10,
    };
    let tenants = Tenants::default();
    let (live, writer) = live::open(tenants, Arc::new(Kept), bounds, &[0; 32], Box::new(|_| ()));
    for n in 0..users {
        let mut standing = Standing::of(&suspended()?);
        standing.revision = Revision(n as u64 + 1);
        writer.apply(&key(n)?, standing);
    }
    let mut strangers = Vec::with_capacity(LOOKS);
    for n in 0..LOOKS {
        strangers.push(UserKey::new(
            &tenant,
            &UserId::parse(&format!("stranger{n}"))?,
        ));
    }
    let unknown = look(&live, &strangers);
    // Jumps over the whole set, each user once.
    let step = 7_919;
    let mut known = Vec::with_capacity(LOOKS.min(users));
    for n in 0..LOOKS.min(users) {
        known.push(key(n * step % users)?);
    }
    Ok((unknown, look(&live, &known)))
}

fn suspended() -> Result<User, Box<dyn Error>> {
    let hold = Hold {
        name: portcullis_core::ids::HoldName::admin(),
        kind: Kind::Permanent,
        access: Access::None,
        reason: None,
        reason_text: None,
        source: Source::Api,
        actor: "example".into(),
        approver: None,
        ticket: None,
        comment: None,
        placed_at: Timestamp(1),
        starts_at: Timestamp(1),
        ends_at: None,
        disables_api_keys: true,
        revokes_sessions: true,
        begun: true,
    };
    Ok(User {
        holds: vec![hold],
        ..User::default()
    })
}

fn look(live: &Reader, keys: &[UserKey]) -> Times {
    let mut times: Vec<Duration> = keys
        .iter()
        .map(|key| {
            let began = Instant::now();
            black_box(live.standing(key));
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |part: usize| {
        let time = times.get(times.len() * part / 100).copied();
        time.unwrap_or_default().as_secs_f64() * 1e6
    };
    (at(50), at(99))
}
