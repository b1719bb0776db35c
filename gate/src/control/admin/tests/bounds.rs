//! What is refused before anything is looked at, and what needs no token.

use portcullis_core::limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const SUSPEND: &str = "POST /api/v1/users/bob/suspend";

#[tokio::test]
async fn bodies_that_are_no_json_object_are_told_so() {
    let gate = Gate::start(&["acme"]).await;
    for (body, code) in [
        ("{\n  \"kind\": }", "malformed_json"),
        ("{\"kind\":\"permanent\"", "malformed_json"),
        ("{} {}", "malformed_json"),
        ("[\"x\"]", "not_an_object"),
        ("\"x\"", "not_an_object"),
        ("null", "not_an_object"),
    ] {
        let reply = gate.root(SUSPEND, body).await;
        assert_eq!(reply.problem(), (400, code, ""), "{body}: {}", reply.text);
    }
    let placed = gate.root(SUSPEND, "{\n  \"kind\": }").await;
    assert!(
        placed.json["detail"]
            .as_str()
            .unwrap()
            .contains("(line 2, column 11)"),
        "{}",
        placed.text
    );
    let form = gate.root_with(("x-y", "z"), SUSPEND, "{}").await;
    assert_eq!(form.status, 200);
    let bearer = format!("Bearer {}", gate.root);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "text/plain"),
    ];
    let text = gate.send(SUSPEND, &headers, "{}").await;
    assert_eq!(text.problem(), (415, "wrong_content_type", "Content-Type"));
    let large = format!(
        "{{\"comment\":\"{}\"}}",
        "x".repeat(limits::ADMIN_BODY_BYTES_MAX)
    );
    assert_eq!(
        gate.root(SUSPEND, &large).await.problem(),
        (413, "too_large", "")
    );
    gate.stop().await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_and_never_stubs() {
    let gate = Gate::start(&["acme"]).await;
    for path in ["/nothing", "/api/v1/bulk/b1", "/api/v1/users/"] {
        let reply = gate.root(&format!("GET {path}"), "").await;
        assert_eq!(reply.problem(), (404, "not_found", ""), "{path}");
    }
    let patch = gate.root("PATCH /api/v1/users/bob", "{}").await;
    assert_eq!(patch.problem(), (405, "wrong_method", ""));
    let allowed = patch.header("allow");
    assert!(
        allowed.contains("PUT") && allowed.contains("DELETE"),
        "{allowed}"
    );
    gate.stop().await;
}

#[tokio::test]
async fn another_name_or_another_origin_is_turned_away() {
    let gate = Gate::start(&["acme"]).await;
    let host = gate
        .root_with(("host", "evil.example"), "GET /api/v1/users", "")
        .await;
    assert_eq!(host.problem(), (421, "wrong_host", "Host"));
    for (name, value, header) in [
        ("origin", "http://evil.example", "Origin"),
        ("origin", "null", "Origin"),
        ("origin", "http://127.0.0.1:1", "Origin"),
        ("sec-fetch-site", "cross-site", "Sec-Fetch-Site"),
    ] {
        let reply = gate.root_with((name, value), SUSPEND, "{}").await;
        assert_eq!(
            reply.problem(),
            (403, "cross_origin", header),
            "{name}: {value}"
        );
    }
    let own = format!("http://{}", gate.address);
    let same = gate.root_with(("origin", &own), SUSPEND, "{}").await;
    assert_eq!(same.status, 200);
    assert_eq!(same.header("cache-control"), "no-store");
    assert_eq!(same.header("x-content-type-options"), "nosniff");
    assert_eq!(same.header("access-control-allow-origin"), "");
    gate.stop().await;
}

#[tokio::test]
async fn health_readiness_and_numbers_need_no_token() {
    let gate = Gate::start(&["acme", "globex"]).await;
    gate.log_in("acme", "bob", 1).await;
    assert_eq!(gate.send("GET /healthz", &[], "").await.status, 200);
    assert_eq!(gate.send("GET /readyz", &[], "").await.text, "ready\n");
    let metrics = gate.send("GET /metrics", &[], "").await.text;
    for line in [
        "portcullis_tenants 2\n",
        "portcullis_sessions_known 1\n",
        "portcullis_ledger_head 1\n",
        "portcullis_requests_under_way 0\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(
        gate.send("GET /", &[], "")
            .await
            .text
            .contains("docs/admin-api.md")
    );
    gate.stop().await;
    let lame = Gate::start_with(&["acme"], false, Err("globex has no policy".into())).await;
    let reply = lame.send("GET /readyz", &[], "").await;
    assert_eq!(reply.problem(), (503, "not_ready", ""));
    assert!(
        reply.json["detail"]
            .as_str()
            .unwrap()
            .ends_with("globex has no policy")
    );
    assert_eq!(lame.send("GET /healthz", &[], "").await.status, 200);
    lame.stop().await;
}

#[tokio::test]
async fn a_stopped_listener_answers_what_it_was_asked_and_then_is_gone() {
    let gate = Gate::start(&["acme"]).await;
    let mut stream = tokio::net::TcpStream::connect(gate.address).await.unwrap();
    let head = format!(
        "POST /api/v1/users/bob/suspend HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n",
        gate.root
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let address = gate.address;
    // The head is read before the stop: health answers come after it on the same thread.
    gate.send("GET /healthz", &[], "").await;
    let stopping = tokio::spawn(gate.stop());
    stream.write_all(b"{}").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    stopping.await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn who_connects_and_says_nothing_holds_up_nobody() {
    let gate = Gate::start(&["acme"]).await;
    let mut silent = Vec::new();
    for _ in 0..limits::ADMIN_CONNECTIONS_MAX {
        silent.push(tokio::net::TcpStream::connect(gate.address).await.unwrap());
    }
    let soon = limits::REQUEST_HEAD_WAIT / 2;
    for _ in 0..3 {
        let call = tokio::time::timeout(soon, gate.root(SUSPEND, "{}"));
        assert_eq!(call.await.expect("it waits for none of them").status, 200);
    }
    let oldest = silent.first_mut().unwrap();
    let end = oldest.read(&mut [0; 1]).await.unwrap_or(0);
    assert_eq!(end, 0, "it made room");
    // Nor who sends half a call, though with a token that is good.
    let half = format!(
        "{SUSPEND} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 50\r\n\r\n",
        gate.root
    );
    for _ in 0..=limits::ADMIN_CONNECTIONS_MAX {
        let mut stream = tokio::net::TcpStream::connect(gate.address).await.unwrap();
        stream.write_all(half.as_bytes()).await.unwrap();
        silent.push(stream);
    }
    let call = tokio::time::timeout(soon, gate.root(SUSPEND, "{}"));
    assert_eq!(call.await.expect("it waits for none of them").status, 200);
    gate.stop().await;
}
