//! A gate that is told to stop lets what is under way end, and no longer than it
//! was told to wait.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_tests::client::{Answer, Ask, Wire, pieces};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::Origin;
use portcullis_tests::patience::eventually;
use tokio::sync::Mutex;

const HOST: &str = "acme.localhost";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_under_way_is_finished_before_the_gate_ends() {
    let (tell, body) = pieces();
    let body = Arc::new(Mutex::new(Some(body)));
    let origin = Origin::answering(move |_| {
        let body = Arc::clone(&body);
        async move { http::Response::new(body.lock().await.take().expect("one request")) }
    })
    .await;
    let mut gate = Gate::start(&tenant("acme", origin.address));
    let admin = gate.admin;
    let response = Ask::get("/").host(HOST).begin(gate.data).await;
    tell.send("one".into()).await.unwrap();
    let stopping = tokio::task::spawn_blocking(move || {
        gate.restart();
        gate
    });
    // Nobody is told to wait for the drain at the admin's door.
    eventually("the end of the admin listener", || {
        std::net::TcpStream::connect(admin).is_err()
    })
    .await;
    tell.send("two".into()).await.unwrap();
    drop(tell);
    assert_eq!(Answer::whole(response).await.text(), "onetwo");
    stopping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_end_is_not_waited_for_beyond_the_deadline() {
    let (tell, body) = pieces();
    let body = Arc::new(Mutex::new(Some(body)));
    let origin = Origin::answering(move |_| {
        let body = Arc::clone(&body);
        async move { http::Response::new(body.lock().await.take().expect("one request")) }
    })
    .await;
    let drain = "[data.deadlines]\ndrain = \"500ms\"\n\n";
    let mut gate = Gate::start(&format!("{drain}{}", tenant("acme", origin.address)));
    let _idle = Wire::open(gate.data).await;
    let _endless = Ask::get("/").host(HOST).begin(gate.data).await;
    let started = Instant::now();
    let stopping = tokio::task::spawn_blocking(move || gate.restart());
    stopping.await.unwrap();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    drop(tell);
}
