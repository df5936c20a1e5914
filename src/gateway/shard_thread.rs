//! The thread of a shard: it moves datagrams between its own sockets and the sans-IO core, keeps the core's time, and
//! passes messages of other shards' calls on to their owners.

use super::moved::Moved;
use crate::call::{Answer, Output, Page, Policy, Shard};
use crate::clock;
use crate::error::Termination;
use crate::media::MediaEvent;
use crate::observe::Metrics;
use crate::observe::metrics as observed;
use crate::record::{CallId, CallRecord};
use crate::room::{CompanionHandle, Instruction};
use crate::sip::endpoint::aim::Errand;
use crate::sip::endpoint::{SentId, Standalone};
use crate::sip::header::Replaces;
use crate::sip::transaction::ClientId;
use crate::sip::{HeaderName, Hop, Message, Method, Protocol, Source, Transmit};
use crate::store::{Filter, Recent};
use crate::transport::resolve::{Located, Resolver};
use crate::transport::tcp::{HubHandle, Waiting};
use crate::transport::udp::{self, LARGEST_DATAGRAM, Undeliverable};
use bytes::Bytes;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

/// Messages taken from one socket or channel before anything else gets its turn.
const BATCH: usize = 32;
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
    control: mpsc::UnboundedReceiver<Control>,
    traffic: mpsc::Receiver<(Source, Message)>,
    load: watch::Sender<Load>,
}

/// Finds the shard of a message.
#[derive(Clone)]
pub struct Router {
    shards: Vec<ShardHandle>,
    hasher: RandomState,
    moved: Arc<Moved>,
    metrics: Metrics,
}

/// Everything the thread needs besides its shard.
pub struct Surroundings {
    /// This shard's number.
    pub number: u8,
    /// Its own UDP sockets.
    pub sockets: Vec<std::net::UdpSocket>,
    /// The streams.
    pub tcp: HubHandle,
    /// Names.
    pub resolver: Arc<Resolver>,
    /// Where slow work runs.
    pub runtime: tokio::runtime::Handle,
    /// The other shards.
    pub router: Router,
    /// The companion, if there is one.
    pub companion: Option<CompanionHandle>,
    /// Finished records.
    pub recent: Arc<Recent>,
    /// Gauges.
    pub metrics: Metrics,
    /// Whose guard is asked before anything is read.
    pub policy: Arc<Policy>,
}

struct ShardThread {
    shard: Shard,
    around: Surroundings,
    /// To read from, as the runtime says that there is something.
    sockets: Vec<(SocketAddr, Arc<UdpSocket>)>,
    /// The same sockets, to send with. Not by way of the runtime: until it has looked at a socket for the first time it
    /// says that a send would block, and the first answers would be lost.
    senders: Vec<(SocketAddr, std::net::UdpSocket)>,
    inbox: ShardInbox,
    buffer: Vec<u8>,
    gauges: Arc<observed::ShardGauges>,
    /// Who waits for the answer to a request outside of all calls.
    asked: HashMap<SentId, oneshot::Sender<Answer>>,
    stopping: bool,
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

/// Runs a shard on the calling thread until it is told to stop.
///
/// # Errors
/// The runtime or a socket cannot be set up.
pub fn run(shard: Shard, mut around: Surroundings, inbox: ShardInbox) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let (mut sockets, mut senders) = (Vec::new(), Vec::new());
        for socket in std::mem::take(&mut around.sockets) {
            let local = socket.local_addr()?;
            sockets.push((local, Arc::new(UdpSocket::from_std(socket.try_clone()?)?)));
            senders.push((local, socket));
        }
        for (_, socket) in &sockets {
            tokio::spawn(watch_for_losses(Arc::clone(socket), around.router.clone()));
        }
        let gauges = around.metrics.shard();
        let (buffer, asked) = (vec![0; LARGEST_DATAGRAM], HashMap::new());
        let mut thread = ShardThread { shard, around, sockets, senders, inbox, buffer, gauges, asked, stopping: false };
        thread.serve().await;
        Ok(())
    })
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
    fn undeliverable(&self, lost: &Undeliverable) {
        for shard in &self.shards {
            shard.control(Control::Undeliverable(lost.clone()));
        }
    }
}

/// Hands on what the network says about datagrams of this socket that reached nobody. A task of its own: the loop would
/// have to look after each message for what hardly ever happens.
async fn watch_for_losses(socket: Arc<UdpSocket>, router: Router) {
    while socket.ready(Interest::ERROR).await.is_ok() {
        let next = || socket.try_io(Interest::ERROR, || udp::undeliverable(socket.as_ref()));
        while let Ok(found) = next() {
            if let Some(lost) = found {
                router.undeliverable(&lost);
            }
        }
    }
}

/// The socket that has to send, or else the first that can reach `to`.
fn pick<S>(sockets: &[(SocketAddr, S)], from: Option<SocketAddr>, to: SocketAddr) -> Option<&S> {
    let named = sockets.iter().find(|(local, _)| Some(*local) == from);
    let able = || sockets.iter().find(|(local, _)| local.is_ipv4() == to.is_ipv4());
    named.or_else(able).map(|(_, socket)| socket)
}

/// What the loop woke up for.
#[expect(
    clippy::large_enum_variant,
    reason = "one value at a time, on the stack of the loop; a box would cost each message"
)]
enum Woken {
    Control(Option<Control>),
    Traffic(Option<(Source, Message)>),
    Readable(usize),
    Time,
}

// === impl ShardThread ===

impl ShardThread {
    async fn serve(&mut self) {
        while !self.stopping {
            self.flush();
            self.publish();
            let woken = self.wait().await;
            let now = clock::now();
            match woken {
                Woken::Control(Some(control)) => self.obey(now, control),
                Woken::Control(None) => self.stopping = true,
                Woken::Traffic(Some((source, message))) => {
                    self.shard.receive_message(now, source, message);
                    self.read_traffic(now);
                }
                Woken::Readable(index) => {
                    self.read(now, index);
                    // A socket that is never empty must not keep the streams and the other shards waiting.
                    self.read_traffic(now);
                }
                Woken::Traffic(None) | Woken::Time => {}
            }
            if self.shard.next_timeout().is_some_and(|at| at <= now) {
                self.shard.expire(now);
            }
        }
        self.flush();
        self.publish();
    }

    async fn wait(&mut self) -> Woken {
        let deadline = self.shard.next_timeout();
        let sockets = &self.sockets;
        let readable = std::future::poll_fn(|context| {
            for (index, (_, socket)) in sockets.iter().enumerate() {
                if socket.poll_recv_ready(context).is_ready() {
                    return Poll::Ready(index);
                }
            }
            Poll::Pending
        });
        let timer = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            control = self.inbox.control.recv() => Woken::Control(control),
            index = readable => Woken::Readable(index),
            message = self.inbox.traffic.recv() => Woken::Traffic(message),
            () = timer => Woken::Time,
        }
    }

    /// Reads a batch from one socket.
    fn read(&mut self, now: std::time::Instant, index: usize) {
        for _ in 0..BATCH {
            let Some((local, socket)) = self.sockets.get(index) else { return };
            let (length, peer) = match socket.try_recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // An ICMP error about an earlier datagram; it says nothing about the next.
                Err(_) => continue,
            };
            let source = Source { protocol: Protocol::Udp, peer, local: *local, connection: None };
            let Some(datagram) = self.buffer.get(..length) else { continue };
            if let Err(refusal) = self.around.policy.guard.packet(now, peer.ip(), datagram) {
                self.around.metrics.admission_refused(refusal.code());
                continue;
            }
            let payload = Bytes::copy_from_slice(datagram);
            if self.around.router.shards.len() == 1 {
                self.shard.receive(now, source, payload);
                self.flush();
                continue;
            }
            match Message::parse(payload.clone()) {
                Ok(message) if self.around.router.owner_of(&message) == usize::from(self.around.number) => {
                    self.shard.receive_message(now, source, message);
                }
                Ok(message) => self.around.router.deliver(source, message),
                Err(_) => self.shard.receive(now, source, payload),
            }
            self.flush();
        }
    }

    fn read_traffic(&mut self, now: std::time::Instant) {
        for _ in 0..BATCH {
            let Ok((source, message)) = self.inbox.traffic.try_recv() else { return };
            self.shard.receive_message(now, source, message);
        }
    }

    fn obey(&mut self, now: std::time::Instant, control: Control) {
        match control {
            Control::Instruct(call_id, instruction) => self.shard.instruct(now, &call_id, instruction),
            Control::Media(event) => self.shard.media(now, event),
            Control::SendFailed(transaction, why) => self.shard.undelivered(now, transaction, &why),
            Control::Undeliverable(lost) => self.shard.undeliverable(now, lost.to, &lost.quoted),
            Control::Located(transaction, found) => {
                let found = found.as_ref().map(|located| (located.hops.clone(), located.by));
                self.shard.located(now, transaction, found.map_err(String::as_str));
            }
            Control::Resolved(transmit) => self.send(transmit),
            Control::Page(from, filter, reply) => {
                let _ = reply.send(self.shard.page(from, |record| filter.wants(record)));
            }
            Control::Record(call_id, reply) => {
                let _ = reply.send(self.shard.record(&call_id));
            }
            Control::HangUp(call_id, end, reply) => {
                let _ = reply.send(self.shard.hang_up(now, &call_id, end));
            }
            Control::Ask(question, reply) => {
                let sent = self.shard.ask(now, *question);
                self.asked.insert(sent, reply);
            }
            Control::Drain => self.shard.drain(),
            Control::HangUpAll => self.shard.stop(now),
            Control::Stop => {
                self.shard.stop(now);
                self.stopping = true;
            }
        }
    }

    /// Sends and hands on what the core has to say.
    fn flush(&mut self) {
        while let Some(transmit) = self.shard.poll_transmit() {
            self.send(transmit);
        }
        while let Some(errand) = self.shard.poll_errand() {
            match errand {
                Errand::Locate { transaction, hop } => self.locate(transaction, hop),
                Errand::Avoid { hop, span } => self.around.resolver.avoid(&hop, span),
            }
        }
        while let Some(output) = self.shard.poll_output() {
            match output {
                Output::Report(report) => {
                    if let Some(companion) = &self.around.companion {
                        companion.report(report);
                    }
                }
                Output::Finished(record) => {
                    crate::observe::log::call_finished(&record);
                    self.around.recent.push(*record);
                }
                Output::Replied(sent, answer) => {
                    if let Some(reply) = self.asked.remove(&sent) {
                        let _ = reply.send(*answer);
                    }
                }
            }
        }
    }

    fn send(&mut self, transmit: Transmit) {
        if let (Some(to), false) = (transmit.hop.address.socket(), transmit.payload.starts_with(b"SIP/2.0")) {
            self.around.policy.guard.acquaint(to.ip());
        }
        match (transmit.hop.address.socket(), transmit.hop.protocol) {
            (Some(to), Protocol::Udp) => {
                let mut lost = Vec::new();
                let socket = pick(&self.senders, transmit.from, to);
                let sent = socket.map(|socket| udp::send(socket, &transmit.payload, to, &mut lost));
                for lost in &lost {
                    self.around.router.undeliverable(lost);
                }
                match sent {
                    // A full buffer is a lost datagram: the transaction sends again.
                    Some(Ok(())) => {}
                    Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {}
                    Some(Err(error)) => self.blame(&transmit, &error.to_string()),
                    None => self.blame(&transmit, "[sip] has no udp listener of that family"),
                }
            }
            (Some(_), Protocol::Tcp | Protocol::Tls) => self.around.tcp.send(transmit),
            (None, _) => self.resolve(transmit),
        }
    }

    fn blame(&mut self, transmit: &Transmit, why: &str) {
        if let Some(transaction) = transmit.transaction {
            self.shard.undelivered(clock::now(), transaction, why);
        }
    }

    /// Looks a name up off this thread and comes back with all of its addresses.
    fn locate(&mut self, transaction: ClientId, hop: Hop) {
        let Some(myself) = self.around.router.shard(self.around.number).cloned() else { return };
        let resolver = self.around.resolver.clone();
        self.around.runtime.spawn(async move {
            let found = resolver.locate(&hop).await.map_err(|error| error.to_string());
            if let Err(error) = &found {
                tracing::warn!(%hop, %error, "a name of the route cannot be resolved");
            }
            myself.control(Control::Located(transaction, found));
        });
    }

    /// The same for a message of no transaction: it goes to the first address, by the protocol that it was written for.
    fn resolve(&mut self, transmit: Transmit) {
        let Some(myself) = self.around.router.shard(self.around.number).cloned() else { return };
        let resolver = self.around.resolver.clone();
        self.around.runtime.spawn(async move {
            match resolver.locate(&transmit.hop).await {
                Ok(Located { hops, .. }) => {
                    let same = hops.iter().find(|hop| hop.protocol == transmit.hop.protocol);
                    if let Some(hop) = same.or(hops.first()).cloned() {
                        myself.control(Control::Resolved(Transmit { hop, ..transmit }));
                    }
                }
                Err(error) => tracing::warn!(hop = %transmit.hop, %error, "a name of the route cannot be resolved"),
            }
        });
    }

    /// Shows the load to those who wait for it and to the gauges.
    fn publish(&mut self) {
        let census = self.shard.census();
        let load = Load {
            active: self.shard.active(),
            remaining: self.shard.remaining(),
            turns: self.shard.turns(),
            dialogs: census.dialogs,
            media_ports: self.shard.ports_in_use(),
        };
        self.gauges.set(observed::Load {
            calls: load.active as u64,
            dialogs: census.dialogs as u64,
            transactions: census.transactions as u64,
            timers: census.timers as u64,
            media_ports: load.media_ports as u64,
        });
        // After the gauges and the finished records, so that whoever is woken by it finds them.
        self.inbox.load.send_if_modified(|shown| std::mem::replace(shown, load) != load);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_leaves_from_where_its_request_came_to_and_a_request_from_any_socket_of_the_family() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (six, one, two) = (address("[2001:db8::1]:5060"), address("192.0.2.1:5060"), address("192.0.2.1:5070"));
        let sockets = [(six, 6), (one, 1), (two, 2)];
        let to = address("198.51.100.1:5060");
        assert_eq!(pick(&sockets, Some(two), to), Some(&2));
        assert_eq!(pick(&sockets, Some(address("192.0.2.9:1")), to), Some(&1));
        assert_eq!(pick(&sockets, None, to), Some(&1));
        assert_eq!(pick(&sockets, None, address("[2001:db8::2]:5060")), Some(&6));
        assert_eq!(pick(&sockets[..1], None, to), None);
    }

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
