//! The cut hangs on the change of state: it is the same by whichever door the
//! change came in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use http::Method;
use portcullis_tests::client::Wire2;
use portcullis_tests::crowd::{Held, Kind, Stage, sign_in_all};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::program::run;
use serde_json::{Value, json};

const HOST: &str = "acme.localhost";
const KINDS: [Kind; 6] = [
    Kind::Socket,
    Kind::Events,
    Kind::Download,
    Kind::Upload,
    Kind::Stream,
    Kind::Call,
];

/// Every way to put a user out.
#[derive(Clone, Copy, Debug)]
enum Door {
    Api,
    ReachFive,
    Circularo,
    CommandLine,
    Timed,
    Sessions,
}

const DOORS: [Door; 6] = [
    Door::Api,
    Door::ReachFive,
    Door::Circularo,
    Door::CommandLine,
    Door::Timed,
    Door::Sessions,
];

impl Door {
    /// Puts `user` out; the receipt, where there is one that counts.
    async fn put_out(self, gate: &Gate, user: &str) -> Option<Value> {
        let admin = gate.admin();
        let users = format!("/api/v1/users/{user}");
        match self {
            Self::Api => Some(admin.suspend(user, &json!({})).await),
            Self::ReachFive => {
                let path = format!("/api/v2/users/{user}/suspend");
                let fields = json!({"allow_password_reset": true});
                let answer = admin.ask(Method::POST, &path, Some(&fields)).await;
                assert!(answer.status < 300, "{}", answer.text());
                None
            }
            Self::Circularo => {
                let fields = json!({"status": "suspended"});
                let done = admin.done(Method::PUT, &users, Some(&fields)).await;
                assert_eq!(done["status"], "SUCCESS");
                None
            }
            Self::CommandLine => {
                let (url, token) = (format!("http://{}", gate.admin), gate.token.clone());
                let folder = gate.plan().folder().to_owned();
                let user = user.to_owned();
                let ended = tokio::task::spawn_blocking(move || {
                    let arguments = ["user", "suspend", &user, "--json"];
                    let variables = [
                        ("PORTCULLIS_ADMIN_URL", url.as_str()),
                        ("PORTCULLIS_TOKEN", token.as_str()),
                    ];
                    run(&folder, &arguments, &variables)
                });
                let ended = ended.await.unwrap();
                assert_eq!(ended.code, 0, "{}", ended.err);
                let done: Value = serde_json::from_str(&ended.out).unwrap();
                Some(done["receipt"].clone())
            }
            Self::Timed => {
                admin.suspend(user, &json!({"starts_at": "1s"})).await;
                None
            }
            Self::Sessions => {
                let path = format!("{users}/sessions");
                let done = admin.done(Method::DELETE, &path, None).await;
                Some(done["receipt"].clone())
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_door_it_comes_by_the_cut_is_the_same() {
    let stage = Stage::start().await;
    let gate = Gate::start(&tenant("acme", stage.origin.address));
    let mut users: Vec<String> = (0..DOORS.len())
        .map(|index| format!("user{index}"))
        .collect();
    users.push("alice".to_owned());
    let browsers = sign_in_all(gate.data, HOST, &users).await;
    let mut shared = Wire2::open(gate.data).await;
    let mut open = Vec::new();
    for (who, user) in browsers.iter().zip(&users) {
        for kind in KINDS {
            let id = open.len();
            open.push(Held::open(&stage, who, user, kind, id, &mut shared).await);
        }
    }
    for (door, user) in DOORS.into_iter().zip(&users) {
        let asked = Instant::now();
        let receipt = door.put_out(&gate, user).await;
        let (his, others): (Vec<Held>, Vec<Held>) =
            open.into_iter().partition(|held| held.user == *user);
        for held in &his {
            let ended = held.end().await;
            held.broken().await;
            if matches!(door, Door::Timed) {
                assert!(ended >= asked + Duration::from_millis(900), "too early");
            }
        }
        if let Some(receipt) = receipt {
            assert_eq!(
                receipt["connections_cut"],
                KINDS.len(),
                "{door:?}: {receipt}"
            );
        }
        assert!(others.iter().all(Held::is_open), "{door:?}");
        open = others;
    }
    assert_eq!(open.len(), KINDS.len());
    for held in &open {
        held.pass().await;
    }
}
