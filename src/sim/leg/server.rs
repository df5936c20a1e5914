//! The answering half of a leg: INVITE, ACK, CANCEL, BYE and the rest as server (RFC 3261 §13.3, §17.2).

use super::resend::{Due, Resend};
use super::{Ends, Leg, LegEvent, REMEMBERED};
use crate::clock::Entropy;
use crate::sim::message::{self, Datagram, Incoming, other, phrase};
use crate::sim::observation::Violations;
use rsip::{Header, Method};
use std::time::Instant;

/// Their INVITE.
#[derive(Debug)]
pub(super) struct Answering {
    request: Incoming,
    /// The last response, repeated for every repeated INVITE.
    last: Option<Datagram>,
    /// The final response, repeated until the ACK.
    resend: Option<Resend>,
    status: Option<u16>,
    /// Provisional responses that wait for the final one.
    held_back: Vec<Datagram>,
}

// === impl Answering ===

impl Answering {
    fn new(request: &Incoming) -> Self {
        Self { request: request.clone(), last: None, resend: None, status: None, held_back: vec![] }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.resend.as_ref().and_then(Resend::deadline)
    }
}

// === impl Leg ===

impl Leg {
    /// Is called: `respond` is due.
    #[must_use]
    pub fn called(ends: Ends, invite: &Incoming, violations: Violations, entropy: Entropy) -> Self {
        let mut leg = Self::new(ends, violations, entropy);
        leg.remote_tag.clone_from(&invite.from.tag);
        leg.remote = without_tag(&invite.from.value);
        leg.ends.local.clone_from(&invite.to.value);
        leg.far_cseq = Some(invite.cseq);
        leg.routes = invite.routes("Record-Route");
        // §12.1.2: who calls turns the record-routes of the answer round.
        leg.expected_routes = leg.ends.record_routes.iter().rev().cloned().collect();
        match invite.contact() {
            Ok(contact) => leg.target = contact,
            Err(problem) => leg.violation(problem),
        }
        leg.answering = Some(Answering::new(invite));
        leg
    }

    /// Answers the INVITE at hand. A final answer is repeated until its ACK.
    pub fn respond(&mut self, now: Instant, status: u16, body: &[u8]) {
        let Some(answering) = &self.answering else { return };
        let invite = answering.request.clone();
        let mut headers = self.response_headers(&invite, status);
        if (200..300).contains(&status) || (status > 100 && status < 200) {
            headers.extend(invite.all("Record-Route").map(|route| Header::RecordRoute(route.into())));
            headers.splice(
                0..0,
                self.ends.record_routes.iter().map(|route| Header::RecordRoute(format!("<{route}>").into())),
            );
            headers.push(Header::Contact(self.contact().into()));
        }
        if (200..300).contains(&status) {
            headers.push(Header::Allow("INVITE, ACK, CANCEL, BYE, OPTIONS".into()));
            headers.extend(self.ends.extra.iter().cloned());
        }
        let bytes = message::response(status, phrase(status), headers, body);
        self.send_response(now, status, Datagram { to: invite.source, bytes });
    }

    fn send_response(&mut self, now: Instant, status: u16, datagram: Datagram) {
        let faults = self.faults;
        let timing = self.ends.timing;
        let Some(answering) = &mut self.answering else { return };
        if faults.reorder && status > 100 && status < 200 {
            answering.held_back.push(datagram);
            return;
        }
        answering.last = Some(datagram.clone());
        if status >= 200 {
            answering.status = Some(status);
            answering.resend = Some(Resend::capped(now, datagram.clone(), timing));
        }
        let late = if status >= 200 { std::mem::take(&mut answering.held_back) } else { vec![] };
        if faults.lose_first == Some(status) {
            self.faults.lose_first = None;
        } else {
            self.send(datagram);
        }
        self.out.extend(late);
    }

    fn response_headers(&self, request: &Incoming, status: u16) -> Vec<Header> {
        let mut headers: Vec<Header> = vec![];
        for (place, via) in request.all("Via").enumerate() {
            // RFC 3581: the topmost Via asked for rport.
            let filled = format!("rport={};received={}", request.source.port(), request.source.ip());
            let asks = place == 0 && via.split(';').any(|parameter| parameter.trim() == "rport");
            let via = if asks { via.replacen("rport", &filled, 1) } else { via.to_owned() };
            headers.push(Header::Via(via.into()));
        }
        headers.push(Header::From(request.from.value.as_str().into()));
        let to = match (&request.to.tag, status) {
            (None, 101..) => format!("{};tag={}", request.to.value, self.local_tag),
            _ => request.to.value.clone(),
        };
        headers.push(Header::To(to.into()));
        headers.push(Header::CallId(request.call_id.as_str().into()));
        headers.push(Header::CSeq(format!("{} {}", request.cseq, request.method).into()));
        headers
    }

    pub(super) fn request(&mut self, now: Instant, message: &Incoming) -> Vec<LegEvent> {
        let repeated =
            self.replies.iter().find(|(branch, method, _)| *branch == message.branch && *method == message.method);
        if let Some((_, _, datagram)) = repeated {
            let datagram = datagram.clone();
            self.send(datagram);
            return vec![];
        }
        match message.method {
            Method::Invite => self.far_invite(message),
            Method::Ack => self.far_ack(message),
            Method::Cancel => self.far_cancel(now, message),
            method => {
                if !self.in_dialog(message) {
                    self.reply(message, 481);
                    return vec![];
                }
                self.far_request(method, message)
            }
        }
    }

    fn far_request(&mut self, method: Method, message: &Incoming) -> Vec<LegEvent> {
        match method {
            Method::Bye => {
                if self.faults.deaf_to_bye {
                    return vec![];
                }
                self.reply(message, 200);
                if self.answering.as_ref().is_some_and(|answering| answering.status.is_none()) {
                    self.violation("BYE before the answer to its INVITE: CANCEL was due");
                }
                vec![LegEvent::HungUp { reason: message.header("Reason").map(str::to_owned) }]
            }
            Method::Options | Method::Info | Method::Notify | Method::Message => {
                self.reply(message, 200);
                vec![]
            }
            _ => {
                self.violation(format!("{method} although our Allow does not name it"));
                self.reply(message, 405);
                vec![]
            }
        }
    }

    /// §12.2.2: tags, rising CSeq; and the routes that the far side has to honour.
    fn in_dialog(&mut self, message: &Incoming) -> bool {
        if message.to.tag.as_ref() != Some(&self.local_tag) || message.from.tag != self.remote_tag {
            self.violation(format!("{} with tags of no dialog of ours", message.method));
            return false;
        }
        if message.method != Method::Ack {
            if self.far_cseq.is_some_and(|last| message.cseq <= last) {
                self.violation(format!("{} with CSeq {} after {:?}", message.method, message.cseq, self.far_cseq));
            }
            self.far_cseq = self.far_cseq.max(Some(message.cseq));
        }
        let routes = message.routes("Route");
        if routes != self.expected_routes {
            self.violation(format!("{} with Route {routes:?} instead of {:?}", message.method, self.expected_routes));
        }
        let own = format!("sip:{}@{}", self.ends.contact_user, self.ends.address);
        if message.request_uri().is_some_and(|uri| uri.split(';').next() != Some(&own)) {
            self.violation(format!("{} to {:?} instead of our Contact {own}", message.method, message.request_uri()));
        }
        true
    }

    fn far_invite(&mut self, message: &Incoming) -> Vec<LegEvent> {
        if let Some(answering) = &self.answering
            && answering.request.branch == message.branch
        {
            let again = answering.last.clone();
            self.out.extend(again);
            return vec![];
        }
        if !self.in_dialog(message) {
            self.reply(message, 481);
            return vec![];
        }
        // §14.2: 500 while their last INVITE is open, 491 while ours is.
        let open = |leg: &Self| leg.answering.as_ref().is_some_and(|answering| answering.status.is_none());
        if open(self) {
            self.reply(message, 500);
            return vec![];
        }
        if let Ok(contact) = message.contact() {
            self.target = contact;
        }
        self.answering = Some(Answering::new(message));
        vec![LegEvent::Offered(message.body.clone())]
    }

    fn far_ack(&mut self, message: &Incoming) -> Vec<LegEvent> {
        let Some(answering) = self.answering.as_mut().filter(|answering| answering.request.cseq == message.cseq) else {
            self.violation(format!("ACK with CSeq {} for no INVITE", message.cseq));
            return vec![];
        };
        let success = answering.status.is_some_and(|status| status < 300);
        let was_open = answering.deadline().is_some();
        if let Some(resend) = &mut answering.resend {
            resend.stop();
        }
        let same = answering.request.branch == message.branch;
        if success == same {
            self.violation("ACK of a 2xx needs a branch of its own, of a failure the INVITE's (§17.1.1.3, §13.2.2.4)");
        }
        if !success || !was_open || !self.in_dialog(message) {
            return vec![];
        }
        vec![LegEvent::Acknowledged(message.body.clone())]
    }

    fn far_cancel(&mut self, now: Instant, message: &Incoming) -> Vec<LegEvent> {
        let open = self.answering.as_ref().filter(|answering| answering.request.branch == message.branch);
        match open.map(|answering| answering.status) {
            None => {
                self.violation("CANCEL for no INVITE of this branch");
                self.reply(message, 481);
                vec![]
            }
            Some(Some(_)) => {
                self.reply(message, 200);
                vec![]
            }
            Some(None) => {
                self.reply(message, 200);
                self.respond(now, 487, &[]);
                vec![LegEvent::Cancelled]
            }
        }
    }

    /// Answers anything but an INVITE, and remembers the answer for a repetition.
    fn reply(&mut self, request: &Incoming, status: u16) {
        let mut headers = self.response_headers(request, status);
        if status == 405 {
            headers.push(other("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS"));
        }
        let datagram = Datagram { to: request.source, bytes: message::response(status, phrase(status), headers, &[]) };
        self.replies.push_back((request.branch.clone(), request.method, datagram.clone()));
        if self.replies.len() > REMEMBERED {
            self.replies.pop_front();
        }
        self.send(datagram);
    }

    pub(super) fn expire_server(&mut self, now: Instant) -> Vec<LegEvent> {
        let due =
            self.answering.as_mut().and_then(|answering| answering.resend.as_mut()).map(|resend| resend.expire(now));
        match due {
            Some(Due::Again(datagram)) => {
                self.send(datagram);
                vec![]
            }
            Some(Due::GaveUp) => vec![LegEvent::Unacknowledged],
            Some(Due::Nothing) | None => vec![],
        }
    }
}

/// The value without its tag: what stands in the other direction's header before ours is put on.
fn without_tag(value: &str) -> String {
    value.find(";tag=").and_then(|at| value.get(..at)).unwrap_or(value).to_owned()
}
