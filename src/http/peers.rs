//! The pages about those at the other ends: trunks and targets with their health, and who is banned. Apart from the
//! calls, because these live as long as the gateway does.

use super::admin::{Desk, Operator, Viewer};
use super::{Problem, body};
use crate::config::keepalive::Keepalive;
use crate::trunk::health::Standing;
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What the pages can ask of a gateway. None of it may wait.
pub trait Peers {
    /// All trunks, in the order of the file.
    fn trunks(&self) -> Vec<TrunkStatus>;

    /// All targets, in the order of the file.
    fn targets(&self) -> Vec<TargetStatus>;

    /// Who is banned now.
    fn bans(&self) -> Vec<BanStatus>;

    /// Bans by hand, for a time or for the configured one.
    ///
    /// # Errors
    /// Why it cannot be, in words.
    fn ban(&self, source: IpNet, time: Option<Duration>) -> Result<(), String>;

    /// Lifts the bans within a network; says whether there was one.
    fn unban(&self, source: IpNet) -> bool;
}

/// How somebody stands.
#[derive(Debug, Clone, Serialize)]
pub struct HealthStatus {
    /// `unknown`, `up` or `down`.
    pub state: Standing,
    /// Since when, RFC 3339.
    pub since: Option<String>,
    /// When it was last heard, as far as it was of interest.
    pub heard: Option<String>,
    /// What went wrong last, even if it is up again.
    pub last_error: Option<Trouble>,
    /// It asked not to be called before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rests_until: Option<String>,
    /// How it is probed; `null` if by calls alone.
    pub keepalive: Option<Keepalive>,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// When, RFC 3339.
    pub at: String,
    /// What.
    pub text: String,
    /// What to do about it.
    pub remedy: &'static str,
}

/// One trunk.
#[derive(Debug, Clone, Serialize)]
pub struct TrunkStatus {
    /// Its name.
    pub name: String,
    /// Where its calls come from.
    pub peers: Vec<String>,
    /// Where calls towards it go.
    pub address: Option<String>,
    /// Calls from it that live.
    pub calls: usize,
    /// As many as it may have.
    pub max_calls: Option<u32>,
    /// Where it has registered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<ContactStatus>,
    /// How it stands.
    #[serde(flatten)]
    pub health: HealthStatus,
}

/// A contact that a trunk has registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContactStatus {
    /// The URI, as the PBX wrote it.
    pub uri: String,
    /// Where its REGISTER came from.
    pub source: String,
    /// Until when, RFC 3339.
    pub until: String,
}

/// Our registration at a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistrationStatus {
    /// Until when, RFC 3339; absent while we are not registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why the last attempt failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// One target.
#[derive(Debug, Clone, Serialize)]
pub struct TargetStatus {
    /// Its name.
    pub name: String,
    /// Its Request-URI.
    pub uri: String,
    /// Calls to it that live.
    pub calls: usize,
    /// As many as it may have.
    pub max_calls: Option<u32>,
    /// Our registration at it, if there is to be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<RegistrationStatus>,
    /// How it stands.
    #[serde(flatten)]
    pub health: HealthStatus,
}

/// One ban.
#[derive(Debug, Clone, Serialize)]
pub struct BanStatus {
    /// The address or network.
    pub source: String,
    /// `refused`, `login`, `scanner` or `operator`.
    pub reason: &'static str,
    /// Until when, RFC 3339.
    pub until: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    source: String,
    /// Seconds.
    seconds: Option<u64>,
}

/// As much as an order may be long.
const MOST_BYTES: usize = 4_096;
/// As long as its body may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn trunks(_: Viewer, State(desk): State<Arc<Desk>>) -> Json<serde_json::Value> {
    Json(serde_json::json!({ "trunks": desk.operations.trunks() }))
}

pub(super) async fn targets(_: Viewer, State(desk): State<Arc<Desk>>) -> Json<serde_json::Value> {
    Json(serde_json::json!({ "targets": desk.operations.targets() }))
}

pub(super) async fn bans(_: Viewer, State(desk): State<Arc<Desk>>) -> Json<serde_json::Value> {
    Json(serde_json::json!({ "bans": desk.operations.bans() }))
}

pub(super) async fn ban(
    Operator(caller): Operator,
    State(desk): State<Arc<Desk>>,
    request: Request,
) -> Result<Response, Problem> {
    let bytes = body::read(request.into_body(), MOST_BYTES, PATIENCE).await?;
    let order: Order = serde_json::from_slice(&bytes).map_err(|error| Problem::bad_request(error.to_string()))?;
    let source = network(&order.source)?;
    let conflict = |detail| Problem::new(StatusCode::CONFLICT, "cannot_ban", detail);
    desk.operations.ban(source, order.seconds.map(Duration::from_secs)).map_err(conflict)?;
    tracing::info!(%source, by = %caller.name, "a source is banned by hand");
    Ok((StatusCode::CREATED, Json(serde_json::json!({ "source": source.to_string() }))).into_response())
}

pub(super) async fn unban(
    Operator(caller): Operator,
    State(desk): State<Arc<Desk>>,
    Path(source): Path<String>,
) -> Result<Response, Problem> {
    let source = network(&source)?;
    if !desk.operations.unban(source) {
        return Err(Problem::not_found("nobody there is banned"));
    }
    tracing::info!(%source, by = %caller.name, "a ban is lifted");
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn network(text: &str) -> Result<IpNet, Problem> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    let read = text.parse::<IpNet>().or_else(|_| address());
    read.map(|net| net.trunc())
        .map_err(|_| Problem::bad_request("`source` is an address, or a network as 192.0.2.0/24"))
}
