//! How fast appends are; a measurement to be asked for, not a test.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use super::Folder;
use crate::control::ledger::conformance::suspended;
use crate::control::ledger::{Expect, Ledger};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn appends_a_second() {
    for (writers, each) in [(1_usize, 1_000_usize), (64, 100), (256, 50)] {
        let folder = Folder::fresh();
        let store = Arc::new(folder.store());
        let started = Instant::now();
        let tasks: Vec<_> = (0..writers)
            .map(|writer| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for number in 0..each {
                        let draft = suspended(&format!("user{writer}-{number}"));
                        store.append(draft, Expect::Any, None).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let rate = (writers * each) as f64 / started.elapsed().as_secs_f64();
        let line = format!("{writers} writers: {rate:.0} durable appends a second\n");
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
}
