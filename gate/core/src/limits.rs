//! Every fixed number that bounds what a peer may make the gate hold or wait for.
//! Units are in the names. What operators may want to change is configuration,
//! and its defaults stand here too.

use std::time::Duration;

/// From accept to the first bytes that tell HTTP/1 from HTTP/2.
pub const FIRST_BYTES_WAIT: Duration = Duration::from_secs(10);
/// From the start of a request head to its end, and the idle time between two
/// requests on an HTTP/1 connection (hyper counts both with one clock).
pub const REQUEST_HEAD_WAIT: Duration = Duration::from_secs(15);
/// Between two pieces of a request body.
pub const REQUEST_BODY_IDLE: Duration = Duration::from_secs(30);
/// A login's whole body, from its head.
pub const LOGIN_BODY_WAIT: Duration = Duration::from_secs(15);
/// For as much of an app's answer to a login as is judged.
pub const LOGIN_ANSWER_WAIT: Duration = Duration::from_secs(15);
/// To open a connection to an upstream.
pub const UPSTREAM_CONNECT_WAIT: Duration = Duration::from_secs(5);
/// From the end of a request's head to the head of its response.
pub const UPSTREAM_HEAD_WAIT: Duration = Duration::from_secs(60);
/// Between two pieces of a response body (an event stream should tick sooner).
pub const RESPONSE_BODY_IDLE: Duration = Duration::from_secs(600);
/// A client that takes no byte of its answer for this long is given up.
pub const CLIENT_WRITE_STALL: Duration = Duration::from_secs(60);
/// An HTTP/2 connection of a client, without a stream: it is told to go (GOAWAY).
pub const HTTP2_IDLE: Duration = Duration::from_secs(60);
/// Without a byte either way on an upgraded connection.
pub const UPGRADED_IDLE: Duration = Duration::from_secs(3600);
/// An idle upstream connection is kept this long: shorter than the usual 60 to 75 s
/// of servers, so that the gate closes first.
pub const UPSTREAM_IDLE_KEPT: Duration = Duration::from_secs(45);
/// How long a receipt waits for cut connections to be gone.
pub const CUT_WAIT: Duration = Duration::from_secs(2);

pub const REQUEST_HEAD_BYTES_MAX: usize = 64 * 1024;
pub const URI_BYTES_MAX: usize = 16 * 1024;
pub const COOKIES_MAX: usize = 256;
pub const CREDENTIALS_MAX: usize = 16;
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Logins of one address that their clients have left and the app has not answered,
/// on one worker; over it, its further logins are refused.
pub const LOGINS_LEFT_MAX: usize = 128;
pub const LOGIN_BODY_BYTES_MAX: usize = 64 * 1024;
/// Parts of a multipart login.
pub const LOGIN_PARTS_MAX: usize = 100;
/// As much of an app's answer to a login is gathered where its body is judged.
pub const LOGIN_ANSWER_BYTES_MAX: usize = 64 * 1024;
pub const HTTP2_STREAMS_MAX: u32 = 100;
pub const HTTP2_HEADER_LIST_BYTES_MAX: u32 = 32 * 1024;
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// After GOAWAY a client without a stream gets this long to close.
pub const HTTP2_GOAWAY_WAIT: Duration = Duration::from_secs(5);
pub const HTTP2_PING_EVERY: Duration = Duration::from_secs(20);
pub const HTTP2_PING_WAIT: Duration = Duration::from_secs(10);
/// Descriptors kept back from clients: for the admin listener, the store and the
/// log, so that a flood of clients can't shut an administrator out.
pub const DESCRIPTORS_RESERVED: u64 = 256;
/// Requests under way in a gate, and so the size of the table of live connections.
/// HTTP/2 could bring a hundred for each connection.
pub const REQUESTS_UNDER_WAY_MAX: usize = 131_072;
/// Open client connections of a gate; over it, new ones are closed at once. Fewer
/// where the system allows fewer descriptors.
pub const CONNECTIONS_MAX: usize = 16_384;
/// Idle connections kept to one upstream by one worker.
pub const UPSTREAM_IDLE_CONNECTIONS_MAX: usize = 256;

/// An app's answers are held back no further than this; the connection has room
/// for all its streams, so that a client who reads nothing holds up no other.
pub const UPSTREAM_HTTP2_STREAM_WINDOW_BYTES: u32 = 128 * 1024;
pub const UPSTREAM_HTTP2_CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// HTTP/2 connections that one worker opens to one app.
pub const UPSTREAM_HTTP2_CONNECTIONS_MAX: usize = 8;
/// Exchanges that one of them carries at a time; fewer where the app allows fewer.
pub const UPSTREAM_HTTP2_STREAMS_MAX: usize = 128;

/// Entries of the status cache.
pub const STATUS_CACHE_ENTRIES_MAX: u64 = 200_000;
/// Sessions that a gate remembers, ended ones included: the cookie of a forgotten
/// session could not be told from a stranger's.
pub const SESSIONS_MAX: usize = 2_000_000;
/// The ended sessions of one user are at most this part of the room that is left, so
/// a fifth of all where nobody else has any.
pub const SESSIONS_ENDED_PART: usize = 4;
/// Sessions of one user that are alive; with one more, the least recently used ends.
pub const SESSIONS_PER_USER_MAX: usize = 1_000;
/// Sessions that an app gave out beside another credential (a token, an API key) and
/// that nobody has come with yet: those of one client of a user, of all of them, and
/// how old one is when it may end for another.
pub const SESSIONS_UNTRIED_PER_CLIENT_MAX: usize = 8;
pub const SESSIONS_UNTRIED_PER_USER_MAX: usize = 64;
pub const SESSION_UNTRIED_KEPT: Duration = Duration::from_secs(3600);
/// A session that nobody used for so long is over. 400 days: no browser keeps a
/// cookie for longer (draft-ietf-httpbis-rfc6265bis §5.5).
pub const SESSION_KEPT: Duration = Duration::from_secs(400 * 24 * 3600);
/// How often it is written down when sessions were last seen.
pub const SESSIONS_UPKEEP_EVERY: Duration = Duration::from_secs(600);
/// Sessions seen to come into being whose user the app has not named yet, and for
/// how long the gate waits for that.
pub const SESSION_BIRTHS_MAX: u64 = 100_000;
pub const SESSION_BIRTH_KEPT: Duration = Duration::from_secs(24 * 3600);
/// Paths that the log was told may be logins that are not listed, and for how long
/// that is remembered.
pub const DOORS_TOLD_MAX: u64 = 1_000;
pub const DOOR_TOLD: Duration = Duration::from_secs(24 * 3600);
/// Of a client's `User-Agent`.
pub const AGENT_BYTES_MAX: usize = 256;
/// Verified tokens remembered.
pub const TOKEN_CACHE_ENTRIES_MAX: u64 = 100_000;
/// Questions about opaque tokens that wait for their server, and those that are asked
/// at once: for each server, so many about tokens that were good before and as many
/// about others.
pub const INTROSPECTIONS_QUEUED_MAX: usize = 512;
pub const INTROSPECTIONS_ASKED_MAX: usize = 8;
/// An answer about a token.
pub const INTROSPECTION_BYTES_MAX: usize = 64 * 1024;
/// A JWK set.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// A call to an identity provider, from the connection to the end of the answer.
pub const PROVIDER_WAIT: Duration = Duration::from_secs(5);
/// Basic credentials that the app was seen to accept.
pub const PASSWORDS_SEEN_MAX: u64 = 100_000;
/// Pairs of users met on one request, and how long one is not told again.
pub const CONTRADICTIONS_MAX: usize = 1_000;
pub const CONTRADICTION_KEPT: Duration = Duration::from_secs(60);
/// Lines of the log that a flood would repeat, and how long one is not told again.
pub const LINES_KEPT_BACK_MAX: usize = 1_000;
pub const LINE_KEPT_BACK: Duration = Duration::from_secs(60);
/// Prepared refusals remembered, and for how long one keeps its error id.
pub const REFUSAL_CACHE_ENTRIES_MAX: u64 = 10_000;
pub const REFUSAL_KEPT: Duration = Duration::from_secs(60);
/// A refusal that fell back to the built-in answer is tried again after this.
pub const FAILED_REFUSAL_KEPT: Duration = Duration::from_secs(2);
/// Refusals waiting to be written into the ledger; over it they are only logged.
pub const REFUSALS_QUEUED_MAX: usize = 1024;

/// An admin request's body.
pub const ADMIN_BODY_BYTES_MAX: usize = 256 * 1024;
pub const ADMIN_REQUEST_WAIT: Duration = Duration::from_secs(30);
/// A bulk call's body, and for how long it may take to come.
pub const BULK_BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
pub const BULK_BODY_WAIT: Duration = Duration::from_secs(120);
/// Users that one bulk call may list; more go into further calls of the same batch.
pub const BULK_USERS_MAX: usize = 1_000_000;
/// Users that are changed in one go: as long as that takes, a single change waits.
pub const BULK_CHUNK_USERS: usize = 256;
/// Bulk calls at a time, of all callers, and bodies of such calls that are on their
/// way; further ones are refused.
pub const BULKS_MAX: usize = 4;
pub const BULK_BODIES_MAX: usize = 6;
/// Policies that are on their way, or tried, at a time.
pub const CANDIDATES_MAX: usize = 6;
/// Between two lines that tell how far a bulk call is.
pub const BULK_PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// A bulk call whose client takes nothing for this long is stopped.
pub const BULK_CLIENT_STALL: Duration = Duration::from_secs(60);
/// Open streams of events; fewer than connections, so that calls get through.
pub const EVENT_STREAMS_MAX: usize = 64;
/// Entries read at once for such a stream, and entries looked through for them.
pub const EVENT_PAGE_ENTRIES: usize = 32;
pub const EVENT_WINDOW_ENTRIES: u64 = 10_000;
/// API keys of one user that the admin API gave it.
pub const API_KEYS_PER_USER_MAX: usize = 32;
/// Entries of an export read at once; each may be as large as an entry gets.
pub const EXPORT_PAGE_ENTRIES: usize = 128;
/// A stream without events says that it is alive.
pub const EVENT_BEAT_EVERY: Duration = Duration::from_secs(15);
/// How soon a stream ends after its token did.
pub const EVENT_TOKEN_LOOK_EVERY: Duration = Duration::from_secs(2);
/// Open connections of the admin listener; further ones wait to be accepted.
pub const ADMIN_CONNECTIONS_MAX: usize = 256;
/// Answers remembered for retries with the same idempotency key, and for how long.
pub const ADMIN_ANSWERS_MAX: usize = 10_000;
pub const ADMIN_ANSWERS_BYTES_MAX: usize = 32 * 1024 * 1024;
pub const ADMIN_ANSWERS_KEPT: Duration = Duration::from_secs(24 * 3600);
/// How often it is written down when admin tokens were last used.
pub const TOKENS_UPKEEP_EVERY: Duration = Duration::from_secs(60);
/// How long a rotation may leave the old secret of a token working.
pub const TOKEN_GRACE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Calls with a bad token that one address (an IPv6 /64) may make in a row, and how
/// soon after one of them it may make another; over it, they are answered 429.
pub const ADMIN_FAILURES_MAX: u32 = 20;
pub const ADMIN_FAILURE_FORGIVEN_AFTER: Duration = Duration::from_secs(3);
/// Addresses that this is remembered of; further ones share one count.
pub const ADMIN_FAILURE_ADDRESSES_MAX: usize = 10_000;
/// Between two looks at a policy's folder that is watched. What has changed is taken
/// when it stands as it did at the look before: a copy takes a while.
pub const POLICY_FOLDER_LOOK: Duration = Duration::from_secs(1);
/// Of one user, those that wait included.
pub const HOLDS_PER_USER_MAX: usize = 32;
/// Of one user, those that have yet to begin: they leave places for a hold that keeps
/// the user out now.
pub const HOLDS_WAITING_MAX: usize = 16;
/// Timed holds that are recorded at the same time: so many share one flush of the
/// disk, and what else is due waits for no more.
pub const TIMED_HOLDS_AT_ONCE_MAX: usize = 256;
pub const TEXT_FIELD_BYTES_MAX: usize = 2_000;
pub const PAGE_ROWS_MAX: usize = 1_000;
pub const PAGE_ROWS_DEFAULT: usize = 50;

/// After the signal to stop, requests under way get this long.
pub const DRAIN_WAIT: Duration = Duration::from_secs(20);
