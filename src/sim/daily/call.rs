//! One call at a simulated Daily, from INVITE to BYE: answered, held with music, announced, connected, ended.

use super::rooms::Order;
use super::{DailyCall, Misbehaviour, Shared, Stage, WebhookFault, webhook};
use crate::clock;
use crate::sim::audio::{Law, Voice};
use crate::sim::description::{FarSide, Flow, Offer};
use crate::sim::leg::{Ends, Faults, Leg, LegEvent};
use crate::sim::line::Inbox;
use crate::sim::message::{Incoming, user};
use crate::sim::observation::locked;
use crate::sim::rtp::{Heard, Phone, Talk};
use crate::sim::task::until;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The call's own state.
struct Call {
    shared: Arc<Shared>,
    call_id: String,
    leg: Leg,
    phone: Phone,
    offer: Offer,
    talk: Option<Talk>,
    voice: Voice,
    wrong: Misbehaviour,
    due: Due,
    hung_up: bool,
}

/// What waits for its time.
#[derive(Default)]
struct Due {
    answer: Option<Instant>,
    webhook: Option<Instant>,
    bye: Option<Instant>,
    hold_ends: Option<Instant>,
}

/// Serves an INVITE until its dialog is over.
pub(super) async fn serve(shared: Arc<Shared>, invite: Incoming, mut inbox: Inbox) {
    let mut entropy = locked(&shared.state).entropy.fork();
    let wrong = locked(&shared.state).next_misbehaviour();
    if wrong.dead {
        // Its repetitions come here too and find the same silence.
        record(&shared, &invite, &wrong);
        while inbox.next().await.is_some() {}
        return;
    }
    let phone = match Phone::open(shared.line.address().ip(), &mut entropy).await {
        Ok(phone) => phone,
        Err(error) => return shared.violation(format!("no media port for a simulated call: {error}")),
    };
    let leg = Leg::called(ends(&shared, &invite), &invite, shared.violations.clone(), entropy.fork());
    let (call_id, orders) = record(&shared, &invite, &wrong);
    locked(&shared.state).listen(&call_id, phone.listen());
    let call = Call {
        offer: Offer {
            address: phone.address(),
            laws: vec![Law::Mu, Law::A],
            session: entropy.next_u64() >> 16,
            version: 1,
            flow: Flow::Both,
        },
        shared,
        call_id,
        leg,
        phone,
        talk: None,
        voice: Voice::HoldMusic,
        wrong,
        due: Due::default(),
        hung_up: false,
    };
    call.run(inbox, orders, &invite).await;
}

fn ends(shared: &Shared, invite: &Incoming) -> Ends {
    let address = shared.line.address();
    Ends {
        call_id: invite.call_id.clone(),
        local: String::new(),
        remote: String::new(),
        request_uri: String::new(),
        contact_user: "interconnect".to_owned(),
        address,
        hop: invite.source,
        extra: vec![],
        vias: vec![],
        // Daily's interconnect stands behind proxies.
        record_routes: vec![format!("sip:{address};lr;edge=1"), format!("sip:{address};lr;edge=2")],
        timing: shared.options.timing,
    }
}

fn record(shared: &Shared, invite: &Incoming, wrong: &Misbehaviour) -> (String, mpsc::UnboundedReceiver<Order>) {
    let mut state = locked(&shared.state);
    let call_id = state.uuid();
    let call = DailyCall {
        call_id: call_id.clone(),
        call_domain: state.uuid(),
        sip_call_id: invite.call_id.clone(),
        from: invite.from.uri.clone(),
        to: shared.static_uri(),
        sip_headers: invite.extension_headers().map(|(name, value)| (name.to_owned(), value.into())).collect(),
        webhook_answers: vec![],
        stage: Stage::Answered,
        status: None,
        room: None,
        updates: 0,
        ended_by: None,
        reason: None,
        heard: Heard::default(),
        heard_in_room: 0,
    };
    let orders = state.add_call(call, wrong.refuse_update);
    (call_id, orders)
}

// === impl Call ===

impl Call {
    async fn run(mut self, mut inbox: Inbox, mut orders: mpsc::UnboundedReceiver<Order>, invite: &Incoming) {
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut far_offer = invite.body.clone();
        self.leg.misbehave(Faults {
            lose_first: self.wrong.lose_first,
            reorder: self.wrong.reorder,
            deaf_to_bye: self.wrong.ignore_bye,
        });
        self.begin(clock::now(), invite);
        self.shared.line.flush(&mut self.leg, "").await;
        loop {
            let deadline = [self.leg.deadline(), self.due.next()].into_iter().flatten().min();
            tokio::select! {
                message = inbox.next() => {
                    let Some(message) = message else { return };
                    let now = clock::now();
                    for event in self.leg.receive(now, &message) {
                        if let LegEvent::Offered(body) = &event {
                            far_offer.clone_from(body);
                        }
                        self.react(now, event, &far_offer);
                    }
                }
                Some(order) = orders.recv() => self.obey(clock::now(), order),
                Some(answers) = told.recv() => self.announced(clock::now(), answers),
                () = until(deadline) => {
                    let now = clock::now();
                    for event in self.leg.expire(now) {
                        self.react(now, event, &far_offer);
                    }
                    self.expire(now, &far_offer, &tell);
                }
            }
            self.shared.line.flush(&mut self.leg, "").await;
            if self.hung_up && !self.leg.is_busy() {
                return;
            }
        }
    }

    fn begin(&mut self, now: Instant, invite: &Incoming) {
        self.leg.respond(now, 100, &[]);
        let called = invite.request_uri().and_then(user);
        if called.as_deref() != Some(self.shared.options.user.as_str()) {
            return self.refuse(now, 404);
        }
        if let Some(status) = self.wrong.reject {
            return self.refuse(now, status);
        }
        if self.wrong.ring_only || self.wrong.reorder || self.wrong.answer_delay_ms > 0 {
            self.leg.respond(now, 180, &[]);
        }
        if !self.wrong.ring_only {
            self.due.answer = Some(now + Duration::from_millis(self.wrong.answer_delay_ms));
        }
    }

    fn refuse(&mut self, now: Instant, status: u16) {
        self.leg.respond(now, status, &[]);
        self.ended("daily", Some(status));
    }

    fn expire(&mut self, now: Instant, far_offer: &[u8], tell: &mpsc::UnboundedSender<Vec<u16>>) {
        if take_due(&mut self.due.answer, now) {
            self.answer(now, far_offer);
        }
        if take_due(&mut self.due.webhook, now) {
            self.announce(tell.clone());
        }
        if take_due(&mut self.due.bye, now) {
            self.hang_up(now, None);
        }
        if take_due(&mut self.due.hold_ends, now) {
            self.hang_up(now, Some("SIP;cause=480;text=\"hold limit\""));
        }
    }

    /// Answers the INVITE (first or later) with what it offered, or with an offer of our own if it offered nothing.
    fn answer(&mut self, now: Instant, far_offer: &[u8]) {
        let body = if far_offer.is_empty() { self.offer.write() } else { self.answer_to(far_offer) };
        match body {
            Ok(body) => self.leg.respond(now, 200, &body),
            Err(problem) => {
                self.shared.violation(format!("call {}: {problem}", self.leg.call_id()));
                return self.refuse(now, 488);
            }
        }
        let first = self.due.hold_ends.is_none() && self.voice == Voice::HoldMusic;
        if first {
            self.due.hold_ends = Some(now + self.shared.options.hold_limit);
            self.due.webhook = Some(now + Duration::from_millis(self.wrong.webhook_delay_ms));
            self.note(|call| call.status = Some(200));
            self.bye_if_at(now, Stage::Answered);
        }
        self.speak();
    }

    fn answer_to(&mut self, far_offer: &[u8]) -> Result<Vec<u8>, String> {
        let far = FarSide::read(far_offer)?;
        self.offer.flow = far.flow.reversed();
        let (body, chosen) = self.offer.answer(&far)?;
        self.offer.version += 1;
        self.agreed(&far, chosen);
        Ok(body)
    }

    fn agreed(&mut self, far: &FarSide, (payload_type, law): (u8, Law)) {
        let voice = (far.flow.hears() && !self.wrong.no_rtp).then_some(self.voice);
        self.talk = Some(Talk { to: far.address, payload_type, law, voice });
    }

    fn speak(&self) {
        self.phone.talk(self.talk);
    }

    fn announce(&mut self, tell: mpsc::UnboundedSender<Vec<u16>>) {
        let call = locked(&self.shared.state).calls().into_iter().find(|call| call.call_id == self.call_id);
        let (Some(call), shared, fault) = (call, Arc::clone(&self.shared), self.wrong.webhook) else { return };
        if fault == WebhookFault::Missing {
            return self.announced(clock::now(), vec![]);
        }
        self.shared.in_background(async move {
            let answers = webhook::announce(&shared, &call, fault).await;
            let _ = tell.send(answers);
        });
    }

    fn announced(&mut self, now: Instant, answers: Vec<u16>) {
        self.note(|call| {
            call.webhook_answers = answers;
            call.stage = call.stage.max(Stage::Held);
        });
        self.bye_if_at(now, Stage::Held);
    }

    fn obey(&mut self, now: Instant, order: Order) {
        match order {
            Order::Bridge(_) => {
                self.due.hold_ends = None;
                self.voice = Voice::Bot;
                if let Some(talk) = &mut self.talk {
                    talk.voice = talk.voice.map(|_| Voice::Bot);
                }
                self.speak();
                self.bye_if_at(now, Stage::Bridged);
            }
            Order::Drop(why) => self.hang_up(now, Some(&format!("SIP;cause=480;text=\"{why}\""))),
            Order::RoomOver => self.hang_up(now, Some("Q.850;cause=16;text=\"room is over\"")),
        }
    }

    fn bye_if_at(&mut self, now: Instant, stage: Stage) {
        if self.wrong.bye_at == Some(stage) {
            self.due.bye = Some(now + Duration::from_millis(self.wrong.bye_delay_ms));
        }
    }

    fn hang_up(&mut self, now: Instant, reason: Option<&str>) {
        if !self.hung_up {
            self.leg.bye(now, reason);
            self.ended("daily", None);
        }
    }

    fn react(&mut self, now: Instant, event: LegEvent, far_offer: &[u8]) {
        match event {
            LegEvent::Offered(_) => self.answer(now, far_offer),
            LegEvent::Acknowledged(body) => {
                if far_offer.is_empty() {
                    self.late_answer(&body);
                }
            }
            LegEvent::Cancelled => self.ended("far", Some(487)),
            LegEvent::HungUp { reason } => {
                self.note(|call| call.reason = reason);
                self.ended("far", None);
            }
            LegEvent::Unacknowledged => {
                self.shared.violation(format!("call {}: no ACK", self.leg.call_id()));
                self.hang_up(now, None);
            }
            LegEvent::Silent(method) => {
                self.shared.violation(format!("call {}: no answer to {method}", self.leg.call_id()));
            }
            LegEvent::Provisional(_) | LegEvent::Answered(_) | LegEvent::Refused { .. } | LegEvent::Done(..) => {}
        }
    }

    /// The ACK of an INVITE without offer carries the answer to ours.
    fn late_answer(&mut self, body: &[u8]) {
        match FarSide::read(body).and_then(|far| {
            self.offer.agree(&far).ok_or_else(|| "no codec in common".to_owned()).map(|chosen| (far, chosen))
        }) {
            Ok((far, chosen)) => {
                self.agreed(&far, chosen);
                self.speak();
            }
            Err(problem) => self.shared.violation(format!("call {}: ACK: {problem}", self.leg.call_id())),
        }
    }

    fn ended(&mut self, by: &'static str, status: Option<u16>) {
        self.hung_up = true;
        self.due = Due::default();
        self.phone.talk(None);
        self.note(|call| {
            call.stage = Stage::Ended;
            call.ended_by.get_or_insert(by);
            call.status = status.or(call.status);
        });
    }

    fn note(&self, change: impl FnOnce(&mut DailyCall)) {
        locked(&self.shared.state).note(&self.call_id, change);
    }
}

// === impl Due ===

impl Due {
    fn next(&self) -> Option<Instant> {
        [self.answer, self.webhook, self.bye, self.hold_ends].into_iter().flatten().min()
    }
}

fn take_due(slot: &mut Option<Instant>, now: Instant) -> bool {
    let due = slot.is_some_and(|at| at <= now);
    if due {
        *slot = None;
    }
    due
}
