//! To someone who does not hold the password, a suspended account looks like any
//! other: in every byte, on every try, on the connection, and in time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Instant;

use portcullis_tests::client::{Answer, Ask, Wire, Wire2};
use portcullis_tests::distinguisher::{Coin, Samples};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::Origin;
use portcullis_tests::raw::Raw;
use serde_json::json;

const HOST: &str = "acme.localhost";

/// A gate where, of names of one length, bob is suspended for a while and dan for
/// good, ann is active again and signed in, and eve has never been heard of.
async fn stage() -> (Origin, Gate) {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let admin = gate.admin();
    let terms = json!({"allow_password_reset": true, "suspension_reason": "suspiciousUserNoGood"});
    admin.suspend("bob", &terms).await;
    admin.suspend("dan", &json!({})).await;
    admin.suspend("ann", &terms).await;
    admin.restore("ann").await;
    let signed_in = login("ann", "demo").send(gate.data).await;
    assert_eq!(signed_in.status, 303);
    (origin, gate)
}

fn login(user: &str, password: &str) -> Ask {
    Ask::post("/login")
        .host(HOST)
        .form(&[("username", user), ("password", password)])
}

/// All of an answer but when it was made, in the order in which it came.
fn but_date(answer: &Answer) -> (u16, Vec<String>, bytes::Bytes) {
    let headers = answer.headers.iter().filter(|(name, _)| *name != "date");
    let headers = headers.map(|(name, value)| format!("{name}: {value:?}"));
    (answer.status, headers.collect(), answer.body.clone())
}

#[tokio::test]
async fn wrong_passwords_get_the_same_bytes_whoever_they_are_for_and_however_often() {
    let (_origin, gate) = stage().await;
    let first = but_date(&login("ann", "wrong").send(gate.data).await);
    assert_eq!(first.0, 401);
    let mut wire = Wire::open(gate.data).await;
    let mut wire2 = Wire2::open(gate.data).await;
    for round in 0..3 {
        for user in ["bob", "ann", "dan", "eve", "bob", "BOB"] {
            let kept = wire.send(login(user, "wrong")).await;
            assert_eq!(but_date(&kept), first, "{user}, round {round}");
            let fresh = login(user, "wrong").send(gate.data).await;
            assert_eq!(but_date(&fresh), first, "{user}, round {round}");
            let ask = Ask::post(&format!("http://{HOST}/login"))
                .form(&[("username", user), ("password", "wrong")]);
            let http2 = but_date(&wire2.send(ask).await);
            assert_eq!((http2.0, http2.2), (first.0, first.2.clone()), "{user}");
        }
    }
}

/// Header by header as they are written, and what becomes of the connection.
#[tokio::test]
async fn the_bytes_on_the_wire_are_the_same_too_and_the_connection_stays_open_alike() {
    let (_origin, gate) = stage().await;
    let mut told = Vec::new();
    for user in ["ann", "bob", "dan", "eve"] {
        let mut raw = Raw::open(gate.data).await;
        let mut answers = String::new();
        for closing in ["", "Connection: close\r\n"] {
            let body = format!("username={user}&password=wrong");
            raw.send(format!(
                "POST /login HTTP/1.1\r\nHost: {HOST}\r\n{closing}Content-Length: {}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
                body.len()
            ))
            .await;
            answers += &if closing.is_empty() {
                raw.read_until("wrong name or password").await
            } else {
                raw.read_to_close().await
            };
        }
        let lines = answers
            .split("\r\n")
            .filter(|line| !line.starts_with("date:"));
        told.push(lines.map(str::to_owned).collect::<Vec<_>>());
    }
    assert!(told.iter().all(|answers| *answers == told[0]), "{told:#?}");
}

/// Someone else's browser, and one that the user was signed in with once.
#[tokio::test]
async fn cookies_that_come_with_a_wrong_password_do_not_tell_either() {
    let (origin, gate) = stage().await;
    let admin = gate.admin();
    let cookie = |answer: &Answer| {
        let line = answer.set_cookies().remove(0);
        line.split(';').next().unwrap().to_owned()
    };
    let dead = cookie(&login("kim", "demo").send(gate.data).await);
    admin.suspend("kim", &json!({})).await;
    admin.restore("kim").await;
    let own = cookie(&login("ann", "demo").send(gate.data).await);
    for cookies in ["sid=unknown", dead.as_str(), own.as_str()] {
        let mut told = Vec::new();
        for user in ["ann", "bob", "dan", "eve"] {
            origin.take_seen();
            let answer = login(user, "wrong").cookie(cookies).send(gate.data).await;
            let seen = origin.take_one();
            told.push((but_date(&answer), seen.header("cookie").to_owned()));
        }
        assert!(
            told.iter().all(|one| *one == told[0]),
            "{cookies}: {told:#?}"
        );
    }
}

#[tokio::test]
async fn the_right_password_of_a_suspended_user_gets_the_same_object_at_each_try() {
    let (origin, gate) = stage().await;
    let right = || login("bob", "demo").header("accept", "application/json");
    let first = right().send(gate.data).await;
    assert_eq!(first.status, 403);
    for _ in 0..3 {
        let wrong = login("bob", "wrong").send(gate.data).await;
        assert_eq!(wrong.status, 401);
        let again = right().send(gate.data).await;
        assert_eq!(but_date(&again), but_date(&first));
    }
    assert_eq!(origin.sessions(), 1, "ann's alone");
}

const TRIES: usize = 1_000;
const ROUNDS_MAX: usize = 6;
const FOUND_AT: u64 = 200_000;

/// Both kinds of attempt on one kept connection, in random order, so that whatever
/// else the machine does falls on both alike.
async fn measure(wire: &mut Wire, users: (&str, &str), coin: &mut Coin) -> Samples {
    let mut samples = Samples::default();
    for _ in 0..TRIES {
        let turn = coin.toss();
        for one in [turn, !turn] {
            let ask = login(if one { users.0 } else { users.1 }, "wrong");
            let started = Instant::now();
            let answer = wire.send(ask).await;
            let took = started.elapsed().as_nanos();
            assert_eq!(answer.status, 401);
            let list = if one {
                &mut samples.one
            } else {
                &mut samples.other
            };
            list.push(u64::try_from(took).unwrap());
        }
    }
    samples
}

/// Takes samples until they are fine enough to show 200 µs: seen on the first of
/// the two alone, so that it does not depend on what is looked for.
async fn measure_finely(wire: &mut Wire, users: (&str, &str), coin: &mut Coin) -> Samples {
    let mut all = Samples::default();
    for _ in 0..ROUNDS_MAX {
        let more = measure(wire, users, coin).await;
        all.one.extend(more.one);
        all.other.extend(more.other);
        let mut halves = Samples::default();
        for (at, time) in all.one.iter().enumerate() {
            let half = if at % 2 == 0 {
                &mut halves.one
            } else {
                &mut halves.other
            };
            half.push(*time);
        }
        if halves.shifted(FOUND_AT).tells_apart() {
            return all;
        }
    }
    panic!("the machine is too busy to time {FOUND_AT} ns in {ROUNDS_MAX} rounds of {TRIES} tries");
}

/// An attacker who counts the time gets no further than one who tosses a coin.
#[tokio::test]
async fn time_does_not_tell_a_suspended_account_from_another_over_a_thousand_tries() {
    let (_origin, gate) = stage().await;
    let mut wire = Wire::open(gate.data).await;
    let mut coin = Coin(20_260_101);
    // Whatever is warmed up by a first try.
    for user in ["ann", "bob", "dan", "eve"] {
        wire.send(login(user, "wrong")).await;
    }
    for users in [("ann", "bob"), ("ann", "dan"), ("eve", "bob")] {
        let samples = measure_finely(&mut wire, users, &mut coin).await;
        let scores = (samples.rank_score(), samples.threshold_score());
        assert!(!samples.tells_apart(), "{users:?}: {scores:?}");
        // The same samples, with a leak of the size that would matter.
        let leak = samples.shifted(FOUND_AT);
        assert!(leak.tells_apart(), "{users:?}: a leak would go unseen");
    }
}
