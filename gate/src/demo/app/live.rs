//! The live connections: a WebSocket that echoes and ticks, and a stream of
//! server-sent events that ticks.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::header::CACHE_CONTROL;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::visitor::Visitor;

/// The first tick comes at once, then one in each such time.
const TICK_EVERY: Duration = Duration::from_secs(1);
/// The longest message that is echoed.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// `GET /ws`. The visitor is asked for first, so that a stranger gets 401
/// whether or not the rest of the handshake is right.
pub(super) async fn open_socket(
    Visitor(user): Visitor,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    match upgrade {
        Ok(upgrade) => upgrade
            .max_message_size(MAX_MESSAGE_BYTES)
            .max_frame_size(MAX_MESSAGE_BYTES)
            .on_upgrade(async move |socket| echo_and_tick(socket).await)
            .into_response(),
        Err(rejection) => {
            tracing::debug!(user, %rejection, "no WebSocket handshake");
            rejection.into_response()
        }
    }
}

/// Lasts until either side goes; an error here only means that the peer left.
async fn echo_and_tick(mut socket: WebSocket) {
    let mut ticks = start_ticks();
    let mut count: u64 = 0;
    loop {
        let answer = tokio::select! {
            received = socket.recv() => match received {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => message,
                // Pongs and the closing handshake are sent by the socket itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_))) => continue,
                Some(Err(_)) | None => return,
            },
            _ = ticks.tick() => {
                count += 1;
                Message::Text(format!("tick {count}").into())
            }
        };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}

/// `GET /events`.
pub(super) async fn stream_events(Visitor(user): Visitor) -> impl IntoResponse {
    let events = stream::unfold(
        (start_ticks(), 0_u64),
        move |(mut ticks, count)| async move {
            ticks.tick().await;
            let count = count + 1;
            let event = Event::default()
                .id(count.to_string())
                .data(format!("tick {count} for {user}"));
            Some((Ok::<_, Infallible>(event), (ticks, count)))
        },
    );
    ([(CACHE_CONTROL, "no-store")], Sse::new(events))
}

fn start_ticks() -> Interval {
    let mut ticks = interval(TICK_EVERY);
    // A stalled reader gets the next tick, not a burst of all that it missed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
