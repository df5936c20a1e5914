//! Sends the companion's requests over HTTP and says what each outcome proves. Apart from `rest`, which knows the
//! bodies, because this is the part that needs a network.

use super::rest;
use crate::clock;
use crate::config::value::Secret;
use crate::room::Settings;
use crate::room::request::{Failure, FailureKind, Operation, Product, Reply, Request, Room};
use reqwest::{RequestBuilder, Response, StatusCode, header};
use serde_json::Value;
use std::time::{Duration, UNIX_EPOCH};

/// An answer is read up to here; ours are a few kilobytes.
const LONGEST_ANSWER: usize = 256 * 1024;

/// An idle connection is kept for so long, to spare the next call its handshakes.
const KEEP_IDLE: Duration = Duration::from_secs(50);

/// The HTTP client, its connections and the account. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    api_url: String,
    api_key: Secret,
    rest_timeout: Duration,
}

/// How a request of provisioning is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates, or sets.
    Post,
    /// Replaces.
    Put,
}

/// The client cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client: {0}")]
pub struct ClientError(String);

// === impl Client ===

impl Client {
    /// A client for these settings.
    ///
    /// # Errors
    /// The machine has no CA certificates, which every `https` URL needs.
    pub fn new(settings: &Settings) -> Result<Self, ClientError> {
        // The program installs its one TLS provider first thing; this covers embedders, and fails if it is there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let bots = settings.plans.iter().filter_map(|plan| plan.bot.as_ref()).map(crate::config::room::Bot::url);
        let needs_tls = bots.chain([settings.api_url.clone()]).any(|url| !url.starts_with("http://"));
        let builder = reqwest::Client::builder()
            .user_agent(settings.user_agent.as_str())
            .connect_timeout(settings.rest_timeout)
            .pool_idle_timeout(KEEP_IDLE)
            // A redirect would carry the key elsewhere, or turn a POST into a GET.
            .redirect(reqwest::redirect::Policy::none())
            // Whether a request may be repeated is decided in `retry` and nowhere else.
            .retry(reqwest::retry::never());
        let builder = if needs_tls { builder } else { builder.tls_certs_only([]) };
        let http = builder.build().map_err(|error| ClientError(chain(&error)))?;
        Ok(Self {
            http,
            api_url: settings.api_url.clone(),
            api_key: settings.api_key.clone(),
            rest_timeout: settings.rest_timeout,
        })
    }

    /// Sends it, reads the answer. Always ends, by the request's deadline if by nothing else.
    pub async fn perform(&self, request: Request) -> Reply {
        let operation = request.operation();
        match self.build(request).send().await {
            Ok(response) => answered(operation, response).await,
            Err(error) => unanswered(operation, &error.without_url()),
        }
    }

    /// Sends a request of provisioning once; the body of the answer. `path` begins behind `/v1`.
    ///
    /// # Errors
    /// What became of it instead.
    pub async fn exchange(&self, method: Method, path: &str, body: Option<String>) -> Result<Vec<u8>, Failure> {
        let method = match method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let url = format!("{}{path}", self.api_url);
        let request = self.http.request(method, url).bearer_auth(self.api_key.expose()).timeout(self.rest_timeout);
        let request = match body {
            // As text, so that what is carried for others keeps its bytes.
            Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(body),
            None => request,
        };
        let mut response = request.send().await.map_err(|error| failure(&error.without_url()))?;
        let status = response.status();
        if !status.is_success() {
            return Err(refused(&mut response).await);
        }
        read(&mut response).await.map_err(|text| Failure { kind: FailureKind::Lost, text, retry_after: None })
    }

    fn build(&self, request: Request) -> RequestBuilder {
        let now = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        match request {
            Request::CreateRoom { name, display_name, plan } => {
                let create = plan.create.clone().unwrap_or_default();
                self.post("/rooms", &rest::create_room(&name, &display_name, &create, now))
            }
            Request::FetchRoom { name } => {
                let url = format!("{}/rooms/{}", self.api_url, rest::path_segment(&name));
                self.http.get(url).bearer_auth(self.api_key.expose()).timeout(self.rest_timeout)
            }
            Request::CreateToken { room, expires } => {
                self.post("/meeting-tokens", &rest::create_token(&room, now.saturating_add(expires.as_secs())))
            }
            Request::Update { call_id, call_domain, sip_uri } => {
                self.post("/dialin/pinlessCallUpdate", &rest::update(&call_id, &call_domain, &sip_uri))
            }
            Request::StartBot(start) => {
                let request = self
                    .http
                    .post(&start.url)
                    .timeout(start.timeout)
                    .header("Idempotency-Key", start.idempotency_key())
                    .header("traceparent", &start.traceparent)
                    .json(&start.body);
                match &start.bearer {
                    Some(token) => request.bearer_auth(token.expose()),
                    None => request,
                }
            }
        }
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.http
            .post(format!("{}{path}", self.api_url))
            .bearer_auth(self.api_key.expose())
            .timeout(self.rest_timeout)
            .json(body)
    }
}

async fn answered(operation: Operation, mut response: Response) -> Reply {
    let what = in_words(response.status());
    let outcome = if response.status().is_success() {
        product(operation, read(&mut response).await)
    } else {
        Err(refused(&mut response).await)
    };
    Reply { operation, what, outcome }
}

/// `404 Not Found`.
fn in_words(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default()).trim_end().to_owned()
}

async fn refused(response: &mut Response) -> Failure {
    let status = response.status();
    let retry_after = retry_after(response);
    let complaint = read(response).await.ok().and_then(|body| rest::complaint(&body));
    let text = complaint.map_or_else(|| in_words(status), |complaint| format!("{} {complaint}", status.as_u16()));
    Failure { kind: FailureKind::Refused(status.as_u16()), text, retry_after }
}

/// A status says whether the effect came about; a body that broke off matters only where something is read from it.
fn product(operation: Operation, body: Result<Vec<u8>, String>) -> Result<Product, Failure> {
    let fail = |kind, text: String| Err(Failure { kind, text, retry_after: None });
    if matches!(operation, Operation::Bot | Operation::Update) {
        return Ok(Product::Effect);
    }
    let body = match body {
        Ok(body) => body,
        Err(error) => return fail(FailureKind::Lost, error),
    };
    let answer: Value = match serde_json::from_slice(&body) {
        Ok(answer) => answer,
        Err(error) => return fail(FailureKind::Unreadable, format!("the answer is no JSON: {error}")),
    };
    if operation == Operation::Token {
        return match rest::token(&answer) {
            Some(token) => Ok(Product::Token(Secret::new(token))),
            None => fail(FailureKind::Unreadable, "the answer has no token".to_owned()),
        };
    }
    match rest::room(&answer) {
        Room { url: None, endpoint: None, .. } => {
            fail(FailureKind::Unreadable, "the answer has neither a room URL nor a SIP address".to_owned())
        }
        room => Ok(Product::Room(room)),
    }
}

fn unanswered(operation: Operation, error: &reqwest::Error) -> Reply {
    let failure = failure(error);
    let what = outcome_of(failure.kind, error).to_owned();
    Reply { operation, what, outcome: Err(failure) }
}

fn failure(error: &reqwest::Error) -> Failure {
    // A connection that never came about carried nothing. Everything later may have arrived.
    let kind = if error.is_builder() {
        FailureKind::Impossible
    } else if error.is_connect() {
        FailureKind::NotSent
    } else {
        FailureKind::Lost
    };
    Failure { kind, text: format!("{}: {}", outcome_of(kind, error), chain(error)), retry_after: None }
}

fn outcome_of(kind: FailureKind, error: &reqwest::Error) -> &'static str {
    match kind {
        FailureKind::Impossible => "cannot be sent",
        FailureKind::NotSent => "no connection",
        _ if error.is_timeout() => "no answer in time",
        _ => "connection lost",
    }
}

async fn read(response: &mut Response) -> Result<Vec<u8>, String> {
    let mut body = vec![];
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error.without_url()))? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err("the answer is too long".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Only the form in seconds; a date would need the server's clock to agree with ours.
fn retry_after(response: &Response) -> Option<Duration> {
    let relevant = matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let value = response.headers().get(header::RETRY_AFTER).filter(|_| relevant)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// An error and its causes; the outermost words alone ("error sending request") help nobody.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text.chars().take(300).collect()
}
