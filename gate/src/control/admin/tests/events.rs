//! Promises of the stream of events.

use std::time::Duration;

use futures_util::StreamExt;
use http_body_util::BodyStream;
use serde_json::json;

use super::*;

/// An open stream, as a client reads it.
struct Stream {
    status: StatusCode,
    body: BodyStream<hyper::body::Incoming>,
    text: String,
}

/// One event.
#[derive(Debug)]
struct Event {
    id: u64,
    name: String,
    data: Value,
}

impl Stream {
    async fn open(gate: &Gate, token: &str, path: &str, header: Option<(&str, &str)>) -> Self {
        let mut request = Request::builder()
            .uri(format!("http://{}{path}", gate.address))
            .header("authorization", format!("Bearer {token}"));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request = request.body(Full::<bytes::Bytes>::default()).unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (parts, body) = client.request(request).await.unwrap().into_parts();
        let mut stream = Self {
            status: parts.status,
            body: BodyStream::new(body),
            text: String::new(),
        };
        // The opening: from then on nothing is missed.
        if stream.status == 200 {
            assert_eq!(parts.headers["content-type"], "text/event-stream");
            assert_eq!(stream.block().await.unwrap(), "retry: 2000");
        }
        stream
    }

    /// The next part, up to an empty line; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let next = tokio::time::timeout(Duration::from_secs(20), self.body.next());
            let frame = next.await.expect("a frame in time")?.ok()?;
            let data = frame.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    async fn event(&mut self) -> Option<Event> {
        let block = self.block().await?;
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in {block}"))
                .to_owned()
        };
        Some(Event {
            id: field("id: ").parse().unwrap(),
            name: field("event: "),
            data: serde_json::from_str(&field("data: ")).unwrap(),
        })
    }
}

#[tokio::test]
async fn who_comes_back_goes_on_where_it_was_without_gap_or_double() {
    let gate = Gate::start(&["acme"]).await;
    let mut stream = Stream::open(&gate, &gate.root, "/api/v1/events", None).await;
    gate.root("POST /api/v1/users/bob/suspend", r#"{"ticket":"T-1"}"#)
        .await;
    let first = stream.event().await.unwrap();
    assert_eq!(
        (first.name.as_str(), &first.data["user"]),
        ("hold_placed", &json!("bob"))
    );
    assert_eq!(first.data["seq"], first.id);
    assert_eq!(first.data["ticket"], "T-1");
    drop(stream);
    let users: Vec<String> = (0..300).map(|n| format!("u{n}")).collect();
    let ask = json!({"action": "suspend", "users": users}).to_string();
    gate.root("POST /api/v1/bulk", &ask).await;
    let last = first.id.to_string();
    // The header is the newer word: a browser asks for the same address again.
    let mut stream = Stream::open(
        &gate,
        &gate.root,
        "/api/v1/events?after=0",
        Some(("last-event-id", &last)),
    )
    .await;
    for seq in first.id + 1..=first.id + 300 {
        assert_eq!(stream.event().await.unwrap().id, seq);
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_token_of_one_tenant_follows_that_tenant_alone() {
    let gate = Gate::start(&["acme", "globex"]).await;
    let token = gate.token(Role::Auditor, Some("globex"), "gina").await;
    let mut stream = Stream::open(&gate, &token, "/api/v1/events?after=0", None).await;
    gate.root("POST /api/v1/users/bob/suspend?tenant=acme", "{}")
        .await;
    gate.root("POST /api/v1/users/carol/suspend?tenant=globex", "{}")
        .await;
    let made = stream.event().await.unwrap();
    assert_eq!(
        (made.name.as_str(), &made.data["tenant"]),
        ("token_created", &json!("globex"))
    );
    let event = stream.event().await.unwrap();
    assert_eq!(
        (event.name.as_str(), &event.data["user"]),
        ("hold_placed", &json!("carol"))
    );
    let other = Stream::open(&gate, &token, "/api/v1/events?tenant=acme", None).await;
    assert_eq!(other.status, 404);
    gate.stop().await;
}

#[tokio::test]
async fn a_stream_ends_soon_after_its_token_is_revoked() {
    let gate = Gate::start(&["acme"]).await;
    let token = gate.token(Role::Auditor, Some("acme"), "gina").await;
    let mut stream = Stream::open(&gate, &token, "/api/v1/events", None).await;
    let row = gate
        .tokens
        .list()
        .into_iter()
        .find(|row| row.name == "gina")
        .unwrap();
    gate.root(&format!("DELETE /api/v1/tokens/{}", row.id), "")
        .await;
    while stream.block().await.is_some() {}
    gate.stop().await;
}

#[tokio::test]
async fn a_stop_ends_the_streams_at_once() {
    let gate = Gate::start(&["acme"]).await;
    let mut stream = Stream::open(&gate, &gate.root, "/api/v1/events", None).await;
    let asked = tokio::time::Instant::now();
    let (ended, ()) = tokio::join!(stream.block(), gate.stop());
    assert!(ended.is_none());
    assert!(asked.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_place_that_is_none_is_told() {
    let gate = Gate::start(&["acme"]).await;
    for (path, header, field) in [
        ("/api/v1/events?after=x", None, "after"),
        ("/api/v1/events?after=999", None, "after"),
        (
            "/api/v1/events",
            Some(("last-event-id", "-1")),
            "Last-Event-ID",
        ),
    ] {
        let bearer = format!("Bearer {}", gate.root);
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(header);
        let reply = gate.send(&format!("GET {path}"), &headers, "").await;
        assert_eq!(reply.problem(), (400, "invalid_field", field), "{path}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_tenants_token_can_not_take_the_streams_of_all() {
    let gate = Gate::start(&["acme", "globex"]).await;
    let greedy = gate.token(Role::Auditor, Some("globex"), "greedy").await;
    let mut streams = Vec::new();
    loop {
        let stream = Stream::open(&gate, &greedy, "/api/v1/events", None).await;
        if stream.status == 503 {
            break;
        }
        streams.push(stream);
    }
    assert!((8..=32).contains(&streams.len()), "{}", streams.len());
    let modest = gate.token(Role::Auditor, Some("acme"), "modest").await;
    for token in [&modest, &gate.root] {
        let stream = Stream::open(&gate, token, "/api/v1/events", None).await;
        assert_eq!(stream.status, 200);
    }
    drop(streams);
    gate.stop().await;
}
