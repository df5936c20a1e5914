//! The SIP stack, sans-IO: `(state, input, now) → outputs`. No runtime, no sockets, no clock, no configuration: bytes
//! and timers go in, bytes, timers and events come out, so every race of RFC 3261 is a unit test.

pub mod auth;
pub mod dialog;
pub mod endpoint;
pub mod equality;
pub mod header;
pub mod method;
pub mod status;
pub mod timer;
pub mod transaction;
pub mod uri;
pub mod wire;

pub use endpoint::Endpoint;
pub use method::Method;
pub use status::StatusCode;
pub use wire::{HeaderName, Message, Writer};

use std::net::SocketAddr;

/// The transport protocol of a hop (RFC 3261 §18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Datagrams, retransmitted by the transactions.
    Udp,
    /// A stream in the clear.
    Tcp,
    /// A stream over TLS.
    Tls,
}

/// Names one stream connection for as long as it lives; numbers are never used twice in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// Where a received message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The protocol it came by.
    pub protocol: Protocol,
    /// The peer's address as the socket saw it: the only address that may be trusted.
    pub peer: SocketAddr,
    /// The local address it came to.
    pub local: SocketAddr,
    /// The stream it came by, if it came by one.
    pub connection: Option<ConnectionId>,
}

/// Where a message is to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hop {
    /// The protocol to use.
    pub protocol: Protocol,
    /// The address, or the name that the transport resolves (RFC 3263).
    pub address: HopAddress,
    /// The stream to prefer (responses, RFC 3261 §18.2.2); a new one is opened when it is gone.
    pub connection: Option<ConnectionId>,
}

/// The address part of a [`Hop`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HopAddress {
    /// Ready to send to.
    Socket(SocketAddr),
    /// To be resolved; without a port the protocol's default holds.
    Name {
        /// Host name, without brackets or trailing dot.
        host: String,
        /// Port as written in the URI.
        port: Option<u16>,
    },
}

/// One of our own addresses, as the Via and Contact of what we send show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddress {
    /// The protocol served there.
    pub protocol: Protocol,
    /// The socket's own address; its family decides which peers it serves.
    pub bind: SocketAddr,
    /// `host[:port]` that peers see; an IPv6 address stands in brackets.
    pub advertised: String,
}

/// Bytes to send.
#[derive(Debug, Clone)]
pub struct Transmit {
    /// Where to.
    pub hop: Hop,
    /// The local address it has to leave from: a response goes from where its request came to (RFC 3261 §18.2.2,
    /// RFC 3581 §4). `None` for any that fits.
    pub from: Option<SocketAddr>,
    /// One whole message.
    pub payload: bytes::Bytes,
    /// Names the client transaction to blame if sending fails; `None` for responses and ACKs.
    pub transaction: Option<transaction::ClientId>,
}
