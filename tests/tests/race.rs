//! Suspensions in the midst of everything else: once one is acknowledged, nothing
//! of its user gets through, whatever was under way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use portcullis_tests::client::{Answer, Ask, Body, Wire, Wire2};
use portcullis_tests::gate::{Gate, Plan, tenant};
use portcullis_tests::origin::{Origin, say};
use portcullis_tests::patience::{LONG, within};
use serde_json::json;
use tokio::sync::watch;

const HOST: &str = "acme.localhost";
/// Each suspends, and restores, a user whom the gate has never met.
const ROUNDS: usize = 10_000;
const LANES: usize = 80;
/// So many lanes share one HTTP/2 connection.
const SHARING: usize = 8;
const SEED: u64 = 0x5eed_0003;
/// Says that a request began when its user was out already.
const LATE: &str = "x-late";

/// What the app and the test know together.
#[derive(Default)]
struct Stage {
    minted: AtomicUsize,
    /// Late requests that got through.
    passed: Mutex<Vec<String>>,
    /// Answers to `/slow` wait until the suspension is acknowledged.
    acknowledged: Mutex<HashMap<String, watch::Receiver<bool>>>,
}

fn user_of(text: &str, mark: &str) -> String {
    let rest = text.split(mark).nth(1).unwrap_or_default();
    let end = rest.find(['-', ';', '&']).unwrap_or(rest.len());
    rest[..end].to_owned()
}

impl Stage {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let cookies = request.headers().get("cookie");
        let cookies = cookies
            .map_or("", |value| value.to_str().unwrap())
            .to_owned();
        if request.headers().contains_key(LATE) {
            let what = format!("{} {cookies}", request.uri());
            self.passed.lock().unwrap().push(what);
        }
        let user = user_of(&cookies, "sid=of.");
        match request.uri().path() {
            "/login" => {
                let form = request.into_body().collect().await;
                let form = form.map(|body| body.to_bytes()).unwrap_or_default();
                let user = user_of(&String::from_utf8_lossy(&form), "username=");
                self.session(&user, StatusCode::SEE_OTHER)
            }
            "/rotate" => self.session(&user, StatusCode::OK),
            "/slow" => {
                let told = self.acknowledged.lock().unwrap().get(&user).cloned();
                if let Some(mut told) = told {
                    let _ = told.wait_for(|told| *told).await;
                }
                say(StatusCode::OK, "too late")
            }
            "/ws" => {
                let mut answer = say(StatusCode::SWITCHING_PROTOCOLS, "");
                for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket")] {
                    answer.headers_mut().insert(name, value.parse().unwrap());
                }
                answer
            }
            _ => say(StatusCode::OK, "hello"),
        }
    }

    fn session(&self, user: &str, status: StatusCode) -> Response<Body> {
        let count = self.minted.fetch_add(1, Ordering::Relaxed);
        let mut answer = say(status, "welcome");
        let cookie = format!("sid=of.{user}-{count}; Path=/");
        answer
            .headers_mut()
            .insert("set-cookie", cookie.parse().unwrap());
        answer
    }
}

/// The session that an answer hands out, if it does.
fn handed_out(answer: &Answer) -> Option<String> {
    let lines = answer.set_cookies();
    let line = lines.iter().find(|line| !line.contains("Max-Age=0"))?;
    Some(line.split(';').next()?.to_owned())
}

/// Chance that can be had again (xorshift64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

async fn wait_a_little(turns: u64) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// One user after the other, each suspended while all this goes on.
struct Lane {
    stage: Arc<Stage>,
    gate: Arc<Gate>,
    /// Kept connections: of the user's clicks, and of the administrator.
    clicks: Wire,
    admin: Wire,
    shared: Wire2,
    dice: Dice,
}

impl Lane {
    /// On the kept connection, or a new one where that was cut.
    async fn click(&mut self, ask: Ask) -> hyper::Result<Answer> {
        if self.clicks.is_closed() {
            self.clicks = Wire::open(self.gate.data).await;
        }
        self.clicks.try_send(ask).await
    }

    /// For a request that nothing may break off.
    async fn click_late(&mut self, ask: Ask) -> Answer {
        let ask = ask.header(LATE, "1");
        match self.click(ask.clone()).await {
            Ok(answer) => answer,
            // The connection went with what was cut on it.
            Err(_) => ask.send(self.gate.data).await,
        }
    }

    async fn change(admin: &mut Wire, gate: &Gate, path: &str) {
        let ask = Ask::new(Method::POST, path)
            .host(&gate.admin.to_string())
            .header("authorization", &format!("Bearer {}", gate.token))
            .json(&json!({}));
        let answer = admin.send(ask).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }

    async fn round(&mut self, user: &str, name: &str) {
        let (tell, told) = watch::channel(false);
        let known = |stage: &Stage, told| {
            stage
                .acknowledged
                .lock()
                .unwrap()
                .insert(user.to_owned(), told)
        };
        known(&self.stage, told);
        let first = self.click(login(user)).await.expect("a login");
        let first = handed_out(&first).expect("a session");
        let mut sessions = self.race(user, &first, tell).await;
        sessions.push(first.clone());
        self.is_out(user, &sessions, name).await;
        let path = format!("/api/v1/users/{user}/restore");
        Self::change(&mut self.admin, &self.gate, &path).await;
        for session in &sessions {
            let answer = self.click_late(get("/me", session)).await;
            assert_eq!(answer.status, 401, "{name}: {session} lives again");
        }
        self.stage.acknowledged.lock().unwrap().remove(user);
    }

    /// Everything at once. Returns the sessions that were handed out.
    async fn race(&mut self, user: &str, session: &str, tell: watch::Sender<bool>) -> Vec<String> {
        let dice = &mut self.dice;
        let waits: Vec<u64> = (0..6).map(|_| dice.roll(12)).collect();
        let with_socket = dice.roll(4) == 0;
        let path = format!("/api/v1/users/{user}/suspend");
        let (admin, gate, data) = (&mut self.admin, &self.gate, self.gate.data);
        let suspending = async {
            wait_a_little(2 * waits[0]).await;
            Self::change(admin, gate, &path).await;
            let _ = tell.send(true);
        };
        let clicks = &mut self.clicks;
        let clicking = async {
            wait_a_little(waits[1]).await;
            for _ in 0..2 {
                if clicks.is_closed() || clicks.try_send(get("/me", session)).await.is_err() {
                    break;
                }
            }
        };
        let mut shared = self.shared.clone();
        let streaming = async {
            wait_a_little(waits[2]).await;
            let _ = shared
                .try_send(get(&format!("http://{HOST}/me"), session))
                .await;
        };
        let mut slow_wire = self.shared.clone();
        let slow = async {
            wait_a_little(waits[3]).await;
            let ask = get(&format!("http://{HOST}/slow"), session);
            slow_wire.try_send(ask).await.ok()
        };
        let mut login_wire = self.shared.clone();
        let logging_in = async {
            wait_a_little(waits[4]).await;
            let ask = login_at(&format!("http://{HOST}/login"), user);
            login_wire.try_send(ask).await.ok()
        };
        let mut rotating_wire = self.shared.clone();
        let rotating = async {
            wait_a_little(waits[5]).await;
            let ask = get(&format!("http://{HOST}/rotate"), session);
            rotating_wire.try_send(ask).await.ok()
        };
        let upgrading = async {
            if with_socket {
                let _ = upgrade(session).try_send(data).await;
            }
        };
        let ((), (), (), slow, login, rotated, ()) = tokio::join!(
            suspending, clicking, streaming, slow, logging_in, rotating, upgrading
        );
        if let Some(slow) = slow {
            assert_ne!(
                slow.status, 200,
                "{user}: an answer came after the acknowledgement"
            );
        }
        let answers = [login, rotated].into_iter().flatten();
        answers.filter_map(|answer| handed_out(&answer)).collect()
    }

    async fn is_out(&mut self, user: &str, sessions: &[String], name: &str) {
        for session in sessions {
            let answer = self.click_late(get("/me", session)).await;
            assert_eq!(answer.status, 403, "{name}: {session} passes");
        }
        let ask = get(&format!("http://{HOST}/me"), &sessions[0]).header(LATE, "1");
        assert_eq!(self.shared.send(ask).await.status, 403, "{name}");
        // The app may see a login, to check the password; nobody gets its session.
        if self.dice.roll(4) == 0 {
            let answer = self.click(login(user)).await.expect("an answer");
            assert_eq!(answer.status, 403, "{name}");
            assert_eq!(handed_out(&answer), None, "{name}");
        }
    }
}

fn get(target: &str, session: &str) -> Ask {
    let ask = Ask::get(target)
        .cookie(session)
        .header("accept", "application/json");
    if target.starts_with('/') {
        ask.host(HOST)
    } else {
        ask
    }
}

fn login(user: &str) -> Ask {
    login_at("/login", user).host(HOST)
}

fn login_at(target: &str, user: &str) -> Ask {
    let ask = Ask::post(target).header("accept", "application/json");
    ask.form(&[("username", user), ("password", "demo")])
}

fn upgrade(session: &str) -> Ask {
    get("/ws", session)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")
}

/// As other tests' gates, but for the log: a line for each frame takes its time.
fn config(upstream: std::net::SocketAddr) -> String {
    format!(
        "[data]\nlisten = \"127.0.0.1:0\"\nworkers = 2\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n\
         [log]\nlevel = \"warn\"\n\n{}",
        tenant("acme", upstream)
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_its_acknowledgement_on_no_suspension_loses_a_race() {
    let stage = Arc::new(Stage::default());
    let app = Arc::clone(&stage);
    let origin = Origin::answering(move |request| {
        let app = Arc::clone(&app);
        async move { app.answer(request).await }
    })
    .await;
    let gate = Arc::new(Plan::whole(&config(origin.address)).start());
    let started = Instant::now();
    let mut lanes = Vec::new();
    let mut shared = Wire2::open(gate.data).await;
    for index in 0..LANES {
        if index % SHARING == 0 {
            shared = Wire2::open(gate.data).await;
        }
        let seed = SEED + index as u64;
        let mut lane = Lane {
            stage: Arc::clone(&stage),
            gate: Arc::clone(&gate),
            clicks: Wire::open(gate.data).await,
            admin: Wire::open(gate.admin).await,
            shared: shared.clone(),
            dice: Dice(seed),
        };
        lanes.push(tokio::spawn(async move {
            for round in 0..ROUNDS / LANES {
                let name = format!("lane {index} (seed {seed:#x}), round {round}");
                let user = format!("u{index}x{round}");
                within(LONG, &name, lane.round(&user, &name)).await;
            }
        }));
    }
    for lane in lanes {
        lane.await.expect("a lane without a loss");
    }
    let passed = stage.passed.lock().unwrap();
    assert!(
        passed.is_empty(),
        "seed {SEED:#x}: {} got through: {:?}",
        passed.len(),
        &passed[0]
    );
    report(&format!("{ROUNDS} rounds in {:?}", started.elapsed()));
}

#[expect(
    clippy::print_stdout,
    reason = "a measurement, shown with --no-capture"
)]
fn report(line: &str) {
    println!("{line}");
}
