//! How many durable appends a second the embedded ledger takes, alone and with
//! many writers: `cargo run --release --example ledger_speed -p portcullis`.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use portcullis::control::ledger::{Expect, Ledger};
use portcullis::control::store::SqliteStore;
use portcullis_core::ids::{TenantId, UserId};
use portcullis_core::ledger::{Draft, Event};
use portcullis_core::time::Timestamp;
use portcullis_core::user::Source;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    for (writers, each) in [(1_usize, 1_000_usize), (64, 100), (256, 50)] {
        let folder = tempfile::tempdir()?;
        let store = Arc::new(SqliteStore::open(folder.path())?);
        let started = Instant::now();
        let tasks: Vec<_> = (0..writers)
            .map(|writer| tokio::spawn(append(Arc::clone(&store), writer, each)))
            .collect();
        for task in tasks {
            task.await?.map_err(|error| error.to_string())?;
        }
        let rate = (writers * each) as f64 / started.elapsed().as_secs_f64();
        writeln!(
            std::io::stdout(),
            "{writers} writers: {rate:.0} durable appends a second"
        )?;
    }
    Ok(())
}

async fn append(store: Arc<SqliteStore>, writer: usize, each: usize) -> Result<(), String> {
    for number in 0..each {
        let user = UserId::parse(&format!("user{writer}-{number}"));
        let draft = Draft {
            at: Timestamp(1),
            tenant: TenantId::parse("speed").ok(),
            user: user.ok(),
            actor: "example".into(),
            token: None,
            source: Source::Command,
            approver: None,
            ticket: None,
            comment: None,
            batch: None,
            event: Event::SessionsRevoked,
        };
        store
            .append(draft, Expect::Any, None)
            .await
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}
