//! The requests of one held call: what each stage asks for, and what follows when it fails. Apart from the machine's
//! moves, so that each fits on a few pages.

use super::{Choice, Effect, Errand, Held, Names, Spare, Stage, Timer};
use crate::config::room::{BotKind, Connect};
use crate::config::value::Secret;
use crate::error::Cause;
use crate::record::Lane;
use crate::room::Evidence;
use crate::room::daily::rest::{self, BotStart};
use crate::room::daily::webhook::DialIn;
use crate::room::request::{Failure, FailureKind, Operation, Request, Room, StartBot};
use crate::room::retry::{self, TRIES_AFTER_404, Verdict};
use std::sync::Arc;
use std::time::Instant;

// === impl Held ===

impl Held {
    pub(super) fn try_once(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let Some(request) = self.request(now) else { return };
        self.tries += 1;
        let detail = match (self.tries, request.detail()) {
            (1, detail) => detail,
            (tries, Some(detail)) => Some(format!("{detail}, try {tries}")),
            (tries, None) => Some(format!("try {tries}")),
        };
        self.happened(Lane::Trunkline, request.operation().lane(), request.line(), detail, out);
        out.push(Effect::Request(request));
    }

    fn request(&self, now: Instant) -> Option<Request> {
        let name = self.names.room.clone();
        match self.stage {
            Stage::Room if self.errand == Errand::Create => {
                let display_name = self.display_name().to_owned();
                Some(Request::CreateRoom { name, display_name, plan: Arc::clone(&self.plan) })
            }
            Stage::Room => Some(Request::FetchRoom { name }),
            Stage::Token => {
                let expires = self.plan.create.clone().unwrap_or_default().expires.get();
                Some(Request::CreateToken { room: name, expires })
            }
            Stage::Bot => self.bot_start(now),
            // The bot's affair: we only watch, or there would be two updates.
            Stage::Update if self.plan.connect == Connect::Bot => None,
            Stage::Update => {
                let dial_in = self.dial_in.as_ref()?;
                let endpoint = self.endpoint()?;
                // A room of the call's own was created with the caller's name; any other is told it here.
                let sip_uri =
                    if self.is_own_room() { endpoint } else { rest::with_display_name(&endpoint, self.display_name()) };
                Some(Request::Update {
                    call_id: dial_in.call_id.clone(),
                    call_domain: dial_in.call_domain.clone(),
                    sip_uri,
                })
            }
            Stage::Webhook | Stage::Ready | Stage::Connected | Stage::Over => None,
        }
    }

    fn display_name(&self) -> &str {
        let shown = self.facts.caller_name.as_deref().filter(|shown| !shown.trim().is_empty());
        shown.unwrap_or(&self.facts.caller)
    }

    fn bot_start(&self, now: Instant) -> Option<Request> {
        let bot = self.plan.bot.as_ref()?;
        let base = format!("{}/rooms/{}", self.settings.public_url, rest::path_segment(&self.names.room));
        let (ready_url, connected_url) = (format!("{base}/ready"), format!("{base}/connected"));
        let empty = DialIn::default();
        let body = BotStart {
            facts: &self.facts,
            // None only while the call moves to another target; the bot learns the numbers from `caller`, `called`.
            dial_in: self.dial_in.as_ref().unwrap_or(&empty),
            room: &self.room,
            token: self.token.as_ref().map(Secret::expose).unwrap_or_default(),
            ready_url: &ready_url,
            connected_url: (self.plan.connect == Connect::Bot).then_some(connected_url.as_str()),
            ready_token: self.names.ready_token.expose(),
            traceparent: &self.names.traceparent,
            extra: &bot.body,
        }
        .body();
        let body = if bot.kind == BotKind::PipecatCloud { rest::pipecat_cloud(body) } else { body };
        Some(Request::StartBot(Box::new(StartBot {
            url: bot.url(),
            bearer: bot.token.clone(),
            body,
            timeout: self.deadline.saturating_duration_since(now),
            call: self.facts.call_id.clone(),
            plans_before: self.plans_before,
            traceparent: self.names.traceparent.clone(),
        })))
    }

    pub(super) fn failed_try(&mut self, now: Instant, failure: Failure, out: &mut Vec<Effect>) {
        let Some(operation) = self.stage.operation() else { return };
        let name_taken = operation == Operation::Room && matches!(failure.kind, FailureKind::Refused(400 | 409));
        if name_taken && self.in_doubt && self.errand == Errand::Create {
            self.errand = Errand::LookUp;
            return self.try_once(now, out);
        }
        if operation == Operation::Bot && self.spare == Spare::Another && is_at_capacity(failure.kind) {
            self.decide("bot", format!("{}: at capacity, so the next plan is tried", failure.text), out);
            self.last_failure = Some(failure.text);
            out.push(Effect::BotStart("at_capacity"));
            return out.push(Effect::NextPlan);
        }
        match retry::judge(operation, failure.kind) {
            Verdict::Retry => self.try_later(now, failure, out),
            Verdict::RetryInDoubt => {
                self.in_doubt = true;
                self.try_later(now, failure, out);
            }
            Verdict::RetryBriefly if self.tries < TRIES_AFTER_404 => self.try_later(now, failure, out),
            Verdict::Doubt if self.settings.evidence == Evidence::Events && self.is_own_room() => {
                let outcome = format!("{}: it may have worked, so dialin.connected is waited for", failure.text);
                self.decide("update", outcome, out);
                self.last_failure = Some(failure.text);
            }
            Verdict::Doubt => {
                let detail = format!("{}; it may have worked, so it was not repeated", failure.text);
                self.fail(now, Cause::UpdateFailed, detail, out);
            }
            Verdict::RetryBriefly | Verdict::Fail => self.fail(now, self.stage.cause(), failure.text, out),
        }
    }

    fn try_later(&mut self, now: Instant, failure: Failure, out: &mut Vec<Effect>) {
        let at = now + retry::wait(self.tries, &failure, &mut self.entropy);
        if at >= self.deadline {
            // The caller's time is better spent on the fallback than on waiting for a try that cannot come.
            let detail = format!("{}; no time for another try", failure.text);
            return self.fail(now, self.stage.cause(), detail, out);
        }
        self.last_failure = Some(failure.text);
        out.push(Effect::Arm(Timer::Retry, at));
    }

    /// Another plan takes over: a room of its own, and a bot of its own. What Daily said of the call stays.
    pub fn replan(&mut self, now: Instant, choice: Choice, names: Names, out: &mut Vec<Effect>) {
        let traceparent = std::mem::take(&mut self.names.traceparent);
        self.names = Names { traceparent, ..names };
        self.errand = Errand::of(&choice.plan);
        (self.plan, self.spare) = (choice.plan, choice.spare);
        (self.room, self.token, self.ready, self.lease) = (Room::default(), None, None, None);
        self.plans_before += 1;
        self.name_the_call(out);
        self.enter(now, Stage::Room, out);
    }

    /// There was to be another plan, and now there is none.
    pub fn is_without_plan(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let detail = self.last_failure.clone().unwrap_or_default();
        self.fail(now, self.stage.cause(), detail, out);
    }
}

/// Pipecat Cloud says 429 when all its sessions are taken, and others say 503; nothing was started.
fn is_at_capacity(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::Refused(429 | 503))
}
