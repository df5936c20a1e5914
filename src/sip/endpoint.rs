//! The user-agent core: messages and timers in, messages and events out. It owns the transactions, the dialogs and
//! their timers, so that the layer above sees legs and what happened to them, never a retransmission.

pub mod aim;
mod arena;
mod asking;
mod callee;
mod caller;
mod cancel;
mod challenged;
mod clock;
mod compose;
mod doubt;
mod extensions;
mod fork;
mod inbound;
mod inside;
mod leg;
mod methods;
mod outside;
mod provisional;
mod refresh;
mod replies;
mod retry;
mod table;

#[cfg(test)]
mod tests;

pub use asking::{OwnContact, Standalone};
pub use extensions::{Acknowledges, Terms, Unfit};
pub use methods::{ALLOW, SUPPORTED};

use super::auth::{Guard, Refusal};
use super::header::Replaces;
use super::timer::TimerWheel;
use super::transaction::Timers;
use super::transaction::key::{Index, Keyer};
use super::{Hop, LocalAddress, Message, Source, StatusCode, Transmit};
use crate::clock::Entropy;
use arena::Arena;
use leg::Leg;
use table::{Alarm, ClientEntry, ServerEntry};

use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;

/// Names one leg: one dialog-forming INVITE, sent or received, and everything that follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegId(pub u64);

/// Names a received non-INVITE request that waits for [`Endpoint::respond`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub u64);

/// Names a request of ours, none of INVITE, ACK, CANCEL and BYE, until its [`Event::Replied`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SentId(pub u64);

/// Header fields that the caller adds to a message, in order: name and value, written as they are.
pub type Headers = Vec<(std::borrow::Cow<'static, str>, String)>;

/// A message body with its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// `Content-Type`, for example `application/sdp`.
    pub content_type: &'static str,
    /// The bytes.
    pub bytes: Bytes,
}

/// What the endpoint needs to know about itself.
#[derive(Debug, Clone)]
pub struct Settings {
    /// RFC 3261 T1, round-trip estimate [500 ms].
    pub t1: Duration,
    /// RFC 3261 T2, cap of non-INVITE and 2xx retransmission [4 s].
    pub t2: Duration,
    /// RFC 3261 T4, how long the network may keep a message [5 s].
    pub t4: Duration,
    /// `User-Agent` of requests and `Server` of responses.
    pub user_agent: String,
    /// Our addresses; the first that fits protocol and family is used.
    pub locals: Vec<LocalAddress>,
    /// The Call-IDs that we create start with this (it names the shard).
    pub call_id_prefix: String,
    /// The number of the shard, part of the names of its transactions.
    pub shard: u8,
}

/// A new dialog-forming INVITE to send.
#[derive(Debug, Clone)]
pub struct Invite {
    /// Request-URI, without a header part.
    pub request_uri: String,
    /// Where it goes.
    pub hop: Hop,
    /// `From` name-addr without tag, for example `"Anna" <sip:+15551234@gw.example.com>`.
    pub from: String,
    /// `To` name-addr without tag.
    pub to: String,
    /// User part of our Contact; may be empty.
    pub contact_user: String,
    /// `Max-Forwards` to send.
    pub max_forwards: u8,
    /// More header fields.
    pub headers: Headers,
    /// The offer, if any.
    pub body: Option<Body>,
}

/// Why an INVITE of ours got no final response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Timer B or the peer never sent a final response after a provisional one (Timer C, after [`Endpoint::cancel`]).
    Timeout,
    /// The transport could not deliver it.
    Transport,
}

/// What happened. Retransmissions, 100s, ACKs to failures, stray and forked messages never come up here.
#[derive(Debug)]
pub enum Event {
    /// A new call: an INVITE outside a dialog. 100 is sent. Answer with `provisional`, `answer` or `reject`.
    Invited {
        /// The new leg.
        leg: LegId,
        /// The INVITE.
        request: Message,
        /// Where it came from.
        source: Source,
    },
    /// A re-INVITE in the dialog. Answer with `answer` or `reject`.
    Reinvited {
        /// The leg.
        leg: LegId,
        /// The re-INVITE.
        request: Message,
    },
    /// A provisional response above 100 to our first INVITE.
    Progress {
        /// The leg.
        leg: LegId,
        /// The response.
        response: Message,
    },
    /// The first 2xx to our first INVITE (later forks are ACKed and BYEd inside). `acknowledge` must follow.
    Answered {
        /// The leg.
        leg: LegId,
        /// The response.
        response: Message,
    },
    /// 300 or above to our first INVITE; ACKed. Also the 487 after our CANCEL. `Closed` follows.
    Refused {
        /// The leg.
        leg: LegId,
        /// The response.
        response: Message,
    },
    /// No final response to our first INVITE. `Closed` follows.
    Unanswered {
        /// The leg.
        leg: LegId,
        /// Why.
        why: Silence,
    },
    /// 2xx to our re-INVITE. `acknowledge` must follow.
    ReinviteAnswered {
        /// The leg.
        leg: LegId,
        /// The response.
        response: Message,
    },
    /// 300 or above to our re-INVITE; the dialog stands (unless 408 or 481, when it is worth ending).
    ReinviteRefused {
        /// The leg.
        leg: LegId,
        /// The status; 408 when nothing came in time and 503 when sending failed.
        status: StatusCode,
        /// The response, if one came.
        response: Option<Message>,
    },
    /// A refresh of ours by re-INVITE was answered and acknowledged; the response may describe the peer anew.
    Refreshed {
        /// The leg.
        leg: LegId,
        /// The response.
        response: Message,
    },
    /// The session is to be refreshed, and the peer takes no UPDATE: [`Endpoint::refresh`] is to be called.
    RefreshDue {
        /// The leg.
        leg: LegId,
    },
    /// Nobody refreshed the session in time (RFC 4028 §10). Nothing was hung up: that is the layer above's decision.
    SessionExpired {
        /// The leg.
        leg: LegId,
    },
    /// A reliable provisional response of ours was not acknowledged in 64*T1: the INVITE is to be refused with 5xx
    /// (RFC 3262 §3), by the layer above.
    Unpracked {
        /// The leg.
        leg: LegId,
    },
    /// The ACK to our 2xx, first or re-INVITE, with its body if it has one.
    Acknowledged {
        /// The leg.
        leg: LegId,
        /// The ACK.
        request: Message,
    },
    /// 64*T1 passed without an ACK to our 2xx. Nothing was hung up: that is the layer above's decision. Does not come
    /// after [`Endpoint::bye`].
    Unacknowledged {
        /// The leg.
        leg: LegId,
    },
    /// CANCEL of the INVITE before our final response. CANCEL got 200 and the INVITE 487 already. `Closed` follows
    /// when it was the first INVITE; when it was a re-INVITE the dialog stands.
    Cancelled {
        /// The leg.
        leg: LegId,
        /// The CANCEL.
        request: Message,
    },
    /// BYE from the peer; answered 200 already. A pending (re-)INVITE of the peer got 487. `Closed` follows. Does not
    /// come after [`Endpoint::bye`]: who hung up first has hung up.
    HungUp {
        /// The leg.
        leg: LegId,
        /// The BYE.
        request: Message,
    },
    /// A request outside a dialog that the layer above answers (OPTIONS). Answer with `respond` within 64*T1.
    OutOfDialog {
        /// What to answer it by.
        id: RequestId,
        /// The request.
        request: Message,
        /// Where it came from.
        source: Source,
    },
    /// A request in the dialog that is none of INVITE, ACK, CANCEL, BYE and OPTIONS. Answer with `respond` within 64*T1.
    Requested {
        /// The leg.
        leg: LegId,
        /// What to answer it by.
        id: RequestId,
        /// The request.
        request: Message,
    },
    /// The final response to a request of `send_standalone` or `send_inside`, or its absence.
    Replied {
        /// The request.
        sent: SentId,
        /// The leg, if it was sent in a dialog.
        leg: Option<LegId>,
        /// The status; 408 when nothing came in time and 503 when sending failed.
        status: StatusCode,
        /// The response, if one came.
        response: Option<Message>,
    },
    /// Something about the way of our INVITE that is worth knowing: which address a name came to, and why another one is
    /// tried.
    Noted {
        /// The leg.
        leg: LegId,
        /// In words.
        note: String,
    },
    /// A request in the dialog came from elsewhere and was not believed; it is answered. For the record.
    Doubted {
        /// The leg.
        leg: LegId,
        /// Why.
        why: Refusal,
    },
    /// The dialog of the leg is gone and nothing more can happen to the call; the last event with this id. It is the
    /// only event after a `cancel` that lost against a 2xx (which was ACKed and BYEd inside).
    Closed {
        /// The leg.
        leg: LegId,
    },
}

/// A command that does not fit the leg's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The leg is unknown or already closed.
    #[error("no such leg")]
    NoSuchLeg,
    /// Another INVITE transaction of this leg is not finished (RFC 3261 §14.1).
    #[error("an INVITE is already in progress on this leg")]
    Pending,
    /// The leg is in no state for this.
    #[error("the leg's state does not allow this")]
    WrongState,
}

/// Why there is no dialog to replace (RFC 3891 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoDialog {
    /// None has this name: 481.
    Unknown,
    /// It is being ended: 603.
    Ended,
    /// It is answered, and only an early one was to be replaced: 486.
    Answered,
}

/// Live objects, for gauges and for tests that want zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Transactions, completed ones that absorb retransmissions included.
    pub transactions: usize,
    /// Dialogs, early ones included.
    pub dialogs: usize,
    /// Legs that did not yet send `Closed`.
    pub legs: usize,
    /// Armed timers.
    pub timers: usize,
}

/// The core itself.
#[derive(Debug)]
pub struct Endpoint {
    settings: Settings,
    entropy: Entropy,
    keyer: Keyer,
    wheel: TimerWheel<Alarm>,
    servers: Arena<ServerEntry>,
    server_index: Index<u64>,
    merge_index: Index<u64>,
    clients: Arena<ClientEntry>,
    client_index: Index<u64>,
    legs: Arena<Leg>,
    leg_index: Index<u64>,
    /// Dialogs of all legs, early ones included: counted here, as the gauges ask after every message.
    dialogs: usize,
    reach: aim::Reach,
    datagram_only: aim::DatagramOnly,
    /// Checks what has to be proven.
    guard: Option<Guard>,
    transmits: VecDeque<Transmit>,
    errands: VecDeque<aim::Errand>,
    events: VecDeque<Event>,
}

// === impl Endpoint ===

impl Endpoint {
    /// An endpoint without calls. All its tags and branches follow from `entropy`.
    #[must_use]
    pub fn new(settings: Settings, mut entropy: Entropy) -> Self {
        let keyer = Keyer::new(&mut entropy);
        let shard = settings.shard;
        Self {
            settings,
            entropy,
            keyer,
            wheel: TimerWheel::new(),
            servers: Arena::new(shard),
            server_index: Index::default(),
            merge_index: Index::default(),
            clients: Arena::new(shard),
            client_index: Index::default(),
            legs: Arena::new(shard),
            leg_index: Index::default(),
            dialogs: 0,
            reach: aim::Reach::default(),
            datagram_only: aim::DatagramOnly::default(),
            guard: None,
            transmits: VecDeque::new(),
            errands: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Replaces our addresses, for example once the sockets are bound. Existing dialogs keep their Contact.
    pub fn set_locals(&mut self, locals: Vec<LocalAddress>) {
        self.settings.locals = locals;
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event for the layer above.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The Call-ID of a leg that is not closed.
    #[must_use]
    pub fn call_id(&self, leg: LegId) -> Option<&str> {
        self.legs.get(leg.0).map(|leg| leg.call_id.as_str())
    }

    /// The answered leg whose dialog a `Replaces` names (RFC 3891 §3), or [`NoDialog`].
    ///
    /// # Errors
    /// Why there is none that could be replaced.
    pub fn replaced_by(&self, replaces: &Replaces) -> Result<LegId, NoDialog> {
        let key = self.keyer.leg(replaces.call_id.as_bytes(), replaces.to_tag.as_bytes());
        let id = self.leg_index.get(&key).copied().ok_or(NoDialog::Unknown)?;
        let leg = self.legs.get(id).ok_or(NoDialog::Unknown)?;
        let dialog = leg.dialog.as_ref().ok_or(NoDialog::Unknown)?;
        if dialog.remote_tag() != Some(replaces.from_tag.as_bytes()) {
            return Err(NoDialog::Unknown);
        }
        if !matches!(leg.bye, leg::Bye::No) {
            return Err(NoDialog::Ended);
        }
        // §3: an early dialog can only be replaced by who began it, and nobody replaces calls that we began.
        if !leg.answered {
            return Err(NoDialog::Unknown);
        }
        if replaces.early_only { Err(NoDialog::Answered) } else { Ok(LegId(id)) }
    }

    /// What lives. Costs next to nothing.
    #[must_use]
    pub fn census(&self) -> Census {
        Census {
            transactions: self.servers.len() + self.clients.len(),
            dialogs: self.dialogs,
            legs: self.legs.len(),
            timers: self.wheel.len(),
        }
    }

    fn timers(&self) -> Timers {
        Timers { t1: self.settings.t1, t2: self.settings.t2, t4: self.settings.t4 }
    }
}
