//! The SIP stack, sans-IO: `(state, input, now) → outputs`. No runtime, no sockets, no clock, no configuration: bytes
//! and timers go in, bytes, timers and events come out, so every race of RFC 3261 is a unit test.

pub mod auth;
pub mod dialog;
pub mod endpoint;
pub mod equality;
pub mod header;
pub mod method;
pub mod session;
pub mod status;
pub mod timer;
pub mod transaction;
pub mod uri;
pub mod wire;

pub use endpoint::Endpoint;
pub use method::Method;
pub use status::StatusCode;
pub use wire::{HeaderName, Message, Writer};

use std::fmt;
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
    /// To be resolved for the protocol of the hop; without a port SRV records say it (RFC 3263 §4.2).
    Name {
        /// Host name, without brackets or trailing dot.
        host: String,
        /// Port as written in the URI.
        port: Option<u16>,
    },
    /// To be resolved, with neither transport nor port said: the domain itself says which protocols it takes, and the
    /// protocol of the hop is only the last resort (RFC 3263 §4.1).
    Domain {
        /// Domain name, without trailing dot.
        host: String,
    },
    /// An address that a name came to. TLS wants a certificate for the name (RFC 5922 §4).
    Server {
        /// The name that was asked for.
        host: String,
        /// The address to send to.
        address: SocketAddr,
    },
}

// === impl HopAddress ===

impl HopAddress {
    /// The address to send to; `None` if a name has to be resolved first.
    #[must_use]
    pub const fn socket(&self) -> Option<SocketAddr> {
        match self {
            Self::Socket(address) | Self::Server { address, .. } => Some(*address),
            Self::Name { .. } | Self::Domain { .. } => None,
        }
    }

    /// The name of the peer, if it is known by one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Socket(_) => None,
            Self::Name { host, .. } | Self::Domain { host } | Self::Server { host, .. } => Some(host),
        }
    }
}

// === impl Protocol ===

impl Protocol {
    /// In lower case, as in `transport=`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// The port where nothing says one (RFC 3261 §19.1.2).
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }
}

// === impl Hop ===

impl std::fmt::Display for Hop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let protocol = self.protocol.as_str();
        match &self.address {
            HopAddress::Socket(address) | HopAddress::Server { address, .. } => write!(f, "{protocol} {address}"),
            HopAddress::Name { host, port: Some(port) } => write!(f, "{protocol} {host}:{port}"),
            HopAddress::Name { host, port: None } => write!(f, "{protocol} {host}"),
            HopAddress::Domain { host } => f.write_str(host),
        }
    }
}

// === impl Protocol ===

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
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
