//! `transfer = "pass"`: the REFER goes on to the other leg, whose system places the new call, and its NOTIFYs come back.

use super::Refusal;
use super::referrer::{SIPFRAG, is_about_refer};
use crate::call::desk::{Answer, Desk};
use crate::call::state::Call;
use crate::media::Side;
use crate::record::Lane;
use crate::sip::endpoint::{Body, Headers, RequestId, SentId};
use crate::sip::{HeaderName, Message, Method, StatusCode};
use std::borrow::Cow;
use std::time::Instant;

/// A REFER that was handed on.
#[derive(Debug)]
pub(super) struct Passed {
    /// Who asked.
    from: Side,
    /// The request to answer, until it is.
    request: Option<RequestId>,
    /// Ours.
    sent: SentId,
}

// === impl Call ===

impl Call {
    pub(super) fn pass_refer(
        &mut self,
        desk: &mut Desk,
        now: Instant,
        side: Side,
        id: RequestId,
        request: &Message,
    ) -> Result<String, Refusal> {
        if self.referrals.passed.as_ref().is_some_and(|passed| passed.request.is_some()) {
            return Err((StatusCode::REQUEST_PENDING, "another transfer is being asked for".to_owned()));
        }
        let Some(to) = request.text(HeaderName::ReferTo) else {
            return Err((StatusCode::BAD_REQUEST, "there has to be exactly one Refer-To".to_owned()));
        };
        let mut headers: Headers = vec![(Cow::Borrowed("Refer-To"), to.into_owned())];
        if let Some(by) = request.text(HeaderName::ReferredBy) {
            headers.push((Cow::Borrowed("Referred-By"), by.into_owned()));
        }
        headers.extend(copied(request, "Refer-Sub"));
        let other = self.leg(side.other()).map(|leg| leg.id);
        let sent = other.and_then(|leg| desk.endpoint.send_inside(now, leg, Method::Refer, &headers, None).ok());
        let Some(sent) = sent else {
            return Err((StatusCode::REQUEST_PENDING, "the other leg cannot be asked now".to_owned()));
        };
        let lane = self.lane(side.other());
        self.journal.moment(now, Lane::Trunkline, lane, "REFER", None);
        self.referrals.passed = Some(Passed { from: side, request: Some(id), sent });
        Ok("passed to the other leg".to_owned())
    }

    /// The other leg's answer is the answer.
    pub(super) fn on_passed_reply(&mut self, desk: &mut Desk, now: Instant, sent: SentId, answer: &Answer) {
        let Some(passed) = self.referrals.passed.as_mut().filter(|passed| passed.sent == sent) else { return };
        let (from, Some(id)) = (passed.from, passed.request.take()) else { return };
        let status = match answer.status.get() {
            200..300 => answer.status,
            // Credentials are between us and the other leg.
            401 | 407 => StatusCode::FORBIDDEN,
            _ => answer.status,
        };
        if !status.is_success() {
            self.referrals.passed = None;
        }
        let headers = answer.response.as_ref().map(|response| copied(response, "Refer-Sub")).unwrap_or_default();
        self.respond_to(desk, now, from, id, status, headers, None);
    }

    /// A NOTIFY: handed back if it is about a REFER that was handed on. Nobody here subscribes to anything else.
    pub(in crate::call) fn notified(
        &mut self,
        desk: &mut Desk,
        now: Instant,
        side: Side,
        request: &Message,
    ) -> StatusCode {
        let Some(passed) = self.referrals.passed.as_ref().filter(|passed| passed.from == side.other()) else {
            return StatusCode::NO_SUCH_TRANSACTION;
        };
        if !is_about_refer(request) {
            return StatusCode::BAD_EVENT;
        }
        let headers = [copied(request, "Event"), copied(request, "Subscription-State")].concat();
        let body = Body { content_type: SIPFRAG, bytes: bytes::Bytes::copy_from_slice(request.body()) };
        let to = self.leg(passed.from).map(|leg| leg.id);
        if let Some(leg) = to {
            let _ = desk.endpoint.send_inside(now, leg, Method::Notify, &headers, Some(&body));
            let lane = self.lane(side.other());
            self.journal.moment(now, Lane::Trunkline, lane, "NOTIFY", None);
        }
        let over = request.value(HeaderName::SubscriptionState).unwrap_or_default();
        if over.trim_ascii_start().get(..10).is_some_and(|state| state.eq_ignore_ascii_case(b"terminated")) {
            self.referrals.passed = None;
        }
        StatusCode::OK
    }
}

fn copied(message: &Message, name: &'static str) -> Headers {
    let value = message.named(name).next();
    value.map(|value| (Cow::Borrowed(name), String::from_utf8_lossy(value).trim().to_owned())).into_iter().collect()
}
