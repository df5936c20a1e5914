//! The rehearsal: one INVITE is played to a shard of its own that is built like the live ones, has seeded randomness and
//! no sockets. What the shard would transmit is read, not sent.

use super::paper::PaperPlane;
use super::{Otherwise, Outcome, Sent, Stage, Story};
use crate::call::{Output, Policy, Shard};
use crate::clock::Entropy;
use crate::config::Config;
use crate::config::room::RoomPlan;
use crate::config::route::Fallback;
use crate::identity;
use crate::observe::Metrics;
use crate::record::{CallFacts, CallRecord, Step};
use crate::room::{self, Report};
use crate::route::{Query, RetryOn, Route};
use crate::sip::endpoint::aim::Errand;
use crate::sip::{HeaderName, Hop, HopAddress, Message, Source};
use bytes::{Bytes, BytesMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

/// The same INVITE gives the same answer.
const SEED: u64 = 3261;

/// Conditions that may be supposed one after the other.
const MOST_SUPPOSITIONS: usize = 5;

/// What is supposed to be otherwise than it is.
#[derive(Debug, Clone, Default)]
struct Supposition {
    trunk: Option<String>,
    without: Vec<HeaderName>,
    bodiless: bool,
    /// No trunk asks for credentials.
    proven: bool,
    words: Vec<String>,
}

/// What a shard did with an INVITE.
#[derive(Default)]
struct Played {
    record: Option<CallRecord>,
    facts: Option<CallFacts>,
    sent: Option<Sent>,
    response: Option<Bytes>,
}

/// Plays the INVITE as it is, and, if that ends before a target is called, as it would have to be to go on.
pub(super) fn play(
    stage: &Stage,
    trunk: Option<&str>,
    message: &Message,
    source: Source,
    now: Instant,
) -> (Story, Option<Otherwise>) {
    let mut supposition = Supposition::default();
    let honest = story(stage, &supposition, message, source, now);
    let mut otherwise = None;
    for _ in 0..MOST_SUPPOSITIONS {
        let last = otherwise.as_ref().map_or(&honest, |otherwise: &Otherwise| &otherwise.story);
        if !supposition.goes_beyond(last, trunk) {
            break;
        }
        let story = story(stage, &supposition, message, source, now);
        otherwise = Some(Otherwise { supposing: supposition.words.join(", and "), story });
    }
    (honest, otherwise)
}

fn story(stage: &Stage, supposition: &Supposition, message: &Message, source: Source, now: Instant) -> Story {
    let message = supposition.apply(message);
    // A policy of its own: a rehearsal takes no slot of a trunk or target from a call.
    let policy = Policy::new(supposition.config(&stage.config), &stage.resolved).ok();
    let policy = policy.and_then(|policy| supposition.assume(policy));
    let Some(policy) = policy.map(Arc::new) else { return Story::nothing() };
    let played = rehearse(stage, policy.clone(), &message, source, now);
    let mut story = Story { outcome: outcome(&played), ..Story::nothing() };
    story.response = played.response.as_ref().map(|response| String::from_utf8_lossy(response).into_owned());
    story.sent = played.sent;
    let target = played.record.as_ref().and_then(|record| record.target.clone());
    let target = target.and_then(|name| policy.config.targets.iter().find(|target| target.name == name));
    story.header_limit = target.and_then(crate::config::target::Target::effective_header_limit);
    if let Some(record) = played.record {
        story.trunk = record.trunk;
        story.decisions = record.decisions;
    }
    if let Some(route) = route_taken(&policy, &story.decisions) {
        story.passed_over = passed_over(&policy, &route, &story, &message);
        story.afterwards = if story.sent.is_some() { afterwards(&route) } else { vec![] };
    }
    if let Some(facts) = played.facts {
        let plans: Vec<_> = policy.config.rooms.iter().cloned().map(Arc::new).collect();
        let plan = room::plan::choose(&plans, &facts, &mut story.room);
        story.plan = plan.map(|plan| shown(&plan));
    }
    story
}

fn rehearse(stage: &Stage, policy: Arc<Policy>, message: &Message, source: Source, now: Instant) -> Played {
    let plane = Box::new(PaperPlane { first: stage.config.media.ports.first });
    let (settings, sip) = (stage.shard.clone(), stage.sip.clone());
    let mut shard = Shard::new(settings, sip, policy, plane, Metrics::new(), Entropy::seeded(SEED));
    shard.receive_message(now, source, message.clone());
    let live = shard.page(0, |_| true).records.pop();
    let record = live.and_then(|outline| shard.record(&outline.call_id));
    let mut played = Played { record, ..Played::default() };
    // Nobody is asked for addresses here: the request is written as if one had been found.
    let mut named = None;
    while let Some(errand) = shard.poll_errand() {
        let Errand::Locate { transaction, hop } = errand else { continue };
        named.get_or_insert_with(|| hop.to_string());
        let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), hop.protocol.port());
        let found = Hop { address: HopAddress::Socket(nowhere), ..hop };
        shard.located(now, transaction, Ok((vec![found], "name")));
    }
    while let Some(transmit) = shard.poll_transmit() {
        let payload = transmit.payload;
        if payload.starts_with(b"INVITE ") {
            let message = String::from_utf8_lossy(&payload).into_owned();
            let to = named.take().unwrap_or_else(|| transmit.hop.to_string());
            let sent = Sent { to, bytes: payload.len(), message };
            played.sent.get_or_insert(sent);
        } else if payload.starts_with(b"SIP/2.0 ") && !payload.starts_with(b"SIP/2.0 1") {
            played.response = Some(payload);
        }
    }
    while let Some(output) = shard.poll_output() {
        match output {
            Output::Report(Report::Placed(facts)) => played.facts = Some(facts),
            Output::Finished(record) => played.record = Some(*record),
            Output::Report(_) | Output::Replied(..) => {}
        }
    }
    played
}

fn outcome(played: &Played) -> Outcome {
    let record = played.record.as_ref();
    if let (Some(record), true) = (record, played.sent.is_some()) {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        return Outcome::Called {
            trunk: text(&record.trunk),
            target: text(&record.target),
            caller: text(&record.caller),
            called: text(&record.called),
        };
    }
    let response = played.response.clone().and_then(|bytes| Message::parse(bytes).ok());
    let Some(response) = response else { return Outcome::Ignored };
    let entry = record.and_then(|record| record.termination.as_ref()).map(|end| end.cause.entry());
    Outcome::Refused {
        status: response.status().map_or(0, crate::sip::StatusCode::get),
        phrase: response.reason().into_owned(),
        code: entry.map(|entry| entry.code.to_owned()),
        remedy: entry.map(|entry| entry.remedy.to_owned()),
    }
}

fn route_taken(policy: &Policy, decisions: &[Step]) -> Option<Arc<Route>> {
    let taken = decisions.iter().find_map(|step| match step {
        Step::Route { route, failed: None, .. } => Some(*route),
        _ => None,
    });
    policy.routes.route(taken?).cloned()
}

fn passed_over(policy: &Policy, taken: &Route, story: &Story, message: &Message) -> Vec<Step> {
    let trunk = story.trunk.as_deref().and_then(|name| policy.trunks.by_name(name));
    let Some(trunk) = trunk else { return vec![] };
    let numbers = identity::decide(message, &trunk, &policy.config.numbers, &mut vec![]);
    let Ok(numbers) = numbers else { return vec![] };
    let query = Query {
        trunk: &trunk.config.name,
        caller: numbers.caller_key(),
        called: numbers.called_key(),
        request: message,
    };
    policy.routes.passed_over(taken, &query)
}

fn afterwards(route: &Route) -> Vec<String> {
    let mut then = vec![];
    let statuses = match &route.retry_on {
        RetryOn::Usual => "408, 430 or 5xx".to_owned(),
        RetryOn::These(these) => these.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
    };
    for target in route.targets.iter().skip(1) {
        then.push(format!("after {statuses}: target `{}` at {}", target.name, target.hop));
    }
    then.push(match &route.fallback {
        Some(Fallback::Trunk(to)) => format!("when no target takes it: {} at trunk `{}`", to.number, to.trunk),
        Some(Fallback::Status(status)) => {
            let words = status.reason.as_deref().unwrap_or_default();
            format!("when no target takes it: the caller is refused with {} {words}", status.status)
                .trim_end()
                .to_owned()
        }
        None => "when no target takes it: the caller is told what the last target said".to_owned(),
    });
    then
}

/// What a plan does, without what it hands on to the room and the bot: secrets may be among that.
fn shown(plan: &RoomPlan) -> serde_json::Value {
    let create = plan.create.clone().unwrap_or_default();
    let create = serde_json::json!({
        "name_prefix": create.name_prefix, "expires": create.expires, "geo": create.geo, "codecs": create.codecs
    });
    // A query of the URL may be a secret.
    let bot = plan.bot.as_ref().map(|bot| bot.url().split('?').next().unwrap_or_default().to_owned());
    serde_json::json!({
        "use": plan.use_room,
        "share": plan.share,
        "create": plan.use_room.is_none().then_some(create),
        "bot": bot,
        "ready_timeout": plan.ready_timeout,
        "on_failure": plan.on_failure,
    })
}

// === impl Supposition ===

impl Supposition {
    /// Supposes one condition more, if there is one that lets the story go on.
    fn goes_beyond(&mut self, story: &Story, trunk: Option<&str>) -> bool {
        if let Some(name) = trunk
            && self.trunk.is_none()
            && story.trunk.as_deref() != Some(name)
            && story.decisions.iter().any(|step| matches!(step, Step::Trunk { .. }))
        {
            self.trunk = Some(name.to_owned());
            self.words.push(format!("it came from trunk `{name}`"));
            return true;
        }
        let Outcome::Refused { status, code, .. } = &story.outcome else { return false };
        match (code.as_deref(), status) {
            (Some("bad_sdp" | "no_usable_media"), _) if !self.bodiless => {
                self.bodiless = true;
                self.words.push("it came without a session description".to_owned());
                true
            }
            (_, 401 | 407) if !self.proven => {
                self.proven = true;
                self.words.push("it had proved its password".to_owned());
                true
            }
            (_, 481) => self.drop(HeaderName::Replaces),
            (None, 420) => self.drop(HeaderName::Require),
            (None, 483) => self.drop(HeaderName::MaxForwards),
            _ => false,
        }
    }

    fn drop(&mut self, header: HeaderName) -> bool {
        if self.without.contains(&header) {
            return false;
        }
        self.without.push(header);
        self.words.push(format!("it came without {}", header.as_str()));
        true
    }

    fn config(&self, config: &Config) -> Config {
        let mut config = config.clone();
        if self.proven {
            config.trunks.iter_mut().for_each(|trunk| trunk.auth = None);
        }
        config
    }

    fn assume(&self, mut policy: Policy) -> Option<Policy> {
        if let Some(name) = &self.trunk {
            policy.trunks = std::mem::take(&mut policy.trunks).assuming(name)?;
        }
        Some(policy)
    }

    fn apply(&self, message: &Message) -> Message {
        if self.without.is_empty() && !self.bodiless {
            return message.clone();
        }
        let of_body = [HeaderName::ContentType, HeaderName::ContentLength, HeaderName::ContentDisposition];
        let mut bytes = BytesMut::new();
        let start = message.bytes().split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        bytes.extend_from_slice(start);
        for (spelling, name, value) in message.headers() {
            let left_out = self.without.contains(&name) || self.bodiless && of_body.contains(&name);
            if !left_out {
                for part in [spelling, b": ", value, b"\r\n"] {
                    bytes.extend_from_slice(part);
                }
            }
        }
        bytes.extend_from_slice(b"\r\n");
        if !self.bodiless {
            bytes.extend_from_slice(message.body());
        }
        Message::parse(bytes.freeze()).unwrap_or_else(|_| message.clone())
    }
}

// === impl Story ===

impl Story {
    /// Before anything happened.
    fn nothing() -> Self {
        Self {
            outcome: Outcome::Ignored,
            trunk: None,
            decisions: vec![],
            passed_over: vec![],
            room: vec![],
            plan: None,
            sent: None,
            response: None,
            header_limit: None,
            afterwards: vec![],
        }
    }
}
