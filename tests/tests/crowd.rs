//! A thousand live connections of a hundred users: a suspension takes those of
//! one user, all of them, at once, and no other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use portcullis_tests::client::Wire2;
use portcullis_tests::crowd::{Held, Kind, Stage, sign_in_all};
use portcullis_tests::gate::{Gate, tenant};
use serde_json::json;

const HOST: &str = "acme.localhost";
const USERS: usize = 100;
const KINDS: [Kind; 10] = [
    Kind::Socket,
    Kind::Socket,
    Kind::Events,
    Kind::Events,
    Kind::Download,
    Kind::Upload,
    Kind::Upload,
    Kind::Stream,
    Kind::Stream,
    Kind::Call,
];
/// So many users share one HTTP/2 connection.
const SHARING: usize = 5;
const SUSPENDED: usize = 12;
/// What the product promises is 100 ms; a busy machine gets more.
const LIMIT: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_connections_one_users_are_cut_at_once_and_no_others() {
    let stage = Stage::start().await;
    let config = tenant("acme", stage.origin.address);
    let gate = Gate::start(&config);
    let users: Vec<String> = (0..USERS).map(|index| format!("user{index}")).collect();
    let browsers = sign_in_all(gate.data, HOST, &users).await;
    let mut shared = Vec::new();
    let mut open = Vec::new();
    for (index, (who, user)) in browsers.iter().zip(&users).enumerate() {
        if index % SHARING == 0 {
            shared.push(Wire2::open(gate.data).await);
        }
        let wire = shared.last_mut().unwrap();
        for kind in KINDS {
            let id = open.len();
            open.push(Held::open(&stage, who, user, kind, id, wire).await);
        }
    }
    assert_eq!(open.len(), 1000);
    let admin = gate.admin();
    let (mut since_told, mut since_asked) = (Vec::new(), Vec::new());
    for user in users.iter().step_by(USERS / SUSPENDED).take(SUSPENDED) {
        let asked = Instant::now();
        let receipt = admin.suspend(user, &json!({})).await;
        let told = Instant::now();
        assert_eq!(receipt["connections_cut"], KINDS.len(), "{user}: {receipt}");
        let (his, others): (Vec<Held>, Vec<Held>) =
            open.into_iter().partition(|held| held.user == *user);
        assert_eq!(his.len(), KINDS.len());
        for held in &his {
            let end = held.end().await;
            since_told.push(end.saturating_duration_since(told));
            since_asked.push(end.saturating_duration_since(asked));
            held.broken().await;
        }
        assert!(others.iter().all(Held::is_open), "after {user}");
        open = others;
    }
    for held in &open {
        held.pass().await;
    }
    let (told, asked) = (p99(since_told), p99(since_asked));
    report(&format!(
        "{} connections cut; p99 to the last byte: {told:?} from the acknowledgement, \
         {asked:?} from the call",
        SUSPENDED * KINDS.len()
    ));
    assert!(told < LIMIT, "{told:?}");
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

#[expect(
    clippy::print_stdout,
    reason = "a measurement, shown with --no-capture"
)]
fn report(line: &str) {
    println!("{line}");
}
