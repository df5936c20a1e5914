//! A call to one of the simulated PBX's own numbers: rings, is answered by a person who speaks, and ends.

use super::{AnswerPlan, Shared, TakenCall};
use crate::clock;
use crate::sim::audio::Law;
use crate::sim::description::{FarSide, Flow, Offer};
use crate::sim::leg::{Ends, Leg, LegEvent};
use crate::sim::line::Inbox;
use crate::sim::message::{Incoming, user};
use crate::sim::observation::locked;
use crate::sim::rtp::{Heard, Phone, Talk};
use crate::sim::task::until;
use std::sync::Arc;
use std::time::Instant;

/// The call's own state.
struct Taken {
    shared: Arc<Shared>,
    plan: AnswerPlan,
    call_id: String,
    leg: Leg,
    phone: Phone,
    offer: Offer,
    offered: Vec<u8>,
    answer: Option<Instant>,
    bye: Option<Instant>,
    over: bool,
}

pub(super) async fn serve(shared: Arc<Shared>, invite: Incoming, mut inbox: Inbox) {
    let mut entropy = locked(&shared.entropy).fork();
    let phone = match Phone::open(shared.line.address().ip(), &mut entropy).await {
        Ok(phone) => phone,
        Err(error) => return shared.violations.add(format!("no media port for a simulated call: {error}")),
    };
    let address = shared.line.address();
    let ends = Ends {
        call_id: invite.call_id.clone(),
        local: String::new(),
        remote: String::new(),
        request_uri: String::new(),
        contact_user: "pbx".to_owned(),
        address,
        hop: invite.source,
        extra: vec![],
        vias: vec![],
        record_routes: vec![],
        timing: shared.options.timing,
    };
    let taken = TakenCall {
        call_id: invite.call_id.clone(),
        called: invite.request_uri().and_then(user).unwrap_or_default(),
        from: invite.from.value.clone(),
        asserted: invite.header("P-Asserted-Identity").map(str::to_owned),
        status: None,
        heard: Heard::default(),
        ended_by: None,
        reason: None,
    };
    shared.taken.send_modify(|all| all.push(taken));
    let plan = shared.options.answer.clone();
    let now = clock::now();
    let offer = Offer {
        address: phone.address(),
        laws: vec![Law::Mu, Law::A],
        session: entropy.next_u64() >> 16,
        version: 1,
        flow: Flow::Both,
    };
    let mut call = Taken {
        leg: Leg::called(ends, &invite, shared.violations.clone(), entropy),
        answer: plan.status.map(|_| now + plan.ring),
        call_id: invite.call_id,
        offered: invite.body,
        shared,
        plan,
        phone,
        offer,
        bye: None,
        over: false,
    };
    call.leg.respond(now, 100, &[]);
    call.leg.respond(now, 180, &[]);
    call.run(&mut inbox).await;
}

// === impl Taken ===

impl Taken {
    async fn run(&mut self, inbox: &mut Inbox) {
        let line = self.shared.line.clone();
        let mut heard = self.phone.listen();
        line.flush(&mut self.leg, "").await;
        while !self.over || self.leg.is_busy() {
            let deadline = [self.answer, self.bye, self.leg.deadline()].into_iter().flatten().min();
            tokio::select! {
                message = inbox.next() => {
                    let Some(message) = message else { return };
                    let now = clock::now();
                    for event in self.leg.receive(now, &message) {
                        self.react(now, event);
                    }
                }
                changed = heard.changed(), if !self.over => {
                    if changed.is_err() { return }
                    let heard = *heard.borrow();
                    self.note(|call| call.heard = heard);
                }
                () = until(deadline) => {
                    let now = clock::now();
                    for event in self.leg.expire(now) {
                        self.react(now, event);
                    }
                    self.expire(now);
                }
            }
            line.flush(&mut self.leg, "").await;
        }
    }

    fn expire(&mut self, now: Instant) {
        if self.answer.is_some_and(|at| at <= now) {
            self.answer = None;
            let status = self.plan.status.unwrap_or(200);
            if (200..300).contains(&status) {
                self.accept(now);
                self.bye = self.plan.hang_up_after.map(|after| now + after);
            } else {
                self.leg.respond(now, status, &[]);
                self.end("pbx");
            }
            self.note(|call| call.status = Some(status));
        }
        if self.bye.is_some_and(|at| at <= now) {
            self.bye = None;
            self.leg.bye(now, None);
            self.end("pbx");
        }
    }

    /// Answers the offer at hand, the first or a later one.
    fn accept(&mut self, now: Instant) {
        let answer = if self.offered.is_empty() { self.offer.write() } else { self.answer_to_offer() };
        self.offer.version += 1;
        match answer {
            Ok(body) => self.leg.respond(now, 200, &body),
            Err(problem) => {
                self.shared.violations.add(format!("call {}: {problem}", self.call_id));
                self.leg.respond(now, 488, &[]);
            }
        }
    }

    fn answer_to_offer(&mut self) -> Result<Vec<u8>, String> {
        let far = FarSide::read(&self.offered)?;
        self.offer.flow = far.flow.reversed();
        let (body, agreed) = self.offer.answer(&far)?;
        self.talk(&far, agreed);
        Ok(body)
    }

    fn talk(&self, far: &FarSide, (payload_type, law): (u8, Law)) {
        let voice = far.flow.hears().then_some(self.plan.voice);
        self.phone.talk(Some(Talk { to: far.address, payload_type, law, voice }));
    }

    fn react(&mut self, now: Instant, event: LegEvent) {
        match event {
            LegEvent::Offered(body) => {
                self.offered = body;
                self.accept(now);
            }
            LegEvent::Acknowledged(body) if self.offered.is_empty() => {
                let far = FarSide::read(&body);
                match far.map(|far| (self.offer.agree(&far), far)) {
                    Ok((Some(agreed), far)) => self.talk(&far, agreed),
                    Ok((None, _)) => self.complain("the answer in the ACK shares no codec with our offer"),
                    Err(problem) => self.complain(&problem),
                }
            }
            LegEvent::Cancelled => {
                self.note(|call| call.status = Some(487));
                self.end("far");
            }
            LegEvent::HungUp { reason } => {
                self.note(|call| call.reason = reason);
                self.end("far");
            }
            LegEvent::Unacknowledged => {
                self.complain("no ACK");
                self.leg.bye(now, None);
                self.end("pbx");
            }
            LegEvent::Silent(method) => self.complain(&format!("no answer to {method}")),
            _ => {}
        }
    }

    fn complain(&self, what: &str) {
        self.shared.violations.add(format!("call {}: {what}", self.call_id));
    }

    fn note(&self, change: impl FnOnce(&mut TakenCall)) {
        self.shared.taken.send_modify(|taken| {
            if let Some(call) = taken.iter_mut().find(|call| call.call_id == self.call_id) {
                change(call);
            }
        });
    }

    fn end(&mut self, by: &'static str) {
        self.over = true;
        self.answer = None;
        self.bye = None;
        self.phone.talk(None);
        let heard = self.phone.heard();
        self.note(|call| {
            call.heard = heard;
            call.ended_by.get_or_insert(by);
        });
    }
}
