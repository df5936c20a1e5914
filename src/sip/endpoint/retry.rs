//! An INVITE of ours that is sent again because its answer says how it would be taken: the same leg, the same Call-ID, the
//! next number (RFC 4028 §7.4). Apart from the responses, because here an old message becomes a new one.

use super::super::auth::Tries;
use super::super::transaction::key::Kind;
use super::super::{HeaderName, Hop, Message, Method, StatusCode, Writer};
use super::caller::Addressed;
use super::compose::{Way, via_of};
use super::leg::Bye;
use super::table::{Cancel, ClientMachine, Purpose};
use super::{Endpoint, Headers, LegId};

use bytes::Bytes;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

/// A request of ours that was refused, as it was sent: taken before its transaction forgets it, or is gone, as that of a
/// stream is at once.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) kind: Kind,
    pub(super) request: Bytes,
    pub(super) hop: Hop,
    pub(super) from: Option<SocketAddr>,
    /// The addresses that were not tried.
    others: VecDeque<Hop>,
    pub(super) tries: Tries,
    name: u64,
}

// === impl Endpoint ===

impl Endpoint {
    /// Takes a request in hand that may be sent again; `None` if it was cancelled: who did that does not want to try
    /// again.
    pub(super) fn refused(&mut self, id: u64) -> Option<Box<Refused>> {
        let entry = self.clients.get_mut(id).filter(|entry| matches!(entry.cancel, Cancel::No))?;
        let kind = match entry.machine {
            ClientMachine::Invite(_) => Kind::Invite,
            ClientMachine::Other(_) => Kind::Other,
        };
        let (tries, others) = (std::mem::take(&mut entry.tries), std::mem::take(&mut entry.others));
        let (request, hop, from) = (entry.request.clone(), entry.hop.clone(), entry.from);
        Some(Box::new(Refused { kind, request, hop, from, others, tries, name: entry.name }))
    }

    /// Sends what became of it. For whoever waits it is the same request, and its other addresses are still to be tried.
    pub(super) fn start_again(&mut self, now: Instant, refused: Refused, request: Addressed, purpose: Purpose) -> u64 {
        let client = self.start_client(now, refused.kind, request, purpose);
        if let Some(entry) = self.clients.get_mut(client) {
            entry.tries = refused.tries;
            entry.name = refused.name;
            entry.others.extend(refused.others);
            self.hasten(now, client);
        }
        client
    }

    /// Takes an INVITE in hand that got 422, if it may be asked again.
    pub(super) fn too_small(&mut self, id: u64, response: Option<&Message>) -> Option<Box<Refused>> {
        response.filter(|response| response.status() == Some(StatusCode::SESSION_INTERVAL_TOO_SMALL))?;
        let (Purpose::Invite(leg) | Purpose::Reinvite(leg)) = self.clients.get(id)?.purpose else { return None };
        let state = self.legs.get(leg.0)?;
        let current = state.outgoing == Some(id) && !state.cancelled && matches!(state.bye, Bye::No);
        current.then(|| self.refused(id)).flatten()
    }

    /// Asks again with a larger session interval after a 422, if that makes sense; the leg never learns of the 422.
    pub(super) fn ask_for_more(
        &mut self,
        now: Instant,
        refused: Refused,
        purpose: Purpose,
        response: &Message,
    ) -> bool {
        let Some(leg) = purpose.leg().filter(|leg| self.enlarge(*leg, response)) else { return false };
        let Some(extensions) = self.legs.get(leg.0).and_then(|state| state.extensions.as_ref()) else { return false };
        let headers = extensions.interval_headers();
        self.repeat_invite(now, refused, leg, purpose, &headers).is_some()
    }

    /// Sends a refused INVITE as a new one, these header fields in place of those of the same name.
    fn repeat_invite(
        &mut self,
        now: Instant,
        refused: Refused,
        leg: LegId,
        purpose: Purpose,
        headers: &Headers,
    ) -> Option<()> {
        let branch = self.branch();
        let old = Message::parse(refused.request.clone()).ok()?;
        let (hop, from) = (refused.hop.clone(), refused.from);
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
        let client = self.start_again(now, refused, Addressed { hop, from, branch, payload }, purpose);
        let state = self.legs.get_mut(leg.0)?;
        state.outgoing = Some(client);
        Some(())
    }
}
