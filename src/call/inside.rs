//! Requests in the dialogs of a call that the bridge table does not know, and the answers to ours: each method has an
//! arm here and its doing in a file of its own. Apart from `events`, whose rows change what the two legs are to each other.

use super::desk::{Answer, Desk};
use super::state::Call;
use crate::media::Side;
use crate::record::Lane;
use crate::sip::endpoint::{Body, Headers, LegId, RequestId, SentId};
use crate::sip::{Message, Method, StatusCode};
use std::time::Instant;

impl Call {
    /// Takes a request of the peer of `side`.
    pub fn on_request(&mut self, desk: &mut Desk, now: Instant, side: Side, id: RequestId, request: &Message) {
        let lane = self.lane(side);
        self.journal.moment(now, lane, Lane::Trunkline, request.method().as_str(), None);
        let status = match request.method() {
            Method::Prack => return self.pracked(desk, now, id, request),
            Method::Refer => return self.referred(desk, now, side, id, request),
            Method::Notify => self.notified(desk, now, side, request),
            Method::Update => return self.on_update(desk, now, side, id, request),
            Method::Info => info(request),
            // The endpoint lets through only what is listed there; whatever has no arm here is not done.
            _ => StatusCode::NOT_IMPLEMENTED,
        };
        self.respond(desk, now, side, id, status);
    }

    /// Takes what came of a request of ours in a dialog of the call, of a leg that parts too.
    pub fn on_reply(&mut self, desk: &mut Desk, now: Instant, leg: LegId, sent: SentId, answer: &Answer) {
        if let Some(side) = self.side_of(leg) {
            let lane = self.lane(side);
            let what = format!("{} {}", answer.status.get(), answer.status.reason());
            self.journal.moment(now, lane, Lane::Trunkline, what, None);
            self.on_update_reply(desk, now, side, sent, answer);
        }
        self.on_transfer_reply(desk, now, sent, answer);
    }

    fn respond(&mut self, desk: &mut Desk, now: Instant, side: Side, id: RequestId, status: StatusCode) {
        self.respond_to(desk, now, side, id, status, Headers::new(), None);
    }

    /// Answers a request of the peer of `side`.
    #[expect(clippy::too_many_arguments, reason = "a response has that many parts")]
    pub fn respond_to(
        &mut self,
        desk: &mut Desk,
        now: Instant,
        side: Side,
        id: RequestId,
        status: StatusCode,
        headers: Headers,
        body: Option<Body>,
    ) {
        if desk.endpoint.respond(now, id, status, None, headers, body).is_ok() {
            let lane = self.lane(side);
            let what = format!("{} {}", status.get(), status.reason());
            self.journal.moment(now, Lane::Trunkline, lane, what, None);
        }
    }
}

/// RFC 6086: an empty INFO asks whether we are there; what a body means was never agreed upon.
fn info(request: &Message) -> StatusCode {
    if request.body().is_empty() { StatusCode::OK } else { StatusCode::UNSUPPORTED_MEDIA_TYPE }
}
