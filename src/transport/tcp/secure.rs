//! TLS on a stream: the handshake on either side, and what is said when it fails. Apart from connections, which carry
//! bytes and do not care.

use super::{Initiator, Shared, TcpInput};
use crate::sip::{Hop, Protocol};
use crate::tls::failure;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// A connection as it is spoken over.
pub(super) enum Stream {
    /// In the clear.
    Plain(TcpStream),
    /// Over TLS.
    Secure(Box<TlsStream<TcpStream>>),
}

/// Why there is no connection, for a decision record.
pub(super) fn words(protocol: Protocol, problem: &io::Error) -> String {
    match (protocol, problem.kind()) {
        (_, io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        (Protocol::Tls, _) => failure::of(problem).words,
        (_, io::ErrorKind::TimedOut) => "no connection in time".to_owned(),
        _ => problem.to_string(),
    }
}

// === impl Stream ===

impl Stream {
    /// Its protocol, and our end of it.
    pub(super) fn ends(&self) -> (Protocol, io::Result<SocketAddr>) {
        match self {
            Self::Plain(stream) => (Protocol::Tcp, stream.local_addr()),
            Self::Secure(stream) => (Protocol::Tls, stream.get_ref().0.local_addr()),
        }
    }
}

// === impl Shared ===

impl Shared {
    /// The handshake of a peer that connected.
    pub(super) async fn secure_answer(&self, peer: SocketAddr, stream: TcpStream) -> io::Result<Stream> {
        let Some(server) = &self.settings.security.server else {
            return Err(io::Error::other("no certificate"));
        };
        let acceptor = TlsAcceptor::from(server.current());
        let done = tokio::time::timeout(self.settings.connect, acceptor.accept(stream)).await;
        let done = done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        self.tell(Initiator::Peer, peer, "", &done);
        Ok(Stream::Secure(Box::new(TlsStream::Server(done?))))
    }

    /// The handshake of a call of ours: SNI, and a certificate for the name that was asked for (RFC 5922 §4).
    pub(super) async fn secure_call(&self, hop: &Hop, peer: SocketAddr, stream: TcpStream) -> io::Result<Stream> {
        let Some(clients) = &self.settings.security.clients else {
            return Err(io::Error::other("nothing is known about whom to trust"));
        };
        let host = hop.address.name().map_or_else(|| peer.ip().to_string(), str::to_owned);
        let (config, name) = clients.towards(&host).map_err(io::Error::other)?;
        let connecting = TlsConnector::from(config).connect(name, stream);
        let done = tokio::time::timeout(self.settings.connect, connecting).await;
        let done = done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        self.tell(Initiator::Gateway, peer, &host, &done);
        Ok(Stream::Secure(Box::new(TlsStream::Client(done?))))
    }

    fn tell<T>(&self, by: Initiator, peer: SocketAddr, host: &str, done: &io::Result<T>) {
        let result = match done {
            Ok(_) => "ok",
            Err(error) => {
                let failure = failure::of(error);
                match by {
                    // Anybody can connect and talk nonsense: that is no reason to fill the log.
                    Initiator::Peer => tracing::info!(%peer, why = failure.words, "no TLS handshake with a caller"),
                    Initiator::Gateway => tracing::warn!(%peer, host, why = failure.words, "no TLS handshake"),
                }
                failure.label
            }
        };
        let _ = (self.on_input)(TcpInput::Handshake { by, result });
    }
}
