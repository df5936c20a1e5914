//! The rooms, tokens and held calls of a simulated Daily, and the rules of `pinlessCallUpdate` between them.
//! Plain state behind one lock: what a request may do is decided here and tested without sockets.

use super::account::Account;
use super::{DailyCall, DailyOptions, Endpoint, Misbehaviour, RestFault, Stage};
use crate::clock::Entropy;
use crate::sim::rtp::Heard;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use tokio::sync::{mpsc, watch};

/// Everything that changes.
#[derive(Debug)]
pub(in crate::sim) struct State {
    pub(in crate::sim) api: Option<SocketAddr>,
    pub(in crate::sim) webhook: Option<String>,
    pub(in crate::sim) events: Option<String>,
    /// Secrets of the two webhooks.
    pub(in crate::sim) hmac: String,
    pub(in crate::sim) events_hmac: String,
    /// Where calls arrive, without scheme.
    pub(in crate::sim) static_address: String,
    pub(in crate::sim) account: Account,
    pub(in crate::sim) misbehaviour: Misbehaviour,
    pub(in crate::sim) rest_faults: Vec<RestFault>,
    pub(in crate::sim) entropy: Entropy,
    script: VecDeque<Misbehaviour>,
    rooms: HashMap<String, Room>,
    calls: Vec<Entry>,
    /// How often a call changed.
    changes: watch::Sender<u64>,
}

/// A room.
#[derive(Debug)]
pub(super) struct Room {
    /// Its SIP endpoint, without scheme, if it has one.
    pub(super) endpoint: Option<String>,
    /// Tokens made for it.
    pub(super) tokens: Vec<String>,
    /// Whether `dialin-ready` fired.
    pub(super) ready: watch::Sender<bool>,
    /// Whether a bot is in it.
    pub(super) joined: bool,
    /// The call in it.
    call: Option<String>,
}

/// What a call's task is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// Leave the hold music for this room.
    Bridge(String),
    /// Updated before `dialin-ready`: hang up.
    Drop(&'static str),
    /// The bot left: the room is over.
    RoomOver,
}

/// A call and the way to its task.
#[derive(Debug)]
struct Entry {
    call: DailyCall,
    orders: mpsc::UnboundedSender<Order>,
    heard: Option<watch::Receiver<Heard>>,
    at_bridge: u64,
    refuse_update: Option<u16>,
}

/// What became of an update.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// The caller is on the way into this room.
    Done(String),
    /// The caller was dropped.
    Dropped(String),
    /// Refused with this status; `violation` if the gateway should have known better.
    Refused { status: u16, violation: Option<String> },
}

// === impl State ===

impl State {
    pub(super) fn new(options: &DailyOptions, script: VecDeque<Misbehaviour>, entropy: Entropy) -> Self {
        Self {
            api: None,
            webhook: options.webhook.clone(),
            events: options.events.clone(),
            hmac: options.hmac.clone(),
            events_hmac: options.events_hmac.clone(),
            static_address: String::new(),
            account: Account::default(),
            misbehaviour: options.misbehaviour.clone(),
            rest_faults: options.rest_faults.clone(),
            entropy,
            script,
            rooms: HashMap::new(),
            calls: vec![],
            changes: watch::Sender::new(0),
        }
    }

    /// What is wrong with the next call.
    pub(super) fn next_misbehaviour(&mut self) -> Misbehaviour {
        self.script.pop_front().unwrap_or_else(|| self.misbehaviour.clone())
    }

    /// The failure that a request has to meet, if any.
    pub(super) fn fault(&mut self, endpoint: Endpoint) -> Option<u16> {
        self.take_fault(|fault| fault.endpoint == endpoint && fault.status != RestFault::LOST)
    }

    /// Whether the answer of a request that took effect is lost.
    pub(super) fn loses(&mut self, endpoint: Endpoint) -> bool {
        self.take_fault(|fault| fault.endpoint == endpoint && fault.status == RestFault::LOST).is_some()
    }

    fn take_fault(&mut self, fits: impl Fn(&RestFault) -> bool) -> Option<u16> {
        let fault = self.rest_faults.iter_mut().find(|fault| fits(fault) && fault.times != Some(0))?;
        fault.times = fault.times.map(|times| times - 1);
        Some(fault.status)
    }

    /// A random id in the form of a UUID.
    pub(super) fn uuid(&mut self) -> String {
        let hex = self.entropy.hex(32);
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
    }

    pub(super) fn open_room(&mut self, name: &str, endpoint: Option<String>) -> bool {
        if self.rooms.contains_key(name) {
            return false;
        }
        let room = Room { endpoint, tokens: vec![], ready: watch::Sender::new(false), joined: false, call: None };
        self.rooms.insert(name.to_owned(), room);
        true
    }

    pub(super) fn room(&mut self, name: &str) -> Option<&mut Room> {
        self.rooms.get_mut(name)
    }

    pub(super) fn close_room(&mut self, name: &str) -> bool {
        let room = self.rooms.remove(name);
        let call = room.as_ref().and_then(|room| room.call.clone());
        self.order(call.as_deref(), Order::RoomOver);
        room.is_some()
    }

    /// The bot leaves; whoever is with it hears the end of the room.
    pub(super) fn leave_room(&mut self, name: &str) {
        let call = self.rooms.get_mut(name).and_then(|room| {
            room.joined = false;
            room.ready.send_replace(false);
            room.call.take()
        });
        self.order(call.as_deref(), Order::RoomOver);
    }

    fn order(&self, call_id: Option<&str>, order: Order) {
        let entry = self.calls.iter().find(|entry| Some(entry.call.call_id.as_str()) == call_id);
        if let Some(entry) = entry {
            let _ = entry.orders.send(order);
        }
    }

    pub(super) fn add_call(&mut self, call: DailyCall, refuse_update: Option<u16>) -> mpsc::UnboundedReceiver<Order> {
        let (orders, inbox) = mpsc::unbounded_channel();
        self.calls.push(Entry { call, orders, heard: None, at_bridge: 0, refuse_update });
        self.changed();
        inbox
    }

    pub(super) fn listen(&mut self, call_id: &str, heard: watch::Receiver<Heard>) {
        if let Some(entry) = self.entry(call_id) {
            entry.heard = Some(heard);
        }
    }

    /// Changes what is known of a call.
    pub(super) fn note(&mut self, call_id: &str, change: impl FnOnce(&mut DailyCall)) {
        if let Some(entry) = self.entry(call_id) {
            change(&mut entry.call);
        }
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Tells whenever a call is new, or moved on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn entry(&mut self, call_id: &str) -> Option<&mut Entry> {
        self.calls.iter_mut().find(|entry| entry.call.call_id == call_id)
    }

    pub(super) fn calls(&self) -> Vec<DailyCall> {
        self.calls.iter().map(Entry::report).collect()
    }

    /// `pinlessCallUpdate`.
    pub(super) fn update(&mut self, call_id: &str, call_domain: &str, sip_uri: &str) -> Update {
        self.changed();
        let refused = |status, violation: Option<String>| Update::Refused { status, violation };
        let Some(at) = self.calls.iter().position(|entry| entry.call.call_id == call_id) else {
            return refused(404, Some(format!("update of the unknown call {call_id}")));
        };
        let ended = self.calls.iter().filter(|entry| entry.call.stage == Stage::Ended);
        let over: Vec<String> = ended.map(|entry| entry.call.call_id.clone()).collect();
        let Some(entry) = self.calls.get_mut(at) else { return refused(404, None) };
        entry.call.updates += 1;
        if let Some(status) = entry.refuse_update {
            return refused(status, None);
        }
        if entry.call.call_domain != call_domain {
            return refused(404, Some(format!("update of {call_id} with callDomain {call_domain}")));
        }
        if entry.call.stage == Stage::Ended {
            return refused(404, None); // the caller may hang up at any time
        }
        if entry.call.stage == Stage::Bridged {
            return refused(404, Some(format!("second update of {call_id}")));
        }
        let endpoint = sip_uri.split('?').next().unwrap_or(sip_uri).trim_start_matches("sip:");
        let room = self.rooms.iter_mut().find(|(_, room)| room.endpoint.as_deref() == Some(endpoint));
        let Some((name, room)) = room else {
            return refused(404, Some(format!("update of {call_id} to {sip_uri}, which belongs to no room")));
        };
        if !sip_uri.starts_with("sip:") {
            return refused(400, Some(format!("update of {call_id} to {sip_uri}, which lacks its scheme")));
        }
        if !*room.ready.borrow() {
            let _ = entry.orders.send(Order::Drop("updated before dialin-ready"));
            return Update::Dropped(format!("update of {call_id} before dialin-ready of {name}"));
        }
        // An address can be dialled again once its caller is gone.
        if let Some(other) = room.call.as_ref().filter(|other| !over.contains(other)) {
            return refused(404, Some(format!("update of {call_id} to {sip_uri}, where {other} is already")));
        }
        room.call = Some(call_id.to_owned());
        entry.call.stage = Stage::Bridged;
        entry.call.room = Some(name.clone());
        entry.at_bridge = entry.heard.as_ref().map_or(0, |heard| heard.borrow().caller);
        let _ = entry.orders.send(Order::Bridge(name.clone()));
        Update::Done(name.clone())
    }
}

// === impl Entry ===

impl Entry {
    fn report(&self) -> DailyCall {
        let mut call = self.call.clone();
        if let Some(heard) = &self.heard {
            call.heard = *heard.borrow();
        }
        if call.room.is_some() {
            call.heard_in_room = call.heard.caller.saturating_sub(self.at_bridge);
        }
        call
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (State, mpsc::UnboundedReceiver<Order>) {
        let mut state = State::new(&DailyOptions::default(), VecDeque::new(), Entropy::seeded(1));
        let call = DailyCall {
            call_id: "c1".into(),
            call_domain: "d1".into(),
            sip_call_id: "s1".into(),
            from: String::new(),
            to: String::new(),
            sip_headers: serde_json::Map::new(),
            webhook_answers: vec![],
            stage: Stage::Held,
            status: Some(200),
            room: None,
            updates: 0,
            ended_by: None,
            reason: None,
            heard: Heard::default(),
            heard_in_room: 0,
        };
        let orders = state.add_call(call, None);
        assert!(state.open_room("r1", Some("r1.0@sip.example.com".into())));
        (state, orders)
    }

    fn refused(update: &Update) -> (u16, bool) {
        match update {
            Update::Refused { status, violation } => (*status, violation.is_some()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_update_after_ready_connects_and_a_second_one_is_a_violation() {
        let (mut state, mut orders) = state();
        state.room("r1").unwrap().ready.send_replace(true);
        assert_eq!(state.update("c1", "d1", "sip:r1.0@sip.example.com?x-a=1"), Update::Done("r1".into()));
        assert_eq!(orders.try_recv(), Ok(Order::Bridge("r1".into())));
        assert_eq!(refused(&state.update("c1", "d1", "sip:r1.0@sip.example.com")), (404, true));
        assert_eq!(state.calls()[0].updates, 2);
    }

    #[test]
    fn an_update_before_ready_drops_the_call() {
        let (mut state, mut orders) = state();
        assert!(matches!(state.update("c1", "d1", "sip:r1.0@sip.example.com"), Update::Dropped(_)));
        assert_eq!(orders.try_recv(), Ok(Order::Drop("updated before dialin-ready")));
    }

    #[test]
    fn an_update_that_names_something_wrong_is_not_found() {
        let (mut state, _orders) = state();
        state.room("r1").unwrap().ready.send_replace(true);
        assert_eq!(refused(&state.update("c2", "d1", "sip:r1.0@sip.example.com")), (404, true));
        assert_eq!(refused(&state.update("c1", "d2", "sip:r1.0@sip.example.com")), (404, true));
        assert_eq!(refused(&state.update("c1", "d1", "sip:r2.0@sip.example.com")), (404, true));
        assert_eq!(refused(&state.update("c1", "d1", "r1.0@sip.example.com")), (400, true));
        state.note("c1", |call| call.stage = Stage::Ended);
        assert_eq!(refused(&state.update("c1", "d1", "sip:r1.0@sip.example.com")), (404, false));
    }

    #[test]
    fn a_fault_with_a_count_wears_off() {
        let (mut state, _orders) = state();
        state.rest_faults = vec![RestFault::first(Endpoint::Rooms, 429, 2)];
        let seen: Vec<_> = (0..3).map(|_| state.fault(Endpoint::Rooms)).collect();
        assert_eq!(seen, [Some(429), Some(429), None]);
        assert_eq!(state.fault(Endpoint::Update), None);
    }

    #[test]
    fn who_leaves_a_room_ends_the_call_in_it() {
        let (mut state, mut orders) = state();
        state.room("r1").unwrap().ready.send_replace(true);
        state.update("c1", "d1", "sip:r1.0@sip.example.com");
        let _ = orders.try_recv();
        state.leave_room("r1");
        assert_eq!(orders.try_recv(), Ok(Order::RoomOver));
        assert_eq!(state.uuid().len(), 36);
    }
}
