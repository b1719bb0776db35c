//! The ledger as a stream: every entry once, whatever happens to the gate or the
//! reader in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use portcullis_tests::client::Ask;
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::Origin;
use portcullis_tests::patience::{LONG, within};
use serde_json::json;

/// A reader that keeps the place of the last event that it had whole.
struct Reader {
    answer: Response<Incoming>,
    text: String,
}

impl Reader {
    async fn open(gate: &Gate, after: u64) -> Self {
        let answer = Ask::get("/api/v1/events")
            .header("host", &gate.admin.to_string())
            .header("authorization", &format!("Bearer {}", gate.token))
            .header("last-event-id", &after.to_string())
            .begin(gate.admin)
            .await;
        assert_eq!(answer.status(), 200);
        Self {
            answer,
            text: String::new(),
        }
    }

    /// The place and the user of the next event; `None` when the stream broke.
    async fn next(&mut self) -> Option<(u64, String)> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name| block.lines().find_map(|line| line.strip_prefix(name));
                let Some(id) = field("id: ") else { continue };
                let data = field("data: ").unwrap();
                let data: serde_json::Value = serde_json::from_str(data).unwrap();
                let user = data["user"].as_str().unwrap_or_default();
                return Some((id.parse().unwrap(), user.to_owned()));
            }
            let frame = within(LONG, "an event", self.answer.body_mut().frame()).await;
            let data = frame?.ok()?.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_comes_once_across_a_crash() {
    const ROUNDS: usize = 3;
    const EACH: usize = 20;
    let origin = Origin::start().await;
    let mut gate = Gate::start(&tenant("acme", origin.address));
    let (mut seen, mut last) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        let mut reader = Reader::open(&gate, last).await;
        for number in 0..EACH {
            let user = format!("user{round}-{number}");
            gate.admin().suspend(&user, &json!({})).await;
        }
        // Some are read, the others are lost with the connection.
        while let Some((seq, user)) = reader.next().await {
            assert_eq!(seq, last + 1, "no gap and no double");
            last = seq;
            seen.push(user);
            if seen.len() > round * EACH + EACH / 2 {
                break;
            }
        }
        gate.kill_9();
        assert!(drain(&mut reader).await, "the stream broke");
        gate.start_again();
    }
    let mut reader = Reader::open(&gate, last).await;
    let end = format!("user{}-{}", ROUNDS - 1, EACH - 1);
    while seen.last() != Some(&end) {
        let (seq, user) = reader.next().await.expect("an event");
        assert_eq!(seq, last + 1);
        last = seq;
        seen.push(user);
    }
    seen.retain(|user| user.starts_with("user"));
    let asked = (0..ROUNDS).flat_map(|round| (0..EACH).map(move |n| format!("user{round}-{n}")));
    assert_eq!(seen, asked.collect::<Vec<_>>());
}

/// Reads what is left, to where it breaks off.
async fn drain(reader: &mut Reader) -> bool {
    while reader.next().await.is_some() {}
    true
}
