//! Long transfers: a download of any size asked for, and an upload that is
//! counted. Neither is held in memory.

use std::convert::Infallible;

use axum::Json;
use axum::body::Body;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;

use super::visitor::{Visitor, complain};

const CHUNK_BYTES: usize = 64 * 1024;
const CHUNKS_PER_MIB: usize = 1024 * 1024 / CHUNK_BYTES;
const MAX_DOWNLOAD_MIB: usize = 4096;

static CHUNK: [u8; CHUNK_BYTES] = [b'.'; CHUNK_BYTES];

#[derive(Deserialize)]
pub(super) struct Size {
    /// MiB.
    #[serde(default = "one")]
    mb: usize,
}

const fn one() -> usize {
    1
}

/// `GET /download?mb=N`: N MiB (1 where not said), sent in pieces of 64 KiB.
pub(super) async fn download(
    Visitor(_): Visitor,
    size: Result<Query<Size>, QueryRejection>,
) -> Response {
    let mb = match size {
        Ok(Query(size)) if size.mb <= MAX_DOWNLOAD_MIB => size.mb,
        Ok(_) | Err(_) => {
            let words = format!("mb: a whole number from 0 to {MAX_DOWNLOAD_MIB}");
            return complain(StatusCode::BAD_REQUEST, &words);
        }
    };
    let chunks = mb * CHUNKS_PER_MIB;
    let pieces = stream::iter(0..chunks).map(|_| Ok::<_, Infallible>(Bytes::from_static(&CHUNK)));
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, (chunks * CHUNK_BYTES).to_string()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"demo-{mb}mb.bin\""),
        ),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, Body::from_stream(pieces)).into_response()
}

/// `POST /upload`: reads the body to its end and tells its size.
pub(super) async fn upload(Visitor(_): Visitor, body: Body) -> Response {
    let mut pieces = body.into_data_stream();
    let mut received: u64 = 0;
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => received += piece.len() as u64,
            Err(fault) => {
                let words = format!("the body broke off after {received} bytes: {fault}");
                return complain(StatusCode::BAD_REQUEST, &words);
            }
        }
    }
    Json(json!({ "received": received })).into_response()
}
