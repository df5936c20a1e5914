//! The REST endpoints of a simulated Daily that configure it: domain, dial-in entries, domain webhooks. Apart from `rest`,
//! whose endpoints serve calls.

use super::rest::{Held, admit, done, refuse};
use super::{Endpoint, Shared};
use crate::record::moment::Lane;
use crate::sim::observation::{Observation, locked};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// In the place of a call, for the ladder.
const ACCOUNT: &str = "account";

#[derive(Debug, Deserialize)]
struct Paging {
    limit: Option<usize>,
    starting_after: Option<String>,
}

pub(super) fn router() -> axum::Router<Arc<Shared>> {
    axum::Router::new()
        .route("/v1/", get(show_domain).post(set_domain))
        .route("/v1/domain-dialin-config", get(list_entries).post(create_entry))
        .route("/v1/domain-dialin-config/{id}", get(show_entry).put(replace_entry).delete(remove_entry))
        .route("/v1/webhooks", get(list_hooks).post(create_hook))
        .route("/v1/webhooks/{uuid}", axum::routing::post(change_hook))
        .route("/sim/account", get(account))
}

fn seen(what: &str) -> Observation {
    Observation::new(ACCOUNT, Lane::Trunkline, Lane::Rest, what)
}

/// Answers, unless the answer is to be lost: the request took effect, and the connection says nothing for ever.
async fn answer(shared: &Shared, endpoint: Endpoint, response: Response) -> Response {
    let lost = locked(&shared.state).loses(endpoint);
    if lost {
        return std::future::pending().await;
    }
    response
}

fn not_found(shared: &Shared) -> Response {
    refuse(shared, ACCOUNT, 404, "not-found", "no such thing")
}

fn invalid(shared: &Shared, info: &str) -> Response {
    refuse(shared, ACCOUNT, 400, "invalid-request-error", info)
}

async fn show_domain(State(shared): Held, headers: HeaderMap) -> Response {
    if let Err(refusal) = admit(&shared, &headers, Endpoint::Domain, seen("GET /")).await {
        return refusal;
    }
    let body = {
        let mut state = locked(&shared.state);
        let array = state.account.array();
        state.read_account();
        json!({ "domain_name": "simulated", "domain_id": "simulated-domain", "config": { "pinless_dialin": array } })
    };
    done(&shared, ACCOUNT, body)
}

async fn set_domain(State(shared): Held, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if let Err(refusal) = admit(&shared, &headers, Endpoint::SetDomain, seen("POST /")).await {
        return refusal;
    }
    let Some(sent) = body.pointer("/properties/pinless_dialin").and_then(Value::as_array) else {
        return invalid(&shared, "pinless_dialin is no array");
    };
    let (violations, array) = {
        let mut state = locked(&shared.state);
        let violations = state.replace_array(sent);
        (violations, state.account.array())
    };
    violations.into_iter().for_each(|violation| shared.violation(violation));
    sent.iter().for_each(|entry| probe(&shared, entry));
    let body = json!({ "domain_name": "simulated", "config": { "pinless_dialin": array } });
    let response = done(&shared, ACCOUNT, body);
    answer(&shared, Endpoint::SetDomain, response).await
}

async fn list_entries(State(shared): Held, Query(paging): Query<Paging>, headers: HeaderMap) -> Response {
    if let Err(refusal) = admit(&shared, &headers, Endpoint::Entries, seen("GET /domain-dialin-config")).await {
        return refusal;
    }
    let body = {
        let mut state = locked(&shared.state);
        let page = state.account.page(paging.limit.unwrap_or(100), paging.starting_after.as_deref());
        state.read_account();
        page
    };
    done(&shared, ACCOUNT, body)
}

async fn create_entry(State(shared): Held, headers: HeaderMap, Json(fields): Json<Map<String, Value>>) -> Response {
    if let Err(refusal) = admit(&shared, &headers, Endpoint::SetEntries, seen("POST /domain-dialin-config")).await {
        return refusal;
    }
    probe(&shared, &Value::Object(fields.clone()));
    let created = locked(&shared.state).create_entry(fields);
    let response = match created {
        Ok(entry) => done(&shared, ACCOUNT, entry),
        Err((status, info)) => refuse(&shared, ACCOUNT, status, "invalid-request-error", &info),
    };
    answer(&shared, Endpoint::SetEntries, response).await
}

async fn show_entry(State(shared): Held, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Err(refusal) = admit(&shared, &headers, Endpoint::Entries, seen("GET /domain-dialin-config/ID")).await {
        return refusal;
    }
    let entry = locked(&shared.state).account.entry(&id);
    entry.map_or_else(|| not_found(&shared), |entry| done(&shared, ACCOUNT, entry))
}

async fn replace_entry(
    State(shared): Held,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(fields): Json<Map<String, Value>>,
) -> Response {
    if let Err(refusal) = admit(&shared, &headers, Endpoint::SetEntries, seen("PUT /domain-dialin-config/ID")).await {
        return refusal;
    }
    probe(&shared, &Value::Object(fields.clone()));
    let (entry, violations) = locked(&shared.state).replace_entry(&id, fields);
    violations.into_iter().for_each(|violation| shared.violation(violation));
    let response = entry.map_or_else(|| not_found(&shared), |entry| done(&shared, ACCOUNT, entry));
    answer(&shared, Endpoint::SetEntries, response).await
}

async fn remove_entry(State(shared): Held, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Err(refusal) = admit(&shared, &headers, Endpoint::SetEntries, seen("DELETE /domain-dialin-config/ID")).await
    {
        return refusal;
    }
    let removed = locked(&shared.state).remove_entry(&id);
    if removed { done(&shared, ACCOUNT, json!({ "id": id, "deleted": true })) } else { not_found(&shared) }
}

async fn list_hooks(State(shared): Held, headers: HeaderMap) -> Response {
    if let Err(refusal) = admit(&shared, &headers, Endpoint::Webhooks, seen("GET /webhooks")).await {
        return refusal;
    }
    let hooks = locked(&shared.state).account.hooks();
    done(&shared, ACCOUNT, hooks)
}

async fn create_hook(State(shared): Held, headers: HeaderMap, Json(fields): Json<Map<String, Value>>) -> Response {
    if let Err(refusal) = admit(&shared, &headers, Endpoint::SetWebhooks, seen("POST /webhooks")).await {
        return refusal;
    }
    if !answers(&shared, fields.get("url")).await {
        return invalid(&shared, "the webhook did not answer the test request with 200");
    }
    let hook = locked(&shared.state).create_hook(fields);
    let response = done(&shared, ACCOUNT, hook);
    answer(&shared, Endpoint::SetWebhooks, response).await
}

async fn change_hook(
    State(shared): Held,
    Path(uuid): Path<String>,
    headers: HeaderMap,
    Json(fields): Json<Map<String, Value>>,
) -> Response {
    if let Err(refusal) = admit(&shared, &headers, Endpoint::SetWebhooks, seen("POST /webhooks/UUID")).await {
        return refusal;
    }
    if !answers(&shared, fields.get("url")).await {
        return invalid(&shared, "the webhook did not answer the test request with 200");
    }
    let (hook, violations) = locked(&shared.state).change_hook(&uuid, fields);
    violations.into_iter().for_each(|violation| shared.violation(violation));
    let response = hook.map_or_else(|| not_found(&shared), |hook| done(&shared, ACCOUNT, hook));
    answer(&shared, Endpoint::SetWebhooks, response).await
}

/// The test request that a domain webhook has to answer before it is taken.
async fn answers(shared: &Shared, url: Option<&Value>) -> bool {
    let Some(url) = url.and_then(Value::as_str) else { return false };
    let sent = shared.client.post(url).json(&json!({ "test": "test" })).send().await;
    sent.is_ok_and(|answer| answer.status().as_u16() == 200)
}

/// The test request that `room_creation_api` gets; its answer changes nothing.
fn probe(shared: &Shared, entry: &Value) {
    let Some(url) = entry.get("room_creation_api").and_then(Value::as_str) else { return };
    let to = entry.get("phone_number").cloned().unwrap_or_else(|| json!("interconnect"));
    let request = shared.client.post(url).json(&json!({ "To": to }));
    shared.in_background(async move {
        let _ = request.send().await;
    });
}

async fn account(State(shared): Held) -> Json<Value> {
    Json(shared.account())
}
