//! Refreshes of the session (RFC 4028) that carry a description: ours repeats what the peer has, and what the peer's
//! answer says anew is taken over. Apart from changes of the session, which two legs are concerned with.

use super::desk::Desk;
use super::negotiation;
use super::state::Call;
use crate::error::Cause;
use crate::media::Side;
use crate::record::Lane;
use crate::sip::Message;
use std::time::Instant;

impl Call {
    /// The session of `side` is to be refreshed by a re-INVITE: with the description that its peer has, unchanged to the
    /// version (RFC 4028 §7.4).
    pub fn refresh(&mut self, desk: &mut Desk, now: Instant, side: Side) {
        let lane = self.lane(side);
        let Some(leg) = self.leg(side) else { return };
        let body = leg.origin.last().cloned().map(negotiation::body);
        if desk.endpoint.refresh(now, leg.id, body.as_ref()).is_ok() {
            self.journal.moment(now, Lane::Trunkline, lane, "re-INVITE", Some("session refresh".to_owned()));
        }
    }

    /// The peer's answer to a refresh. Its media may have moved; a description that cannot be used changes nothing.
    pub fn take_refresh(&mut self, now: Instant, side: Side, response: &Message) {
        let lane = self.lane(side);
        self.journal.moment(now, lane, Lane::Trunkline, "200 OK", Some("session refresh".to_owned()));
        let answer = negotiation::description(response, Cause::TargetBadAnswer).ok().flatten();
        let Some(answer) = answer.filter(|answer| answer.usable_audio().is_ok()) else { return };
        let Some(leg) = self.leg_mut(side) else { return };
        let Some((formats, theirs)) = negotiation::settle(&leg.formats, &answer) else { return };
        leg.formats = formats;
        leg.theirs = theirs;
        leg.remote = Some(answer);
        self.configure_relay();
    }
}
