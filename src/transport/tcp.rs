//! SIP over TCP and TLS (RFC 3261 §18, RFC 5626 §4.4.1 keep-alives): accepts, connects, frames, reuses connections. Apart
//! from datagrams because a stream has a life of its own: it must be found again, opened, limited and given up.

mod connection;
mod register;
mod secure;

use crate::clock;
use crate::sip::transaction::ClientId;
use crate::sip::wire::frame;
use crate::sip::{Hop, Protocol, Source, Transmit};
use crate::tls::{Clients, Server};
use bytes::Bytes;
use connection::{Conversation, End, Outcome, Outgoing};
use register::{Door, Found, Register};
use secure::Stream;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// How long accepting rests when the system refuses (out of file descriptors), so that it does not spin.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Listens on `address`. Must be called within a tokio runtime.
///
/// # Errors
/// The address is not ours, in use, or not permitted.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() {
        // An IPv4 listener is a line of its own in the configuration, as with UDP.
        socket2::SockRef::from(&socket).set_only_v6(true)?;
    }
    socket.set_reuseaddr(true)?; // a restart finds connections of its predecessor in TIME_WAIT
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What comes out of the hub.
#[derive(Debug)]
pub enum TcpInput {
    /// One whole message.
    Message {
        /// Where it came from; `connection` is always given.
        source: Source,
        /// Its bytes.
        bytes: Bytes,
    },
    /// The message of a client transaction was not sent.
    SendFailed {
        /// Whose.
        transaction: ClientId,
        /// In words.
        why: Arc<str>,
    },
    /// A TLS handshake is over.
    Handshake {
        /// Who began it.
        by: Initiator,
        /// `ok`, or why not, as a bounded word.
        result: &'static str,
    },
    /// A connection was turned away: there are too many, of its source or in all.
    TurnedAway,
}

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initiator {
    /// The peer.
    Peer,
    /// We.
    Gateway,
}

/// What TLS needs: `None` for a side that is not served.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// For peers that connect.
    pub server: Option<Server>,
    /// For peers that we call.
    pub clients: Option<Clients>,
}

/// A listener of the hub.
#[derive(Debug)]
pub struct Listener {
    /// [`Protocol::Tcp`] or [`Protocol::Tls`].
    pub protocol: Protocol,
    /// Bound and listening.
    pub socket: TcpListener,
}

/// Takes what comes out. Called on the runtime's threads: it must not block. Where it has no room for a message it gives
/// back what waits for the room, and its connection is not read until then.
pub type OnInput = Arc<dyn Fn(TcpInput) -> Option<Waiting> + Send + Sync>;

/// Completes when a message has been taken.
pub type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Limits and waits, each with its default in brackets.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For one TCP handshake [4 s].
    pub connect: Duration,
    /// After this long without a byte either way a connection is closed [10 min].
    pub idle: Duration,
    /// At shutdown, for what is queued to be written [500 ms].
    pub flush: Duration,
    /// Messages queued per connection; the next one closes it, its peer no longer reads [256].
    pub queue: usize,
    /// Inbound connections from one address, or from one /64 of IPv6 [256].
    pub inbound_per_source: usize,
    /// Inbound connections in all [4096].
    pub inbound: usize,
    /// How large one message may be.
    pub frame: frame::Limits,
    /// Certificates and trust.
    pub security: Security,
    /// Who is let in; everybody if there is none.
    pub gate: Option<Gate>,
}

/// What a source is let in as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Welcome {
    /// As somebody who is expected.
    Peer,
    /// As somebody who is not: so many connections, and never more than half of all together.
    Stranger {
        /// Connections of this source.
        at_once: usize,
    },
    /// Not at all.
    Nobody,
}

/// Asked about each source before its connection is taken in. It must not block.
#[derive(Clone)]
pub struct Gate(Arc<dyn Fn(IpAddr) -> Welcome + Send + Sync>);

/// How many connections there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Opened by peers.
    pub inbound: usize,
    /// Opened by us, or being opened.
    pub outbound: usize,
    /// Inbound ones turned away by a limit since the start.
    pub refused: u64,
}

/// The TCP side of the gateway. See [`Hub::spawn`].
#[derive(Debug)]
pub struct Hub;

/// Sends through a hub; dropping the last clone closes everything at once.
#[derive(Clone)]
pub struct HubHandle {
    guard: Arc<Guard>,
}

struct Guard {
    shared: Arc<Shared>,
}

/// What all tasks of one hub share. The lock is held for map operations only, never over an await or a callback.
struct Shared {
    register: Mutex<Register>,
    settings: Settings,
    /// Local addresses that connections of ours may come from: peers know us by them.
    locals: Vec<IpAddr>,
    runtime: Handle,
    on_input: OnInput,
}

// === impl Gate ===

impl Gate {
    /// One that asks this.
    #[must_use]
    pub fn new(ask: impl Fn(IpAddr) -> Welcome + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(4),
            idle: Duration::from_secs(600),
            flush: Duration::from_millis(500),
            queue: 256,
            inbound_per_source: 256,
            inbound: 4096,
            frame: frame::Limits::default(),
            security: Security::default(),
            gate: None,
        }
    }
}

// === impl Hub ===

impl Hub {
    /// Serves `listeners` with the default [`Settings`]. Must be called within a tokio runtime with IO and time.
    #[must_use]
    pub fn spawn(listeners: Vec<Listener>, on_input: OnInput) -> HubHandle {
        Self::spawn_with(Settings::default(), listeners, on_input)
    }

    /// Serves `listeners`. Must be called within a tokio runtime with IO and time.
    #[must_use]
    pub fn spawn_with(settings: Settings, listeners: Vec<Listener>, on_input: OnInput) -> HubHandle {
        let locals: Vec<IpAddr> =
            listeners.iter().filter_map(|listener| Some(listener.socket.local_addr().ok()?.ip())).collect();
        let register = Mutex::new(Register::default());
        let shared = Arc::new(Shared { register, settings, locals, runtime: Handle::current(), on_input });
        for listener in listeners {
            let task = accept(Arc::clone(&shared), listener);
            shared.register().acceptors.spawn_on(task, &shared.runtime);
        }
        HubHandle { guard: Arc::new(Guard { shared }) }
    }
}

// === impl HubHandle ===

impl HubHandle {
    /// Queues one message. Never blocks; any thread may call it.
    ///
    /// It goes over the connection that the hop names if that is alive, else over one to the same address, else over a
    /// new one. What cannot be sent comes back as [`TcpInput::SendFailed`] if it names a transaction.
    pub fn send(&self, transmit: Transmit) {
        let shared = &self.guard.shared;
        if transmit.hop.protocol == Protocol::Udp {
            tracing::warn!("a message for datagrams was given to the streams; not sent");
            shared.fail(Outgoing::new(transmit), &Arc::from("a datagram"));
        } else {
            shared.dispatch(Outgoing::new(transmit));
        }
    }

    /// How many connections there are.
    #[must_use]
    pub fn census(&self) -> Census {
        self.guard.shared.register().census()
    }

    /// Stops accepting, writes what is queued for at most [`Settings::flush`], closes everything and waits for it.
    /// Afterwards nothing is sent or received.
    pub async fn shutdown(&self) {
        let shared = &self.guard.shared;
        let (mut acceptors, mut tasks) = shared.register().close();
        acceptors.shutdown().await;
        let flushed = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(shared.settings.flush, flushed).await.is_err() {
            tasks.shutdown().await;
        }
    }
}

impl std::fmt::Debug for HubHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubHandle").field("census", &self.census()).finish_non_exhaustive()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (acceptors, tasks) = self.shared.register().close();
        // Dropping a set aborts its tasks; outside the lock, for they hold what the lock guards.
        drop((acceptors, tasks));
    }
}

// === impl Shared ===

impl Shared {
    fn register(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, outgoing: Outgoing, why: &Arc<str>) {
        if let Some(transaction) = outgoing.transmit.transaction {
            // A failure is small and always taken.
            let _ = (self.on_input)(TcpInput::SendFailed { transaction, why: Arc::clone(why) });
        }
    }

    /// Queues on a living connection or opens one.
    fn dispatch(self: &Arc<Self>, outgoing: Outgoing) {
        let mut register = self.register();
        let refused = match register.enqueue(outgoing) {
            Found::Queued => None,
            Found::Refused(outgoing) => Some(outgoing),
            Found::Nothing(outgoing) => {
                let hop = outgoing.transmit.hop.clone();
                let (place, refused) = register.open(Door::of(&hop), self.settings.queue, outgoing);
                if let Some(place) = place {
                    let task = dial(Arc::clone(self), place, hop);
                    register.tasks.spawn_on(task, &self.runtime);
                }
                refused
            }
        };
        drop(register);
        if let Some(outgoing) = refused {
            self.fail(outgoing, &Arc::from("the peer does not read its connection, or this gateway stops"));
        }
    }

    /// Talks over `stream` until it ends, then settles what was left unsent.
    async fn serve(self: Arc<Self>, mut place: register::Place, stream: Stream, peer: SocketAddr) {
        let (protocol, local) = stream.ends();
        let outcome = match local {
            Ok(local) => {
                let source = Source { protocol, peer, local: canonical(local), connection: Some(place.id) };
                let conversation = Conversation::new(source, &self.settings, &self.on_input);
                match stream {
                    Stream::Plain(mut stream) => conversation.run(stream.split(), &mut place.queue, &place.stop).await,
                    Stream::Secure(stream) => {
                        conversation.run(tokio::io::split(stream), &mut place.queue, &place.stop).await
                    }
                }
            }
            Err(_) => Outcome { end: End::Lost, untouched: None, partial: None },
        };
        self.settle(place, outcome, &Arc::from("the connection was lost"));
    }

    /// Takes an ended connection off the register and decides what becomes of its messages.
    fn settle(self: &Arc<Self>, mut place: register::Place, outcome: Outcome, why: &Arc<str>) {
        self.register().forget(place.id);
        if let Some(outgoing) = outcome.partial {
            self.fail(outgoing, why);
        }
        place.queue.close();
        let queued = std::iter::from_fn(|| place.queue.try_recv().ok());
        for mut outgoing in outcome.untouched.into_iter().chain(queued) {
            // The peer closed just before we wrote: one fresh connection, as if we had known.
            if outcome.end == End::Lost && outgoing.again() {
                self.dispatch(outgoing);
            } else {
                self.fail(outgoing, why);
            }
        }
    }

    async fn connect(&self, hop: &Hop) -> io::Result<(Stream, SocketAddr)> {
        let peer = hop.address.socket().ok_or_else(|| io::Error::other("a name that nobody resolved"))?;
        let in_time = |_| io::Error::from(io::ErrorKind::TimedOut);
        let stream = tokio::time::timeout(self.settings.connect, self.handshake(peer)).await.map_err(in_time)??;
        let stream = match hop.protocol {
            Protocol::Tls => self.secure_call(hop, peer, stream).await?,
            Protocol::Udp | Protocol::Tcp => Stream::Plain(stream),
        };
        Ok((stream, peer))
    }

    async fn handshake(&self, peer: SocketAddr) -> io::Result<TcpStream> {
        let socket = if peer.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Peers that match by address expect the one we listen on; a loopback one reaches only loopback.
        let ours = self.locals.iter().find(|local| {
            !local.is_unspecified()
                && local.is_ipv4() == peer.is_ipv4()
                && local.is_loopback() == peer.ip().is_loopback()
        });
        if let Some(ours) = ours {
            socket.bind(SocketAddr::new(*ours, 0))?;
        }
        let stream = socket.connect(peer).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Takes connections in until aborted.
async fn accept(shared: Arc<Shared>, listener: Listener) {
    let Listener { protocol, socket } = listener;
    loop {
        let (stream, peer) = match socket.accept().await {
            Ok((stream, peer)) => (stream, canonical(peer)),
            Err(problem) => {
                tracing::warn!(%problem, "cannot accept a connection");
                clock::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let welcome = shared.settings.gate.as_ref().map_or(Welcome::Peer, |gate| gate.0(peer.ip()));
        let mut register = shared.register();
        let Some(place) = register.admit(Door::peer(protocol, peer), peer, welcome, &shared.settings) else {
            drop(register);
            tracing::debug!(%peer, "a connection was turned away: too many");
            if welcome != Welcome::Nobody {
                (shared.on_input)(TcpInput::TurnedAway);
            }
            continue;
        };
        let _ = stream.set_nodelay(true); // slower without, not wrong
        let task = receive(Arc::clone(&shared), protocol, place, stream, peer);
        register.tasks.spawn_on(task, &shared.runtime);
    }
}

/// Serves a connection that a peer opened, after the handshake if it is to have one.
async fn receive(shared: Arc<Shared>, protocol: Protocol, place: register::Place, stream: TcpStream, peer: SocketAddr) {
    let stream = match protocol {
        Protocol::Tls => shared.secure_answer(peer, stream).await,
        Protocol::Udp | Protocol::Tcp => Ok(Stream::Plain(stream)),
    };
    match stream {
        Ok(stream) => shared.serve(place, stream, peer).await,
        Err(problem) => {
            let outcome = Outcome { end: End::Refused, untouched: None, partial: None };
            shared.settle(place, outcome, &Arc::from(problem.to_string()));
        }
    }
}

/// Opens a connection and serves it; whatever was queued meanwhile shares its fate.
async fn dial(shared: Arc<Shared>, place: register::Place, hop: Hop) {
    let stop: Arc<Notify> = Arc::clone(&place.stop);
    let connected = tokio::select! {
        connected = shared.connect(&hop) => connected,
        () = stop.notified() => Err(io::Error::from(io::ErrorKind::Interrupted)),
    };
    match connected {
        Ok((stream, peer)) => shared.serve(place, stream, peer).await,
        Err(problem) => {
            tracing::debug!(%hop, %problem, "no connection");
            let outcome = Outcome { end: End::Refused, untouched: None, partial: None };
            shared.settle(place, outcome, &Arc::from(secure::words(hop.protocol, &problem)));
        }
    }
}

/// An IPv4 peer of a dual-stack listener is an IPv4 peer.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
#[cfg(test)]
mod tls_tests;
