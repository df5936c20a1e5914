//! The subscription that a REFER makes (RFC 3515 §2.4): who asked hears how the new call goes, as a status line in the
//! body of NOTIFY. Apart from the transfer because it may be unwanted (RFC 4488), or the listener gone.

use crate::call::desk::Desk;
use crate::sip::endpoint::{Body, Headers, LegId, SentId};
use crate::sip::{HeaderName, Message, Method, StatusCode};
use std::borrow::Cow;
use std::time::Instant;

/// The media type of a fragment of a SIP message (RFC 3420).
pub(super) const SIPFRAG: &str = "message/sipfrag;version=2.0";
/// How long the subscription is said to last, seconds: longer than anything rings.
const EXPIRES: u32 = 240;

/// Who asked, and what it was told.
#[derive(Debug)]
pub(super) struct Referrer {
    leg: LegId,
    /// `Event`: with the REFER's sequence number when there was one before.
    event: String,
    /// Does it want to hear anything?
    listens: bool,
    last: u16,
    outstanding: Vec<SentId>,
}

// === impl Referrer ===

impl Referrer {
    /// Who sent this REFER. `again` says that it is not the dialog's first.
    pub fn of(leg: LegId, request: &Message, again: bool) -> Self {
        let number = request.cseq().map_or(0, |cseq| cseq.number);
        let unwanted = request.named("Refer-Sub").any(|value| value.trim_ascii().eq_ignore_ascii_case(b"false"));
        Self {
            leg,
            event: if again { format!("refer;id={number}") } else { "refer".to_owned() },
            listens: !unwanted,
            last: 0,
            outstanding: Vec::new(),
        }
    }

    /// What the 202 says besides (RFC 4488 §4).
    pub fn headers(&self) -> Headers {
        if self.listens { Headers::new() } else { vec![(Cow::Borrowed("Refer-Sub"), "false".to_owned())] }
    }

    /// Tells it a status of the new call, if it is news. A final one ends the subscription.
    pub fn tell(&mut self, desk: &mut Desk, now: Instant, status: u16, reason: &str) -> Option<SentId> {
        if !self.listens || status <= self.last {
            return None;
        }
        self.last = status;
        let state = if status < 200 {
            format!("active;expires={EXPIRES}")
        } else {
            self.listens = false;
            "terminated;reason=noresource".to_owned()
        };
        let headers: Headers =
            vec![(Cow::Borrowed("Event"), self.event.clone()), (Cow::Borrowed("Subscription-State"), state)];
        let body = Body { content_type: SIPFRAG, bytes: format!("SIP/2.0 {status} {reason}\r\n").into() };
        let sent = desk.endpoint.send_inside(now, self.leg, Method::Notify, &headers, Some(&body)).ok()?;
        self.outstanding.push(sent);
        Some(sent)
    }

    /// A NOTIFY was answered: whoever refuses one wants no more (RFC 6665 §4.2.2).
    pub fn heard(&mut self, sent: SentId, status: StatusCode) {
        let known = self.outstanding.iter().position(|one| *one == sent);
        if known.map(|position| self.outstanding.swap_remove(position)).is_some() && !status.is_success() {
            self.listens = false;
        }
    }
}

/// Is this NOTIFY about a transfer?
pub(super) fn is_about_refer(request: &Message) -> bool {
    let event = request.value(HeaderName::Event).unwrap_or_default();
    let package = event.split(|byte| *byte == b';').next().unwrap_or_default();
    package.trim_ascii().eq_ignore_ascii_case(b"refer")
}
