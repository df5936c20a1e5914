//! The 2xx that nobody wants (RFC 3261 §13.2.2.4): from a fork that lost, or later than our CANCEL or our patience. Each
//! is ACKed and its dialog ended with BYE. Apart from the leg because these dialogs never become part of it.

use super::super::dialog::Dialog;
use super::super::transaction::key::Kind;
use super::super::uri::{self, Uri};
use super::super::{HeaderName, Hop, Message, Method, Protocol, Source};
use super::caller::Addressed;
use super::compose::{MAX_FORWARDS, Outline, Way};
use super::leg::hop_of;
use super::table::{Ack, Answer, Purpose};
use super::{Endpoint, Headers};

use bytes::Bytes;
use std::time::Instant;

/// More different answers than this to one INVITE are an attack, not a fork.
pub(super) const ANSWERS: usize = 32;

// === impl Endpoint ===

impl Endpoint {
    /// ACKs a 2xx and hangs up its dialog.
    pub(super) fn decline(&mut self, now: Instant, client: u64, source: &Source, response: &Message) {
        let Some(number) = response.cseq().map(|cseq| cseq.number) else { return };
        let mut dialog = stray_dialog(source, response);
        self.acknowledge_stray(client, source, response, &dialog, number);
        let number = dialog.advance();
        let bye = self.address_stray(source, response, &dialog, Method::Bye, number);
        self.start_client(now, Kind::Other, bye, Purpose::Nobody);
    }

    /// ACKs a 2xx to a re-INVITE whose dialog is over: there is nothing left to hang up.
    pub(super) fn acknowledge_late(&mut self, client: u64, source: &Source, response: &Message) {
        let Some(number) = response.cseq().map(|cseq| cseq.number) else { return };
        let dialog = stray_dialog(source, response);
        self.acknowledge_stray(client, source, response, &dialog, number);
    }

    fn acknowledge_stray(&mut self, client: u64, source: &Source, response: &Message, dialog: &Dialog, number: u32) {
        let ack = self.address_stray(source, response, dialog, Method::Ack, number);
        if let Some(entry) = self.clients.get_mut(client) {
            let tag = response.to_tag().map(Box::from);
            // A 2xx can neither be cancelled nor ACKed hop by hop: the INVITE is not needed any more.
            entry.request = Bytes::new();
            entry.answers.push(Answer {
                tag,
                ack: Some(Ack { hop: ack.hop.clone(), from: ack.from, payload: ack.payload.clone() }),
            });
        }
        self.send(ack.hop, ack.from, ack.payload, None);
    }

    fn address_stray(
        &mut self,
        source: &Source,
        response: &Message,
        dialog: &Dialog,
        method: Method,
        number: u32,
    ) -> Addressed {
        let branch = self.branch();
        let plan = dialog.plan();
        let hop = Uri::parse(plan.next).ok().as_ref().and_then(uri::hop).unwrap_or_else(|| hop_of(*source));
        let hop = prefer_stream(hop, source);
        let datagram = source.protocol == Protocol::Udp && hop.protocol == Protocol::Udp;
        let from = Some(source.local).filter(|_| datagram);
        let headers = Headers::new();
        let outline = Outline {
            method,
            request_uri: &plan.request_uri,
            way: Way { hop: &hop, from, advertised: None },
            branch: &branch,
            routes: plan.routes,
            last_route: plan.last.as_deref(),
            from: dialog.local(),
            to: dialog.remote(),
            call_id: response.call_id(),
            number,
            max_forwards: MAX_FORWARDS,
            contact: None,
            headers: &headers,
            body: None,
        };
        let payload: Bytes = outline.write(&self.settings);
        Addressed { hop, from, branch, payload }
    }
}

/// The dialog of a 2xx, from the 2xx alone.
fn stray_dialog(source: &Source, response: &Message) -> Dialog {
    let local = response.value(HeaderName::From).unwrap_or_default();
    Dialog::of_answer(response, local, format!("sip:{}", source.peer).as_bytes())
}

fn prefer_stream(mut hop: Hop, source: &Source) -> Hop {
    let same = hop.address.socket().is_some_and(|address| address.ip() == source.peer.ip());
    if same && hop.protocol == source.protocol {
        hop.connection = source.connection;
    }
    hop
}
