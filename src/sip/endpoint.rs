//! The user-agent core: messages and timers in, messages and events out. It owns the transactions, the dialogs and
//! their timers, so that the layer above sees legs and what happened to them, never a retransmission.

use super::{Hop, LocalAddress, Message, Source, StatusCode};

use bytes::Bytes;
use std::time::Duration;

/// Names one leg: one dialog-forming INVITE, sent or received, and everything that follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegId(pub u64);

/// Names a received non-INVITE request that waits for [`Endpoint::respond`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub u64);

/// Header fields that the caller adds to a message, in order: name and value, written as they are.
pub type Headers = Vec<(&'static str, String)>;

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
    Invited { leg: LegId, request: Message, source: Source },
    /// A re-INVITE in the dialog. Answer with `answer` or `reject`.
    Reinvited { leg: LegId, request: Message },
    /// A provisional response above 100 to our first INVITE.
    Progress { leg: LegId, response: Message },
    /// The first 2xx to our first INVITE (later forks are ACKed and BYEd inside). `acknowledge` must follow.
    Answered { leg: LegId, response: Message },
    /// 300 or above to our first INVITE; ACKed. Also the 487 after our CANCEL.
    Refused { leg: LegId, response: Message },
    /// No final response to our first INVITE.
    Unanswered { leg: LegId, why: Silence },
    /// 2xx to our re-INVITE. `acknowledge` must follow.
    ReinviteAnswered { leg: LegId, response: Message },
    /// 300 or above to our re-INVITE; the dialog stands (unless 408 or 481, when it is worth ending).
    ReinviteRefused { leg: LegId, status: StatusCode, response: Option<Message> },
    /// The ACK to our 2xx, first or re-INVITE, with its body if it has one.
    Acknowledged { leg: LegId, request: Message },
    /// 64*T1 passed without an ACK to our 2xx. Nothing was hung up: that is the layer above's decision.
    Unacknowledged { leg: LegId },
    /// CANCEL of the INVITE before our final response. CANCEL got 200 and the INVITE 487 already.
    Cancelled { leg: LegId, request: Message },
    /// BYE from the peer; answered 200 already. A pending (re-)INVITE of the peer got 487.
    HungUp { leg: LegId, request: Message },
    /// A request in the dialog whose method is in our Allow but needs the layer above. Answer with `respond`.
    InDialog { leg: LegId, id: RequestId, request: Message },
    /// A request outside a dialog that the layer above answers (OPTIONS). Answer with `respond`.
    OutOfDialog { id: RequestId, request: Message, source: Source },
    /// Every transaction and dialog of the leg is gone; the last event with this id.
    Closed { leg: LegId },
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
pub struct Endpoint;
