//! The thread of a shard: it moves datagrams between its own sockets and the sans-IO core, keeps the core's time, and
//! passes messages of other shards' calls on to their owners.

use super::router::{Control, Load, Router, ShardInbox};
use crate::call::{Answer, Output, Policy, Shard};
use crate::clock;
use crate::observe::Metrics;
use crate::observe::metrics as observed;
use crate::room::CompanionHandle;
use crate::sip::endpoint::SentId;
use crate::sip::endpoint::aim::Errand;
use crate::sip::transaction::ClientId;
use crate::sip::{Hop, Message, Protocol, Source, Transmit};
use crate::store::Recent;
use crate::transport::resolve::{Located, Resolver};
use crate::transport::tcp::HubHandle;
use crate::transport::udp::{self, LARGEST_DATAGRAM};
use bytes::Bytes;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;

/// Messages taken from one socket or channel before anything else gets its turn.
const BATCH: usize = 32;

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
            if self.around.router.has_one() {
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
}
