//! The way in: bytes become a message, the message is judged, and it goes to its transaction or becomes a new one.
//! Apart from what the requests mean, so that the order of the questions (RFC 3261 §8.2, §18.2) is on one page.

use super::super::transaction::Class;
use super::super::transaction::key::{Key, Kind};
use super::super::transaction::server::Server;
use super::super::transaction::server_invite::{self, ServerInvite};
use super::super::transaction::{Change, Reliability};
use super::super::wire::check::Fault;
use super::super::{Message, Method, Source, StatusCode};
use super::compose::Reply;
use super::leg::hop_of_response;
use super::table::{Alarms, Owner, ServerEntry, ServerMachine};
use super::{Endpoint, Event, Headers, LegId};

use bytes::Bytes;
use std::time::Instant;

/// A request that began a transaction, before it has an entry.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) source: Source,
    pub(super) message: Message,
    pub(super) method: Method,
    pub(super) key: Option<Key>,
}

// === impl Endpoint ===

impl Endpoint {
    /// Takes one datagram, or one framed message of a stream. What is no SIP message is dropped.
    pub fn receive(&mut self, now: Instant, source: Source, datagram: Bytes) {
        if let Ok(message) = Message::parse(datagram) {
            self.receive_message(now, source, message);
        }
    }

    /// Takes one message that is parsed but not checked. An unusable request is answered 400 or 505, an unusable
    /// response or ACK dropped.
    pub fn receive_message(&mut self, now: Instant, source: Source, message: Message) {
        match message.check() {
            Ok(()) if message.is_request() => self.request(now, source, message),
            Ok(()) => self.response(now, source, message),
            Err(fault) => self.unusable(&source, &message, &fault),
        }
    }

    /// Does it belong to something that is here already: a transaction, or a dialog? A response may always.
    #[must_use]
    pub fn expects(&self, message: &Message) -> bool {
        let method = message.method();
        let own = || message.to_tag().map(|tag| self.keyer.leg(message.call_id(), tag));
        !message.is_request()
            || self.keyer.server(message, Kind::of(&method)).is_some_and(|key| self.server_index.contains_key(&key))
            || own().is_some_and(|key| self.leg_index.contains_key(&key))
    }

    /// §8.2.7: answered without state, as often as it comes; the ACK to it finds nothing and is dropped.
    fn unusable(&mut self, source: &Source, message: &Message, fault: &Fault) {
        if !message.is_request() || message.method() == Method::Ack {
            return;
        }
        let Some(via) = message.top_via() else { return };
        let hop = hop_of_response(source, &via);
        let reason = fault.reason();
        let reply = Reply { reason: Some(&reason), ..Reply::bare(fault.status) };
        let tag = self.keyer.stateless_tag(message);
        let payload = reply.write(&self.settings, message, source.peer, &tag, None);
        self.send_back(hop, source.local, payload);
    }

    fn request(&mut self, now: Instant, source: Source, message: Message) {
        let method = message.method();
        let key = self.keyer.server(&message, Kind::of(&method));
        let known = key.and_then(|key| self.server_index.get(&key).copied());
        match (known, &method) {
            (Some(id), Method::Ack) => self.ack_of_transaction(now, id, source, message),
            (Some(id), _) => self.retransmission(now, id),
            (None, Method::Ack) => self.ack(now, source, message),
            (None, Method::Cancel) => self.cancel_received(now, Fresh { source, message, method, key }),
            (None, _) if message.to_tag().is_some() => self.inside(now, Fresh { source, message, method, key }),
            (None, _) => self.outside(now, Fresh { source, message, method, key }),
        }
    }

    /// §17.2: a request that came before is not a new one.
    fn retransmission(&mut self, now: Instant, id: u64) {
        let Some(entry) = self.servers.get_mut(id) else { return };
        match &mut entry.machine {
            ServerMachine::Invite(machine) => {
                let step = machine.request();
                if step.send.is_some() {
                    self.repeat_response(id);
                }
                self.arm(now, Owner::Server(id), step.repeat, step.limit);
            }
            ServerMachine::Other(machine) => {
                if machine.request().send.is_some() {
                    self.repeat_response(id);
                }
            }
        }
    }

    /// An ACK with the branch of its INVITE: to a failure, or from a peer that uses one branch for everything.
    fn ack_of_transaction(&mut self, now: Instant, id: u64, source: Source, message: Message) {
        let Some(entry) = self.servers.get_mut(id) else { return };
        let ServerMachine::Invite(machine) = &mut entry.machine else { return };
        match machine.state() {
            server_invite::State::Accepted | server_invite::State::Acknowledged => self.ack(now, source, message),
            _ => {
                let step = machine.acknowledge();
                if step.over {
                    self.close_server(now, id);
                } else {
                    // Only the ACK is still waited for: the response has done its work.
                    if machine.state() == server_invite::State::Confirmed {
                        entry.response = None;
                    }
                    self.arm(now, Owner::Server(id), step.repeat, step.limit);
                }
            }
        }
    }

    pub(super) fn repeat_response(&mut self, id: u64) {
        let Some(entry) = self.servers.get(id) else { return };
        if let Some(response) = entry.response.clone() {
            let (hop, local) = (entry.hop.clone(), entry.local);
            self.send_back(hop, local, response);
        }
    }

    /// Makes a server transaction of a request.
    pub(super) fn open(&mut self, now: Instant, fresh: Fresh, tag: String, leg: Option<LegId>) -> Option<u64> {
        let Fresh { source, message, method, key } = fresh;
        let hop = hop_of_response(&source, &message.top_via()?);
        let reliability = Reliability::from(source.protocol);
        let (machine, limit) = if method == Method::Invite {
            (ServerMachine::Invite(ServerInvite::start(self.timers(), reliability)), Change::Keep)
        } else {
            let (machine, step) = Server::start(self.timers(), reliability);
            (ServerMachine::Other(machine), step.limit)
        };
        let merge = self.keyer.merge(&message).filter(|_| message.to_tag().is_none() && method != Method::Cancel);
        let merge = merge.filter(|merge| !self.merge_index.contains_key(merge));
        let id = self.servers.insert(ServerEntry {
            machine,
            key,
            merge,
            hop,
            peer: source.peer,
            local: source.local,
            request: Some(Box::new(message)),
            response: None,
            tag,
            leg,
            alarms: Alarms::default(),
        });
        if let Some(key) = key {
            self.server_index.insert(key, id);
        }
        if let Some(merge) = merge {
            self.merge_index.insert(merge, id);
        }
        self.arm(now, Owner::Server(id), Change::Keep, limit);
        Some(id)
    }

    /// Answers a request at once, in a transaction of its own.
    pub(super) fn refuse(&mut self, now: Instant, fresh: Fresh, status: StatusCode, headers: &Headers) {
        let tag = self.entropy.hex(16);
        if let Some(id) = self.open(now, fresh, tag, None) {
            self.reply(now, id, &Reply::with(status, headers));
        }
    }

    /// Sends a response in a transaction and keeps what may have to be repeated. `false` if it has a final one already.
    pub(super) fn reply(&mut self, now: Instant, id: u64, reply: &Reply<'_>) -> bool {
        let Some(entry) = self.servers.get_mut(id) else { return false };
        let Some(request) = &entry.request else { return false };
        let contact = entry.leg.and_then(|leg| self.legs.get(leg.0)).map(|leg| leg.contact.as_str());
        let payload = reply.write(&self.settings, request, entry.peer, &entry.tag, contact);
        let (hop, local) = (entry.hop.clone(), entry.local);
        entry.response = Some(payload.clone());
        if reply.status.is_final() {
            entry.request = None;
        }
        // A proxy that proves itself for its caller (Kamailio's uac_auth) sends the INVITE again under its number: that
        // is not another way of the same request (§8.2.2.2), but what was asked for.
        if matches!(reply.status.get(), 401 | 407)
            && let Some(merge) = entry.merge.take()
        {
            self.merge_index.remove(&merge);
        }
        let class = Class::of(reply.status.get());
        let (repeat, limit, over) = match &mut entry.machine {
            // 100 says nothing to a proxy's Timer C, so it is not repeated every minute.
            ServerMachine::Invite(_) if reply.status.get() == 100 => (Change::Keep, Change::Keep, false),
            ServerMachine::Invite(machine) => {
                let step = machine.respond(class);
                (step.repeat, step.limit, step.over)
            }
            ServerMachine::Other(machine) => {
                // Kept for half a minute and rarely asked for: without the writer's spare room.
                entry.response = Some(Bytes::copy_from_slice(&payload));
                let step = machine.respond(class);
                (step.repeat, step.limit, step.over)
            }
        };
        self.send_back(hop, local, payload);
        if over {
            self.close_server(now, id);
        } else {
            self.arm(now, Owner::Server(id), repeat, limit);
        }
        true
    }

    /// The dialog is over: a 2xx that still waits for its ACK is not repeated any more.
    pub(super) fn stop_repeating(&mut self, now: Instant, id: u64) {
        let Some(entry) = self.servers.get_mut(id) else { return };
        let ServerMachine::Invite(machine) = &mut entry.machine else { return };
        let step = machine.abandon();
        entry.response = None;
        self.arm(now, Owner::Server(id), step.repeat, step.limit);
    }

    /// An ACK by its dialog (§13.3.1.4): it ends the wait of exactly one 2xx, and is reported exactly once.
    fn ack(&mut self, now: Instant, source: Source, message: Message) {
        let (Some(tag), Some(cseq)) = (message.to_tag(), message.cseq()) else { return };
        let key = self.keyer.leg(message.call_id(), tag);
        let Some(id) = self.leg_index.get(&key).copied() else { return };
        let Some(leg) = self.legs.get_mut(id) else { return };
        if leg.dialog.as_ref().is_none_or(|dialog| dialog.remote_tag() != message.from_tag()) {
            return;
        }
        let waiting = leg.unacknowledged.iter().position(|waiting| waiting.number == cseq.number);
        let Some(position) = waiting else { return };
        let server = leg.unacknowledged.remove(position).server;
        leg.peer = Some(source);
        leg.confirmed = true;
        if let Some(entry) = self.servers.get_mut(server)
            && let ServerMachine::Invite(machine) = &mut entry.machine
        {
            let step = machine.acknowledge();
            entry.response = None;
            self.arm(now, Owner::Server(server), step.repeat, step.limit);
        }
        self.events.push_back(Event::Acknowledged { leg: LegId(id), request: message });
        self.send_deferred_bye(now, LegId(id));
    }
}
