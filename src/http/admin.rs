//! The admin listener: health for probes, metrics for Prometheus, calls for operators. It asks an [`Operations`] and
//! knows nothing of who stands behind it, so that it can be tested without a gateway.

use super::access::{Access, Caller};
use super::peers::{self, Peers};
use super::problem::Problem;
use crate::config::admin::Role;
use crate::error::Cause;
use crate::observe::{Metrics, metrics};
use crate::record::{CallId, CallRecord, CallState};
use crate::store::Filter;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// An answer that may take a moment.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the admin listener can ask of a gateway.
pub trait Operations: Peers + Send + Sync + 'static {
    /// May new calls be sent here? Must not wait.
    fn readiness(&self) -> Readiness;

    /// The live and the recent calls that the filter wants, newest first.
    fn calls(&self, filter: Filter) -> Answer<'_, Vec<Arc<CallRecord>>>;

    /// One call, live or recent.
    fn call(&self, id: CallId) -> Answer<'_, Option<Arc<CallRecord>>>;

    /// Ends a call on both legs.
    fn hang_up(&self, id: CallId) -> Answer<'_, HangUp>;

    /// What would become of the INVITEs of a text or capture; nothing is sent. An error is the asker's, in words.
    fn explain(&self, ask: Ask) -> Answer<'_, Result<serde_json::Value, String>>;

    /// Takes no new calls from now on; the gateway ends when the live ones are over or its patience is. Asking twice is
    /// harmless.
    fn drain(&self) -> Answer<'_, Readiness>;
}

/// May new calls be sent here?
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Readiness {
    /// Yes.
    Ready,
    /// No: it ends when these calls are over.
    Draining {
        /// Calls that still live.
        calls: u64,
        /// Why, as for [`Readiness::Unable`].
        reasons: Vec<Reason>,
    },
    /// No, for these reasons.
    Unable {
        /// What is wrong.
        reasons: Vec<Reason>,
    },
}

/// Why no call should be sent here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// A code of the catalogue, as OPTIONS gets it in `Reason`.
    pub code: &'static str,
    /// What is wrong.
    pub text: String,
    /// What to do about it.
    pub remedy: &'static str,
}

/// What became of an order to end a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUp {
    /// It is being ended.
    Ending,
    /// It was over before.
    Over,
    /// No call has this name.
    Unknown,
}

/// What [`Operations::explain`] is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Text with INVITEs, or a capture.
    pub input: Bytes,
    /// Take the calls for this trunk's.
    pub trunk: Option<String>,
    /// Where the INVITEs came from.
    pub source: Option<IpAddr>,
    /// Only the INVITE with this Call-ID.
    pub call_id: Option<String>,
}

/// The longest text or capture that is explained.
const LONGEST_INPUT: usize = 16 << 20;

pub(super) struct Desk {
    pub(super) operations: Arc<dyn Operations>,
    metrics: Metrics,
    access: Access,
}

/// A caller that may read.
pub(super) struct Viewer;

/// A caller that may act on calls.
pub(super) struct Operator(pub(super) Caller);

/// A caller that may change the gateway.
struct Administrator(Caller);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallsQuery {
    state: Option<String>,
    trunk: Option<String>,
    /// Seconds back from now.
    since: Option<u64>,
    limit: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    trunk: Option<String>,
    source: Option<IpAddr>,
    call_id: Option<String>,
}

#[derive(Serialize)]
struct CallList<'a> {
    calls: Vec<Summary<'a>>,
}

/// A call in a list: the record without its decisions and its timeline.
#[derive(Serialize)]
struct Summary<'a> {
    call_id: &'a CallId,
    started: String,
    state: CallState,
    trunk: Option<&'a str>,
    target: Option<&'a str>,
    caller: Option<&'a str>,
    called: Option<&'a str>,
    answered_ms: Option<u64>,
    duration_ms: Option<u64>,
    ended_by: Option<&'a str>,
    reason: Option<&'static str>,
}

/// The router of the admin listener.
pub fn router(operations: Arc<dyn Operations>, metrics: Metrics, access: Access) -> Router {
    let later = || any(not_in_this_version);
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(scrape))
        .route("/api/calls", get(list_calls).post(not_in_this_version))
        .route("/api/calls/{id}", get(show_call).delete(hang_up))
        .route("/api/drain", post(drain))
        .route("/api/explain", post(explain).layer(DefaultBodyLimit::max(LONGEST_INPUT)))
        .route("/", later())
        .route("/openapi.json", later())
        .route("/api/calls/{id}/ladder.svg", later())
        .route("/api/calls/{id}/capture.pcap", later())
        .route("/api/calls/{id}/transfer", later())
        .route("/api/trunks", get(peers::trunks))
        .route("/api/targets", get(peers::targets))
        .route("/api/bans", get(peers::bans).post(peers::ban))
        .route("/api/bans/{*source}", delete(peers::unban))
        .route("/api/reload", later())
        .fallback(|| async { Problem::not_found("no such page") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this page does not know the method")
        })
        .layer(axum::middleware::from_fn(harden))
        .with_state(Arc::new(Desk { operations, metrics, access }))
}

/// Nothing of this may be kept by a cache, guessed into another type, or framed by a page.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    if response.status() == StatusCode::UNAUTHORIZED {
        // RFC 9110 §11.6.1: a 401 names the scheme.
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

async fn live() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "live" }))
}

async fn ready(State(desk): State<Arc<Desk>>) -> Response {
    let readiness = desk.operations.readiness();
    let status = if readiness == Readiness::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

async fn scrape(_: Viewer, State(desk): State<Arc<Desk>>) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], desk.metrics.encode()).into_response()
}

async fn list_calls(
    _: Viewer,
    State(desk): State<Arc<Desk>>,
    query: Result<Query<CallsQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let filter = query.filter(crate::clock::wall())?;
    let calls = desk.operations.calls(filter).await;
    let calls = calls.iter().map(|record| Summary::of(record)).collect();
    Ok(Json(CallList { calls }).into_response())
}

async fn show_call(_: Viewer, State(desk): State<Arc<Desk>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let record = desk.operations.call(named(&id)?).await.ok_or_else(no_such_call)?;
    Ok(Json(&*record).into_response())
}

async fn hang_up(
    Operator(caller): Operator,
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = named(&id)?;
    let outcome = desk.operations.hang_up(id.clone()).await;
    tracing::info!(call = %id, by = %caller.name, ?outcome, "order to end a call");
    match outcome {
        HangUp::Ending => Ok((StatusCode::ACCEPTED, Json(serde_json::json!({ "status": "ending" }))).into_response()),
        HangUp::Over => Err(Problem::new(StatusCode::CONFLICT, "call_over", "the call is over already")),
        HangUp::Unknown => Err(no_such_call()),
    }
}

async fn drain(Administrator(caller): Administrator, State(desk): State<Arc<Desk>>) -> Response {
    let readiness = desk.operations.drain().await;
    tracing::info!(by = %caller.name, ?readiness, "order to drain");
    (StatusCode::ACCEPTED, Json(readiness)).into_response()
}

async fn explain(
    _: Viewer,
    State(desk): State<Arc<Desk>>,
    query: Result<Query<ExplainQuery>, QueryRejection>,
    input: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let Query(ExplainQuery { trunk, source, call_id }) =
        query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let input = input.map_err(|rejection| Problem::plain(rejection.status(), rejection.body_text()))?;
    let told = desk.operations.explain(Ask { input, trunk, source, call_id }).await;
    let report = told.map_err(|why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not_explained", why))?;
    Ok(Json(report).into_response())
}

async fn not_in_this_version(_: Viewer) -> Problem {
    Problem::not_in_this_version()
}

fn named(id: &str) -> Result<CallId, Problem> {
    CallId::parse(id).ok_or_else(no_such_call)
}

fn no_such_call() -> Problem {
    Problem::not_found("no live or recent call has this name")
}

// === impl Reason ===

impl Reason {
    /// A row of the catalogue.
    #[must_use]
    pub fn of(cause: Cause) -> Self {
        let entry = cause.entry();
        Self { code: entry.code, text: entry.text.to_owned(), remedy: entry.remedy }
    }
}

// === impl CallsQuery ===

impl CallsQuery {
    fn filter(self, now: SystemTime) -> Result<Filter, Problem> {
        let state = self.state.as_deref().map(state_named).transpose()?;
        // Further back than the clock reaches restricts nothing.
        let since = self.since.and_then(|seconds| now.checked_sub(Duration::from_secs(seconds)));
        let limit = self.limit.unwrap_or(Filter::STANDARD_LIMIT);
        if !(1..=Filter::MAX_LIMIT).contains(&limit) {
            return Err(Problem::bad_request(format!("`limit` is 1 to {}", Filter::MAX_LIMIT)));
        }
        Ok(Filter { state, trunk: self.trunk, since, limit })
    }
}

fn state_named(name: &str) -> Result<CallState, Problem> {
    Ok(match name {
        "calling" => CallState::Calling,
        "ringing" => CallState::Ringing,
        "held" => CallState::Held,
        "connected" => CallState::Connected,
        "diverting" => CallState::Diverting,
        "ended" => CallState::Ended,
        _ => {
            let detail = "`state` is calling, ringing, held, connected, diverting, ending or ended";
            return Err(Problem::bad_request(detail));
        }
    })
}

// === impl Summary ===

impl<'a> Summary<'a> {
    fn of(record: &'a CallRecord) -> Self {
        Self {
            call_id: &record.call_id,
            started: crate::record::moment::rfc3339(record.started),
            state: record.state,
            trunk: record.trunk.as_deref(),
            target: record.target.as_deref(),
            caller: record.caller.as_deref(),
            called: record.called.as_deref(),
            answered_ms: record.answered_ms,
            duration_ms: record.duration_ms,
            ended_by: record.ended_by.as_deref(),
            reason: record.termination.as_ref().map(|end| end.cause.entry().code),
        }
    }
}

// === impl Viewer, Operator, Administrator ===

impl Desk {
    fn admit(&self, parts: &Parts, role: Role) -> Result<Caller, Problem> {
        self.access.admit(&parts.method, &parts.headers, role)
    }
}

impl FromRequestParts<Arc<Desk>> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Problem> {
        desk.admit(parts, Role::Viewer).map(|_| Self)
    }
}

impl FromRequestParts<Arc<Desk>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Problem> {
        desk.admit(parts, Role::Operator).map(Self)
    }
}

impl FromRequestParts<Arc<Desk>> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Problem> {
        desk.admit(parts, Role::Admin).map(Self)
    }
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
