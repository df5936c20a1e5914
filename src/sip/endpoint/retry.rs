//! An INVITE of ours that is sent again because its answer says how it would be taken: the same leg, the same Call-ID, the
//! next number (RFC 4028 §7.4). Apart from the responses, because here an old message becomes a new one.

use super::super::transaction::key::Kind;
use super::super::{HeaderName, Message, Method, Writer};
use super::caller::Addressed;
use super::compose::{Way, via_of};
use super::table::{Cancel, Purpose};
use super::{Endpoint, Headers, LegId};

use std::time::Instant;

// === impl Endpoint ===

impl Endpoint {
    /// Asks again with a larger session interval after a 422, if that makes sense; the leg never learns of the 422.
    pub(super) fn ask_for_more(&mut self, now: Instant, id: u64, purpose: Purpose, response: &Message) -> bool {
        let (Purpose::Invite(leg) | Purpose::Reinvite(leg)) = purpose else { return false };
        let current = self.legs.get(leg.0).is_some_and(|state| state.outgoing == Some(id) && !state.cancelled);
        let wanted = self.clients.get(id).is_some_and(|entry| matches!(entry.cancel, Cancel::No));
        if !current || !wanted || !self.enlarge(leg, response) {
            return false;
        }
        let Some(extensions) = self.legs.get(leg.0).and_then(|state| state.extensions.as_ref()) else { return false };
        let headers = extensions.interval_headers();
        self.repeat_invite(now, id, leg, purpose, &headers).is_some()
    }

    /// Sends the INVITE of a client transaction as a new one, these header fields in place of those of the same name.
    fn repeat_invite(&mut self, now: Instant, id: u64, leg: LegId, purpose: Purpose, headers: &Headers) -> Option<()> {
        let branch = self.branch();
        let entry = self.clients.get_mut(id)?;
        let old = Message::parse(std::mem::take(&mut entry.request)).ok()?;
        let (hop, from) = (entry.hop.clone(), entry.from);
        let state = self.legs.get_mut(leg.0)?;
        self.dialogs -= state.early.len();
        state.early = Vec::new();
        let number = match &mut state.dialog {
            Some(dialog) => dialog.advance(),
            None => old.cseq()?.number + 1,
        };
        let way = Way { hop: &hop, from, advertised: state.path.advertised.as_deref() };
        let mut writer = Writer::request(&Method::Invite, old.request_uri()?);
        writer.header("Via", via_of(&self.settings, &way, &branch));
        for (spelling, name, value) in old.headers() {
            let replaced = || headers.iter().any(|(other, _)| other.as_bytes().eq_ignore_ascii_case(spelling));
            match name {
                HeaderName::Via | HeaderName::ContentType => {}
                HeaderName::CSeq => drop(writer.header("CSeq", format!("{number} INVITE"))),
                _ if replaced() => {}
                _ => drop(writer.header(spelling, value)),
            }
        }
        for (name, value) in headers {
            writer.header(name.as_ref(), value);
        }
        if let Some(kind) = old.text(HeaderName::ContentType) {
            writer.body(&kind, old.body());
        }
        let payload = writer.finish();
        let client = self.start_client(now, Kind::Invite, Addressed { hop, from, branch, payload }, purpose);
        let state = self.legs.get_mut(leg.0)?;
        state.outgoing = Some(client);
        Some(())
    }
}
