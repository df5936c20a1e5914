//! Pipecat Cloud's `/start`, as documented: public key, body in `body`, 429 when all sessions are taken.

use crate::world::{Setup, World};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// What the cloud was sent, and where its agents live.
#[derive(Clone, Default)]
struct Cloud {
    full: bool,
    agents: Arc<Mutex<String>>,
    seen: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
}

impl Cloud {
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/v1/public/reception/start", post(start)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}/v1/public/reception/start")
    }

    fn seen(&self) -> Vec<(HeaderMap, Value)> {
        self.seen.lock().unwrap().clone()
    }
}

async fn start(State(cloud): State<Cloud>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    cloud.seen.lock().unwrap().push((headers.clone(), body.clone()));
    if headers.get("authorization").is_none_or(|value| value != "Bearer pk_test") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if cloud.full {
        let words = json!({ "status": 429, "code": "429", "message": "maximum agent instances reached" });
        return (StatusCode::TOO_MANY_REQUESTS, Json(words)).into_response();
    }
    // The agent gets what is in `body`.
    let agents = cloud.agents.lock().unwrap().clone();
    let answer = reqwest::Client::new().post(agents).json(&body["body"]).send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    (status, Json(json!({ "sessionId": "session-1" }))).into_response()
}

async fn world(cloud: &Cloud, more: &str) -> World {
    let url = cloud.start().await;
    let bot = format!("bot = {{ kind = \"pipecat-cloud\", start_url = \"{url}\", token = \"pk_test\" }}");
    let world = Setup { rooms: format!("[[room]]\n{bot}\n{more}"), ..Setup::default() }.start().await;
    cloud.agents.lock().unwrap().clone_from(&world.bot.start_url());
    world
}

#[tokio::test]
async fn an_agent_of_pipecat_cloud_is_started_in_the_room_of_the_call() {
    let cloud = Cloud::default();
    let mut world = world(&cloud, "").await;
    let story = world.call(world.plan()).await;
    story.was_connected_to_the_bot(&world.held());
    let [(headers, body)] = &cloud.seen()[..] else { panic!("{:?}", cloud.seen()) };
    assert_eq!(headers["idempotency-key"], story.record.call_id.as_str());
    assert_eq!(body["createDailyRoom"], false, "the room is ours, so that its SIP address is known");
    assert_eq!(body.as_object().unwrap().len(), 2, "{body:#}");
    let told = &body["body"];
    assert_eq!(told["sip_headers"], told["dialin_settings"]["sip_headers"]);
    assert_eq!(told["sip_headers"]["x-trunkline-call"], story.record.call_id.as_str(), "{told:#}");
    assert_eq!((world.requests("POST /rooms"), world.bot.starts().len()), (1, 1));
    world.close().await;
}

#[tokio::test]
async fn when_all_sessions_are_taken_the_next_plan_serves_the_call() {
    let cloud = Cloud { full: true, ..Cloud::default() };
    let mut world = world(&cloud, "[[room]]\nbot = { start_url = \"BOT\" }\n").await;
    let story = world.call(world.plan()).await;
    story.was_connected_to_the_bot(&world.held());
    assert_eq!((cloud.seen().len(), world.bot.starts().len(), world.requests("POST /rooms")), (1, 1, 2));
    let metrics = world.metrics().await;
    assert!(metrics.contains(r#"trunkline_bot_starts_total{result="at_capacity"} 1"#), "{metrics}");
    world.close().await;
}

#[tokio::test]
async fn when_all_sessions_are_taken_and_there_is_no_other_plan_a_human_is_called() {
    let cloud = Cloud { full: true, ..Cloud::default() };
    let url = cloud.start().await;
    let rooms = format!(
        "[[room]]\nbot = {{ kind = \"pipecat-cloud\", start_url = \"{url}\", token = \"pk_test\", timeout = \"1s\" }}\n"
    );
    let world = Setup { rooms, ..Setup::default() }.start().await;
    let story = world.call(world.plan_for_a_human()).await;
    story.was_sent_to_a_human(&world, "bot could not be started");
    assert!(cloud.seen().len() > 1, "it is tried again while there is time");
    world.close().await;
}
