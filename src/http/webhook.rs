//! The webhook listener: Daily's calls and events, and the bots' ready signals. It checks who speaks and what, answers at
//! once, and leaves the work to the companion; nothing here can be busy, so nothing here answers 5xx but 501 for the
//! endpoints of later versions.

use super::problem::Problem;
use super::{bearer, body};
use crate::clock;
use crate::room::daily::rest;
use crate::room::daily::verify::Verifier;
use crate::room::daily::webhook::{Announcement, Notice};
use crate::room::{CompanionHandle, Meter, ReadyVerdict};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{any, post};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// A webhook is a few hundred bytes; SIP headers of a call may add some.
pub const LONGEST_BODY: usize = 64 * 1024;

/// What the listener needs.
#[derive(Clone)]
pub struct Webhooks {
    /// Where the work goes.
    pub companion: CompanionHandle,
    /// The door of `/daily/dialin`.
    pub dialin: Verifier,
    /// The door of `/daily/events`; without it, events are refused.
    pub events: Option<Verifier>,
    /// Counts.
    pub meter: Arc<dyn Meter>,
    /// How long a body may take to arrive.
    pub patience: Duration,
}

/// What a request came to: the metric's label and the answer.
type Verdict = Result<&'static str, (&'static str, Problem)>;

/// The routes. Paths and methods are matched strictly.
pub fn router(webhooks: Webhooks) -> Router {
    Router::new()
        .route("/daily/dialin", post(dialin))
        .route("/daily/events", post(events))
        .route("/rooms/{room}/ready", post(ready))
        .route("/rooms/{room}/connected", post(connected))
        .route("/daily/trunk", any(later))
        .route("/signalwire/{call}", any(later))
        .fallback(|| async { Problem::plain(StatusCode::NOT_FOUND, "there is nothing here") })
        .method_not_allowed_fallback(|| async { Problem::plain(StatusCode::METHOD_NOT_ALLOWED, "only POST") })
        .with_state(webhooks)
}

/// An endpoint that the contract names and this version has not.
async fn later() -> Problem {
    Problem::not_in_this_version()
}

async fn dialin(State(webhooks): State<Webhooks>, headers: HeaderMap, body: Body) -> Answer {
    let verdict = match webhooks.read(body).await {
        Ok(body) => webhooks.announced(&headers, &body),
        Err(refused) => Err(refused),
    };
    webhooks.answer("dialin", verdict)
}

async fn events(State(webhooks): State<Webhooks>, headers: HeaderMap, body: Body) -> Answer {
    let verdict = match webhooks.read(body).await {
        Ok(body) => webhooks.notified(&headers, &body),
        Err(refused) => Err(refused),
    };
    webhooks.answer("events", verdict)
}

async fn ready(State(webhooks): State<Webhooks>, Path(room): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let verdict = match webhooks.read(body).await {
        Ok(body) => webhooks.reported_ready(room, &headers, &body).await,
        Err(refused) => Err(refused),
    };
    webhooks.answer("ready", verdict)
}

async fn connected(
    State(webhooks): State<Webhooks>,
    Path(room): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let verdict = match webhooks.read(body).await {
        Ok(_) => webhooks.reported_connected(room, &headers).await,
        Err(refused) => Err(refused),
    };
    webhooks.answer("connected", verdict)
}

/// 200 with an empty object, or a problem.
type Answer = Result<axum::Json<Value>, Problem>;

/// The companion counts what it was handed, once it knows whose it is.
const COUNTED_LATER: &str = "";

// === impl Webhooks ===

impl Webhooks {
    async fn read(&self, body: Body) -> Result<Bytes, (&'static str, Problem)> {
        body::read(body, LONGEST_BODY, self.patience).await.map_err(|problem| {
            let result = match problem.status() {
                StatusCode::PAYLOAD_TOO_LARGE => "too_large",
                StatusCode::REQUEST_TIMEOUT => "timeout",
                _ => "bad_request",
            };
            (result, problem)
        })
    }

    fn announced(&self, headers: &HeaderMap, body: &[u8]) -> Verdict {
        match Announcement::read(body).map_err(bad_request)? {
            // Daily tries the address when it is configured, at a time when we may not know the secret yet.
            Announcement::Probe => Ok("probe"),
            Announcement::Call(dial_in) => {
                self.check("dialin", &self.dialin, headers, body)?;
                self.companion.dial_in(dial_in.map_err(bad_request)?);
                Ok(COUNTED_LATER)
            }
        }
    }

    fn notified(&self, headers: &HeaderMap, body: &[u8]) -> Verdict {
        let notice = Notice::read(body);
        if notice == Ok(Notice::Probe) {
            return Ok("probe");
        }
        let Some(verifier) = &self.events else {
            let detail = "events are refused: `events_hmac` of [daily] is not configured";
            return Err(("refused", Problem::plain(StatusCode::FORBIDDEN, detail)));
        };
        self.check("events", verifier, headers, body)?;
        match notice.map_err(bad_request)? {
            Notice::Event(event) => {
                self.companion.event(event);
                Ok(COUNTED_LATER)
            }
            Notice::Other | Notice::Probe => Ok("ignored"),
        }
    }

    async fn reported_ready(&self, room: String, headers: &HeaderMap, body: &[u8]) -> Verdict {
        let token = ready_token(headers)?;
        let endpoint = endpoint(body).map_err(bad_request)?;
        heard(self.companion.ready(room, token, endpoint).await)
    }

    async fn reported_connected(&self, room: String, headers: &HeaderMap) -> Verdict {
        let token = ready_token(headers)?;
        heard(self.companion.bot_connected(room, token).await)
    }

    fn check(
        &self,
        source: &'static str,
        verifier: &Verifier,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), (&'static str, Problem)> {
        verifier.verify(headers, body, clock::wall()).map_err(|distrust| {
            // The reason is for whoever runs the gateway; the sender learns only that it was refused.
            tracing::warn!(source, %distrust, "a webhook was refused");
            ("unauthorized", Problem::plain(StatusCode::UNAUTHORIZED, "the signature is missing, stale or wrong"))
        })
    }

    fn answer(&self, source: &'static str, verdict: Verdict) -> Answer {
        let (result, answer) = match verdict {
            Ok(result) => (result, Ok(axum::Json(Value::Object(serde_json::Map::new())))),
            Err((result, problem)) => (result, Err(problem)),
        };
        if result != COUNTED_LATER {
            self.meter.webhook(source, result);
        }
        answer
    }
}

fn unauthorized(detail: &str) -> (&'static str, Problem) {
    ("unauthorized", Problem::plain(StatusCode::UNAUTHORIZED, detail))
}

fn ready_token(headers: &HeaderMap) -> Result<String, (&'static str, Problem)> {
    bearer::token(headers).map(str::to_owned).ok_or_else(|| unauthorized("the ready token is missing"))
}

/// What a bot is told of its signal.
fn heard(verdict: ReadyVerdict) -> Verdict {
    match verdict {
        ReadyVerdict::Accepted => Ok("accepted"),
        ReadyVerdict::WrongToken => Err(unauthorized("the ready token is not this room's")),
        ReadyVerdict::UnknownRoom => {
            Err(("unknown_room", Problem::plain(StatusCode::NOT_FOUND, "no held call waits for this room")))
        }
    }
}

fn bad_request(problem: impl std::fmt::Display) -> (&'static str, Problem) {
    ("bad_request", Problem::plain(StatusCode::BAD_REQUEST, problem.to_string()))
}

/// `{"sipEndpoint": "..."}`; an empty body, or one without it, means the room's own.
fn endpoint(body: &[u8]) -> Result<Option<String>, String> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let body: Value = serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    match body.as_object().ok_or("the body is no JSON object")?.get("sipEndpoint") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(value) => {
            let uri = value.as_str().and_then(rest::sip_uri);
            uri.map(Some).ok_or_else(|| "`sipEndpoint` is no SIP address".to_owned())
        }
    }
}

#[cfg(test)]
mod tests;
