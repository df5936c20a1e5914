//! The asking half of a leg: INVITE, ACK, CANCEL, re-INVITE and BYE as client (RFC 3261 §13.2, §17.1).

use super::resend::{Due, Resend};
use super::{Ends, Leg, LegEvent};
use crate::clock::Entropy;
use crate::sim::message::{Datagram, Incoming, other};
use crate::sim::observation::Violations;
use rsip::{Header, Method};
use std::time::Instant;

/// Our INVITE.
#[derive(Debug)]
pub(super) struct Calling {
    branch: String,
    cseq: u32,
    uri: String,
    resend: Resend,
    vias: Vec<String>,
    progress: Progress,
    cancel: Cancel,
    /// Repeated for every repeated final response.
    ack: Option<Datagram>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Sent,
    Proceeding,
    Final,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cancel {
    No,
    /// RFC 3261 §9.1: not before the first provisional response.
    Wanted,
    Sent,
}

/// Another request of ours that waits for its final response.
#[derive(Debug)]
pub(super) struct Ask {
    method: Method,
    branch: String,
    resend: Resend,
}

// === impl Calling ===

impl Calling {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.resend.deadline()
    }
}

// === impl Ask ===

impl Ask {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.resend.deadline()
    }
}

// === impl Leg ===

impl Leg {
    /// Calls: the INVITE is the first datagram.
    #[must_use]
    pub fn call(now: Instant, ends: Ends, offer: &[u8], violations: Violations, entropy: Entropy) -> Self {
        let mut leg = Self::new(ends, violations, entropy);
        // RFC 3261 §12.1.1: who is called keeps the record-routes in the order of the request.
        leg.expected_routes.clone_from(&leg.ends.record_routes);
        leg.send_invite(now, offer);
        leg
    }

    /// A new offer within the dialog.
    pub fn reinvite(&mut self, now: Instant, offer: &[u8]) {
        self.cseq += 1;
        self.send_invite(now, offer);
    }

    fn send_invite(&mut self, now: Instant, offer: &[u8]) {
        let branch = self.branch();
        let first = self.remote_tag.is_none();
        let mut headers = self.request_headers(Method::Invite, self.cseq, &branch);
        if first {
            let below = self.ends.vias.iter().map(|via| Header::Via(via.as_str().into()));
            headers.splice(1..1, below);
            headers
                .extend(self.ends.record_routes.iter().map(|route| Header::RecordRoute(format!("<{route}>").into())));
            headers.extend(self.ends.extra.iter().cloned());
        }
        headers.push(Header::Contact(self.contact().into()));
        headers.push(Header::Allow("INVITE, ACK, CANCEL, BYE, OPTIONS".into()));
        let vias = via_lines(&headers);
        let uri = self.target.clone();
        let bytes = self.write(Method::Invite, &uri, headers, offer);
        let datagram = Datagram { to: self.next_hop(), bytes };
        self.send(datagram.clone());
        self.calling = Some(Calling {
            branch,
            cseq: self.cseq,
            uri,
            resend: Resend::invite(now, datagram, self.ends.timing),
            vias,
            progress: Progress::Sent,
            cancel: Cancel::No,
            ack: None,
        });
    }

    /// Acknowledges the 2xx to our INVITE (§13.2.2.4); `answer` if the INVITE had no offer.
    pub fn acknowledge(&mut self, answer: &[u8]) {
        let Some(cseq) = self.calling.as_ref().map(|calling| calling.cseq) else { return };
        let branch = self.branch();
        let headers = self.request_headers(Method::Ack, cseq, &branch);
        let bytes = self.write(Method::Ack, &self.target, headers, answer);
        let datagram = Datagram { to: self.next_hop(), bytes };
        self.send(datagram.clone());
        if let Some(calling) = &mut self.calling {
            calling.ack = Some(datagram);
        }
    }

    /// Gives up our unanswered INVITE.
    pub fn cancel(&mut self, now: Instant) {
        let Some(calling) = self.calling.as_mut().filter(|calling| calling.progress != Progress::Final) else { return };
        if calling.cancel == Cancel::No {
            calling.cancel = Cancel::Wanted;
        }
        self.cancel_if_allowed(now);
    }

    fn cancel_if_allowed(&mut self, now: Instant) {
        let patience = self.ends.timing.patience();
        let Some(calling) = self.calling.as_mut() else { return };
        if calling.cancel != Cancel::Wanted || calling.progress != Progress::Proceeding {
            return;
        }
        calling.cancel = Cancel::Sent;
        calling.resend.wait_until(now + patience);
        let (uri, branch, cseq, to) =
            (calling.uri.clone(), calling.branch.clone(), calling.cseq, calling.resend.datagram.to);
        // §9.1: same Request-URI, Call-ID, To, From, CSeq number and topmost Via as the INVITE.
        let headers = self.request_headers(Method::Cancel, cseq, &branch);
        let bytes = self.write(Method::Cancel, &uri, headers, &[]);
        self.ask(now, Method::Cancel, branch, Datagram { to, bytes });
    }

    /// Ends the dialog.
    pub fn bye(&mut self, now: Instant, reason: Option<&str>) {
        self.cseq += 1;
        let branch = self.branch();
        let mut headers = self.request_headers(Method::Bye, self.cseq, &branch);
        headers.extend(reason.map(|reason| other("Reason", reason)));
        let bytes = self.write(Method::Bye, &self.target, headers, &[]);
        let to = self.next_hop();
        self.ask(now, Method::Bye, branch, Datagram { to, bytes });
    }

    fn ask(&mut self, now: Instant, method: Method, branch: String, datagram: Datagram) {
        self.send(datagram.clone());
        self.asks.push(Ask { method, branch, resend: Resend::capped(now, datagram, self.ends.timing) });
    }

    pub(super) fn response(&mut self, now: Instant, message: &Incoming, code: u16, phrase: &str) -> Vec<LegEvent> {
        if message.from.tag.as_ref() != Some(&self.local_tag) {
            self.violation(format!("{} has another From tag than our request", message.title()));
            return vec![];
        }
        if message.method == Method::Invite {
            return self.invite_response(now, message, code, phrase);
        }
        let Some(found) = self.asks.iter().position(|ask| ask.branch == message.branch && ask.method == message.method)
        else {
            return vec![]; // a repeated answer
        };
        if code < 200 {
            return vec![];
        }
        let ask = self.asks.swap_remove(found);
        vec![LegEvent::Done(ask.method, code)]
    }

    fn invite_response(&mut self, now: Instant, message: &Incoming, code: u16, phrase: &str) -> Vec<LegEvent> {
        let Some(calling) = self.calling.as_mut().filter(|calling| calling.cseq == message.cseq) else { return vec![] };
        if calling.branch != message.branch {
            self.violation(format!("{} does not carry the branch of our INVITE", message.title()));
            return vec![];
        }
        let repeated = calling.progress == Progress::Final;
        if repeated {
            let again = calling.ack.clone().filter(|_| code >= 200);
            self.out.extend(again);
            return vec![];
        }
        let sent = std::mem::take(&mut calling.vias);
        calling.resend.stop();
        calling.progress = if code < 200 { Progress::Proceeding } else { Progress::Final };
        let first = self.remote_tag.is_none();
        self.compare_vias(&sent, message);
        if let Some(calling) = &mut self.calling {
            calling.vias = sent;
        }
        match code {
            ..200 => {
                if message.header("Require").is_some_and(|value| value.to_ascii_lowercase().contains("100rel")) {
                    self.violation("reliable provisional response although we did not support it");
                }
                self.cancel_if_allowed(now);
                vec![LegEvent::Provisional(code)]
            }
            200..300 => {
                self.established(message, first);
                vec![LegEvent::Answered(message.body.clone())]
            }
            _ => {
                self.acknowledge_failure(message);
                let reason = message.header("Reason").map(str::to_owned);
                vec![LegEvent::Refused { status: code, phrase: phrase.to_owned(), reason }]
            }
        }
    }

    /// §8.2.6.2: the Via lines come back as they were sent, apart from `received` and `rport` of the first.
    fn compare_vias(&self, sent: &[String], message: &Incoming) {
        let back: Vec<&str> = message.all("Via").collect();
        let below = sent.get(1..).unwrap_or_default().iter().map(String::as_str);
        if back.len() != sent.len() || !below.eq(back.get(1..).unwrap_or_default().iter().copied()) {
            self.violation(format!("{} changed our Via header fields: {back:?}", message.title()));
        }
    }

    /// §12.1.2: what the 2xx makes of the dialog.
    fn established(&mut self, message: &Incoming, first: bool) {
        match message.contact() {
            Ok(contact) => self.target = contact,
            Err(problem) => self.violation(problem),
        }
        if !first {
            return;
        }
        self.remote_tag.clone_from(&message.to.tag);
        let mut recorded = message.routes("Record-Route");
        let own = recorded.split_off(recorded.len().saturating_sub(self.ends.record_routes.len()));
        if own != self.ends.record_routes {
            self.violation(format!("the answer's Record-Route is {own:?} instead of ours"));
        }
        // Our own proxies would take their Route off before the request leaves the house.
        recorded.reverse();
        self.routes = recorded;
    }

    /// §17.1.1.3: hop by hop, with the INVITE's branch.
    fn acknowledge_failure(&mut self, message: &Incoming) {
        let Some(calling) = &self.calling else { return };
        let (uri, branch, cseq, to) =
            (calling.uri.clone(), calling.branch.clone(), calling.cseq, calling.resend.datagram.to);
        let mut headers = self.request_headers(Method::Ack, cseq, &branch);
        headers.retain(|header| !matches!(header, Header::To(_)));
        headers.push(Header::To(message.to.value.as_str().into()));
        let bytes = self.write(Method::Ack, &uri, headers, &[]);
        self.send(Datagram { to, bytes: bytes.clone() });
        if let Some(calling) = &mut self.calling {
            calling.ack = Some(Datagram { to, bytes });
        }
    }

    pub(super) fn expire_client(&mut self, now: Instant) -> Vec<LegEvent> {
        let mut events = vec![];
        if let Some(calling) = &mut self.calling {
            match calling.resend.expire(now) {
                Due::Again(datagram) => self.out.push(datagram),
                Due::GaveUp => {
                    calling.progress = Progress::Final;
                    events.push(LegEvent::Silent(Method::Invite));
                }
                Due::Nothing => {}
            }
        }
        let out = &mut self.out;
        self.asks.retain_mut(|ask| match ask.resend.expire(now) {
            Due::Again(datagram) => {
                out.push(datagram);
                true
            }
            Due::GaveUp => {
                events.push(LegEvent::Silent(ask.method));
                false
            }
            Due::Nothing => true,
        });
        events
    }
}

fn via_lines(headers: &[Header]) -> Vec<String> {
    use rsip::headers::UntypedHeader as _;
    let vias = headers.iter().filter_map(|header| match header {
        Header::Via(via) => Some(via.value().to_owned()),
        _ => None,
    });
    vias.collect()
}
