//! The ways to the shards: what one can be told, by whom a message is owned, and the queues between. Apart from the
//! thread that reads them, because everybody in the process writes into them.

use super::moved::Moved;
use crate::call::{Answer, Page};
use crate::error::Termination;
use crate::media::MediaEvent;
use crate::observe::Metrics;
use crate::record::{CallId, CallRecord};
use crate::room::Instruction;
use crate::sip::endpoint::Standalone;
use crate::sip::header::Replaces;
use crate::sip::transaction::ClientId;
use crate::sip::{HeaderName, Message, Method, Source, Transmit};
use crate::store::Filter;
use crate::transport::resolve::Located;
use crate::transport::tcp::Waiting;
use crate::transport::udp::Undeliverable;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

/// Messages of other shards that may wait; more are dropped, as the network would.
const TRAFFIC: usize = 8_192;

/// What a shard is told by the rest of the process.
pub enum Control {
    /// The companion says something about a call.
    Instruct(CallId, Instruction),
    /// A media worker noticed something.
    Media(MediaEvent),
    /// Sending failed, for this reason.
    SendFailed(ClientId, Arc<str>),
    /// A datagram came back as undeliverable. Whose it was, the shards know.
    Undeliverable(Undeliverable),
    /// A name that a transaction waits for was looked up.
    Located(ClientId, Result<Located, String>),
    /// A name was resolved for this message, which belongs to no transaction.
    Resolved(Transmit),
    /// The live records from this place on that the filter wants, a page of them, please.
    Page(usize, Filter, oneshot::Sender<Page>),
    /// One live record, please.
    Record(CallId, oneshot::Sender<Option<CallRecord>>),
    /// End this call; says whether there was one.
    HangUp(CallId, Termination, oneshot::Sender<bool>),
    /// Send this outside of all calls and hand back what came of it.
    Ask(Box<Standalone>, oneshot::Sender<Answer>),
    /// Refuse new calls.
    Drain,
    /// End all calls.
    HangUpAll,
    /// Stop the thread.
    Stop,
}

/// How much a shard has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Calls whose end was not claimed.
    pub active: usize,
    /// Calls with a leg that is not closed.
    pub remaining: usize,
    /// How often a call was given something to do: while this stands still, so does every record.
    pub turns: u64,
    /// SIP dialogs.
    pub dialogs: usize,
    /// Media ports of open relays.
    pub media_ports: usize,
}

/// A way to reach a shard; cheap to clone.
#[derive(Clone)]
pub struct ShardHandle {
    control: mpsc::UnboundedSender<Control>,
    traffic: mpsc::Sender<(Source, Message)>,
    load: watch::Receiver<Load>,
}

/// The shard's ends of its channels.
pub struct ShardInbox {
    pub(super) control: mpsc::UnboundedReceiver<Control>,
    pub(super) traffic: mpsc::Receiver<(Source, Message)>,
    pub(super) load: watch::Sender<Load>,
}

/// Finds the shard of a message.
#[derive(Clone)]
pub struct Router {
    shards: Vec<ShardHandle>,
    hasher: RandomState,
    moved: Arc<Moved>,
    metrics: Metrics,
}

/// A shard's channels.
#[must_use]
pub fn channels() -> (ShardHandle, ShardInbox) {
    let (control, control_inbox) = mpsc::unbounded_channel();
    let (traffic, traffic_inbox) = mpsc::channel(TRAFFIC);
    let (load_sender, load) = watch::channel(Load::default());
    let handle = ShardHandle { control, traffic, load };
    (handle, ShardInbox { control: control_inbox, traffic: traffic_inbox, load: load_sender })
}

// === impl ShardHandle ===

impl ShardHandle {
    /// Tells the shard something; nothing happens when it is gone.
    pub fn control(&self, control: Control) {
        let _ = self.control.send(control);
    }

    /// Sends a request outside of all calls (OPTIONS, REGISTER) and waits for its final response, or for 408 or 503 in
    /// its place. `None` if the shard ends before.
    pub async fn ask(&self, question: Standalone) -> Option<Answer> {
        let (sender, answer) = oneshot::channel();
        self.control(Control::Ask(Box::new(question), sender));
        answer.await.ok()
    }

    /// Has its thread ended? Nothing that is hashed to it is answered then.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.control.is_closed()
    }

    /// Completes when its thread has ended.
    pub async fn ended(&self) {
        self.control.closed().await;
    }

    /// Its load, to wait on.
    #[must_use]
    pub fn load(&self) -> watch::Receiver<Load> {
        self.load.clone()
    }
}

// === impl Router ===

impl Router {
    /// Over these shards, in the order of their numbers.
    #[must_use]
    pub fn new(shards: Vec<ShardHandle>, metrics: Metrics) -> Self {
        Self { shards, hasher: RandomState::new(), moved: Arc::default(), metrics }
    }

    /// The owner of a Call-ID: ours say it (`tlNN-`), others are hashed.
    #[must_use]
    pub fn owner(&self, call_id: &[u8]) -> usize {
        let count = self.shards.len().max(1);
        if count == 1 {
            return 0;
        }
        let named = call_id
            .strip_prefix(b"tl")
            .and_then(|rest| rest.split_at_checked(2))
            .filter(|(_, rest)| rest.first() == Some(&b'-'))
            .and_then(|(digits, _)| usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match named {
            Some(number) if number < count => number,
            _ => (self.hasher.hash_one(call_id) % count as u64) as usize,
        }
    }

    /// The owner of a message: of its Call-ID, or of the call that it joins (RFC 3891), which it then follows.
    #[must_use]
    pub fn owner_of(&self, message: &Message) -> usize {
        let call_id = message.call_id();
        if self.shards.len() <= 1 {
            return 0;
        }
        if let Some(owner) = self.moved.owner(call_id) {
            return owner;
        }
        let owner = self.owner(call_id);
        let Some(replaces) = message.value(HeaderName::Replaces).filter(|_| message.method() == Method::Invite) else {
            return owner;
        };
        let joined = Replaces::parse(replaces).map_or(owner, |replaces| {
            let named = replaces.call_id.as_bytes();
            self.moved.owner(named).unwrap_or_else(|| self.owner(named))
        });
        if joined != owner {
            self.moved.insert(call_id, joined);
        }
        joined
    }

    /// Gives a datagram to its owner, unless that has more to do than it can: dropping is what the network does, and
    /// UDP peers retransmit.
    pub fn deliver(&self, source: Source, message: Message) {
        let Some(shard) = self.shards.get(self.owner_of(&message)) else { return };
        if let Err(TrySendError::Full(_)) = shard.traffic.try_send((source, message)) {
            self.metrics.sip_dropped();
        }
    }

    /// Gives a message of a stream to its owner. Nobody repeats what a stream has delivered (RFC 3261 §17.1.1.1), so
    /// none is dropped: where there is no room, what comes back waits for it, and the stream with it.
    #[must_use]
    pub fn deliver_surely(&self, source: Source, message: Message) -> Option<Waiting> {
        let shard = self.shards.get(self.owner_of(&message))?;
        let TrySendError::Full(full) = shard.traffic.try_send((source, message)).err()? else { return None };
        let traffic = shard.traffic.clone();
        // An error means that the shard has ended.
        Some(Box::pin(async move { drop(traffic.send(full).await) }))
    }

    /// Is there only one? Then every message is its own.
    #[must_use]
    pub fn has_one(&self) -> bool {
        self.shards.len() == 1
    }

    /// The shard of this number.
    #[must_use]
    pub fn shard(&self, number: u8) -> Option<&ShardHandle> {
        self.shards.get(usize::from(number))
    }

    /// Tells the owner of a transaction that sending failed.
    pub fn send_failed(&self, transaction: ClientId, why: Arc<str>) {
        if let Some(shard) = self.shards.get(transaction.shard()) {
            shard.control(Control::SendFailed(transaction, why));
        }
    }

    /// Tells every shard about a datagram that came back: the sockets of one address are one to the network, so that any
    /// of them may be told.
    pub(super) fn undeliverable(&self, lost: &Undeliverable) {
        for shard in &self.shards {
            shard.control(Control::Undeliverable(lost.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Protocol;
    use std::net::SocketAddr;

    fn message(number: usize) -> Message {
        let text = format!("OPTIONS sip:a@example.com SIP/2.0\r\nCall-ID: {number}\r\n\r\n");
        Message::parse(text.into()).unwrap()
    }

    fn source(protocol: Protocol) -> Source {
        let address: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        Source { protocol, peer: address, local: address, connection: None }
    }

    #[tokio::test]
    async fn a_shard_with_too_much_to_do_loses_datagrams_and_counts_them_but_nothing_of_a_stream() {
        let ((handle, mut inbox), metrics) = (channels(), Metrics::new());
        let router = Router::new(vec![handle], metrics.clone());
        for number in 0..TRAFFIC {
            router.deliver(source(Protocol::Udp), message(number));
        }
        assert!(!metrics.encode().contains("trunkline_sip_dropped_total 1"));
        router.deliver(source(Protocol::Udp), message(TRAFFIC));
        assert!(metrics.encode().contains("trunkline_sip_dropped_total 1"));
        let waiting = router.deliver_surely(source(Protocol::Tcp), message(TRAFFIC + 1)).expect("no room");
        let waiting = tokio::spawn(waiting);
        for number in 0..TRAFFIC {
            assert_eq!(inbox.traffic.recv().await.unwrap().1.call_id(), number.to_string().as_bytes());
        }
        waiting.await.unwrap();
        assert_eq!(inbox.traffic.recv().await.unwrap().1.call_id(), (TRAFFIC + 1).to_string().as_bytes());
        assert!(router.deliver_surely(source(Protocol::Tcp), message(0)).is_none(), "there is room again");
    }

    #[test]
    fn a_shard_whose_thread_ended_is_gone() {
        let (handle, inbox) = channels();
        assert!(!handle.is_gone());
        drop(inbox);
        assert!(handle.is_gone());
    }
}
