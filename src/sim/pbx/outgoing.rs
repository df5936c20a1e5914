//! A call that the simulated PBX places, from INVITE to the last answered BYE.

use super::dialect::Dress;
use super::{CallOutcome, CallPlan, HangUp, Shared};
use crate::clock;
use crate::record::Lane;
use crate::sim::audio::Voice;
use crate::sim::description::{FarSide, Flow, Offer};
use crate::sim::leg::{Ends, Faults, Leg, LegEvent};
use crate::sim::observation::{Observation, locked};
use crate::sim::rtp::{Phone, Talk};
use crate::sim::task::until;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

/// The call's own state.
struct Placed {
    shared: Arc<Shared>,
    plan: CallPlan,
    leg: Leg,
    phone: Phone,
    offer: Offer,
    began: Instant,
    answered: Option<Instant>,
    cancel: Option<Instant>,
    bye: Option<Instant>,
    hold: Option<Instant>,
    resume: Option<Instant>,
    over: bool,
    /// Whether the hold music was heard.
    music: bool,
    outcome: CallOutcome,
}

pub(super) async fn place(shared: Arc<Shared>, plan: CallPlan) -> io::Result<CallOutcome> {
    let mut entropy = locked(&shared.entropy).fork();
    let phone = Phone::open(shared.line.address().ip(), &mut entropy).await?;
    let address = shared.line.address();
    let dress = Dress::of(&plan, address);
    let call_id = format!("{}@pbx.example.com", entropy.hex(20));
    let user = plan.request_user.as_ref().unwrap_or(&plan.called);
    let ends = Ends {
        call_id: call_id.clone(),
        local: dress.from.clone(),
        remote: dress.to.clone(),
        request_uri: format!("sip:{user}@{};user=phone", plan.hop),
        contact_user: "pbx".to_owned(),
        address,
        hop: plan.hop,
        extra: dress.headers,
        vias: dress.vias,
        record_routes: dress.record_routes,
        timing: shared.options.timing,
    };
    let (listens, session) = (phone.address(), entropy.next_u64() >> 16);
    let offer = Offer { address: listens, laws: plan.laws.clone(), session, version: 1, flow: Flow::Both };
    let body = if plan.faults.late_offer { vec![] } else { offer.write().map_err(io::Error::other)? };
    let began = clock::now();
    let mut inbox = shared.line.subscribe(&call_id);
    let mut leg = Leg::call(began, ends, &body, shared.violations.clone(), entropy);
    leg.misbehave(Faults { deaf_to_bye: plan.faults.ignore_bye, ..Faults::default() });
    let outcome = CallOutcome {
        call_id,
        caller: plan.caller.clone(),
        called: plan.called.clone(),
        from: dress.from,
        to: dress.to,
        ..CallOutcome::default()
    };
    let cancel = plan.cancel_after.map(|after| began + after);
    let mut call = Placed {
        shared,
        leg,
        phone,
        offer,
        began,
        answered: None,
        cancel,
        bye: Some(began + plan.patience),
        hold: None,
        resume: None,
        over: false,
        music: false,
        outcome,
        plan,
    };
    call.run(&mut inbox).await;
    Ok(call.finish())
}

// === impl Placed ===

impl Placed {
    async fn run(&mut self, inbox: &mut crate::sim::line::Inbox) {
        let detail = format!("to {} caller {}", self.plan.called, self.plan.caller);
        let line = self.shared.line.clone();
        let mut heard = self.phone.listen();
        let told = self.plan.hang_up_on.clone();
        line.flush(&mut self.leg, &detail).await;
        while !self.over || (self.leg.is_busy() && !self.plan.faults.vanish) {
            let own = [self.cancel, self.bye, self.hold, self.resume];
            let deadline = own.into_iter().flatten().chain(self.leg.deadline()).min();
            tokio::select! {
                message = inbox.next() => {
                    let Some(message) = message else { return };
                    let now = clock::now();
                    for event in self.leg.receive(now, &message) {
                        self.react(now, event);
                    }
                }
                changed = heard.changed(), if self.answered.is_some() && !self.over => {
                    if changed.is_err() { return }
                    self.listen(clock::now());
                }
                () = notified(told.as_deref()), if !self.over => self.stop(clock::now()),
                () = until(deadline) => {
                    let now = clock::now();
                    for event in self.leg.expire(now) {
                        self.react(now, event);
                    }
                    self.expire(now);
                }
            }
            line.flush(&mut self.leg, &detail).await;
        }
    }

    fn listen(&mut self, now: Instant) {
        let heard = self.phone.heard();
        if heard.hold_music > 0 && !self.music {
            self.music = true;
            self.tell("RTP hold music");
        }
        if heard.bot > 0 && self.outcome.bot_ms.is_none() {
            self.outcome.bot_ms = Some(since(self.began, now));
            self.tell("RTP bot");
        }
        let enough = match self.plan.hang_up {
            HangUp::AfterBot(packets) => heard.bot >= packets,
            HangUp::AfterHuman(packets) => heard.human >= packets,
            HangUp::After(_) | HangUp::Never => false,
        };
        if enough {
            self.hang_up(now);
        }
    }

    fn expire(&mut self, now: Instant) {
        if taken(&mut self.cancel, now) && self.answered.is_none() {
            self.outcome.ended_by = "cancel";
            self.leg.cancel(now);
        }
        if taken(&mut self.hold, now) {
            self.offer_again(now, Flow::Send);
        }
        if taken(&mut self.resume, now) {
            self.offer_again(now, Flow::Both);
        }
        if taken(&mut self.bye, now) {
            self.stop(now);
        }
    }

    /// The caller has enough: BYE, or CANCEL while nobody answered.
    fn stop(&mut self, now: Instant) {
        if self.answered.is_some() {
            self.hang_up(now);
        } else if !self.over {
            self.outcome.ended_by = "cancel";
            self.leg.cancel(now);
        }
    }

    fn offer_again(&mut self, now: Instant, flow: Flow) {
        self.offer.version += 1;
        self.offer.flow = flow;
        match self.offer.write() {
            Ok(body) => self.leg.reinvite(now, &body),
            Err(problem) => self.complain(&problem),
        }
    }

    fn hang_up(&mut self, now: Instant) {
        if self.over {
            return;
        }
        if !self.plan.faults.vanish {
            self.leg.bye(now, None);
        }
        self.end("caller", now);
    }

    fn react(&mut self, now: Instant, event: LegEvent) {
        match event {
            LegEvent::Provisional(status) => {
                if status >= 180 {
                    self.outcome.ringing_ms.get_or_insert(since(self.began, now));
                }
            }
            LegEvent::Answered(body) => self.answered(now, &body),
            LegEvent::Refused { status, phrase, reason } => self.refused(now, status, phrase, reason),
            LegEvent::Offered(body) => self.far_offer(now, &body),
            LegEvent::HungUp { reason } => {
                self.outcome.reason = reason;
                self.end("far", now);
            }
            LegEvent::Silent(method) => {
                self.complain(&format!("no answer to {method}"));
                self.end("silence", now);
            }
            LegEvent::Unacknowledged => self.complain("no ACK to the answer of a re-INVITE"),
            LegEvent::Acknowledged(_) | LegEvent::Cancelled | LegEvent::Done(..) => {}
        }
    }

    /// A failed re-INVITE leaves the call as it was (RFC 3261 §14.1).
    fn refused(&mut self, now: Instant, status: u16, phrase: String, reason: Option<String>) {
        if self.answered.is_some() {
            return self.complain(&format!("re-INVITE was answered with {status} {phrase}"));
        }
        self.outcome.status = Some(status);
        self.outcome.phrase = Some(phrase);
        self.outcome.reason = reason;
        self.end(if self.outcome.ended_by.is_empty() { "refused" } else { self.outcome.ended_by }, now);
    }

    fn answered(&mut self, now: Instant, body: &[u8]) {
        let first = self.answered.is_none();
        let answer = self.negotiate(body, first);
        if !self.plan.faults.no_ack {
            self.leg.acknowledge(&answer.unwrap_or_default());
        }
        if !first {
            return;
        }
        self.answered = Some(now);
        self.outcome.status = Some(200);
        self.outcome.answered_ms = Some(since(self.began, now));
        if self.outcome.ended_by == "cancel" {
            // The answer crossed our CANCEL (RFC 3261 §9.1): the call is up and has to be ended.
            self.leg.bye(now, None);
            return self.end("cancel", now);
        }
        if let HangUp::After(after) = self.plan.hang_up {
            self.bye = Some(now + after);
        }
        if let Some(hold) = self.plan.hold {
            self.hold = Some(now + hold.after);
            self.resume = Some(now + hold.after + hold.lasts);
        }
    }

    /// Reads the far side's description; the body of the ACK if it was an offer.
    fn negotiate(&mut self, body: &[u8], first: bool) -> Option<Vec<u8>> {
        let far = FarSide::read(body).map_err(|problem| self.complain(&problem)).ok()?;
        if first && self.plan.faults.late_offer {
            return self.take(&far);
        }
        let Some(agreed) = self.offer.agree(&far) else {
            self.complain(&format!("the answer shares no codec with our offer: {:?}", far.laws));
            return None;
        };
        self.talk(&far, agreed);
        None
    }

    fn take(&mut self, far: &FarSide) -> Option<Vec<u8>> {
        self.offer.flow = far.flow.reversed();
        match self.offer.answer(far) {
            Ok((body, agreed)) => {
                self.talk(far, agreed);
                Some(body)
            }
            Err(problem) => {
                self.complain(&problem);
                None
            }
        }
    }

    fn far_offer(&mut self, now: Instant, body: &[u8]) {
        self.offer.version += 1;
        let answer = if body.is_empty() {
            self.offer.write().ok()
        } else {
            FarSide::read(body).map_err(|problem| self.complain(&problem)).ok().and_then(|far| self.take(&far))
        };
        match answer {
            Some(answer) => self.leg.respond(now, 200, &answer),
            None => self.leg.respond(now, 488, &[]),
        }
    }

    fn talk(&self, far: &FarSide, (payload_type, law): (u8, crate::sim::audio::Law)) {
        let speaks = far.flow.hears() && !self.plan.faults.no_rtp && self.offer.flow != Flow::None;
        let voice = speaks.then_some(Voice::Caller);
        self.phone.talk(Some(Talk { to: far.address, payload_type, law, voice }));
    }

    fn tell(&self, what: &str) {
        let seen = Observation::new(&self.outcome.call_id, Lane::Trunkline, Lane::Pbx, what);
        self.shared.options.observer.saw(seen);
    }

    fn complain(&self, what: &str) {
        self.shared.violations.add(format!("call {}: {what}", self.outcome.call_id));
    }

    fn end(&mut self, by: &'static str, now: Instant) {
        if self.over {
            return;
        }
        self.over = true;
        (self.cancel, self.bye, self.hold, self.resume) = (None, None, None, None);
        self.outcome.ended_by = by;
        self.outcome.duration_ms = since(self.began, now);
        self.outcome.heard = self.phone.heard();
        self.phone.talk(None);
    }

    fn finish(mut self) -> CallOutcome {
        if !self.over {
            self.end("silence", clock::now());
        }
        self.outcome
    }
}

/// Waits for the order to hang up; for ever if nobody can give it.
async fn notified(order: Option<&Notify>) {
    match order {
        Some(order) => order.notified().await,
        None => std::future::pending().await,
    }
}

fn since(began: Instant, now: Instant) -> u64 {
    now.saturating_duration_since(began).as_millis() as u64
}

fn taken(slot: &mut Option<Instant>, now: Instant) -> bool {
    let due = slot.is_some_and(|at| at <= now);
    if due {
        *slot = None;
    }
    due
}
