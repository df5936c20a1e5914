//! Accepts connections and hands their requests to a router. Apart from the routes, because a peer that connects and says
//! nothing must not keep a socket for ever: calls need them for their media.

use crate::clock;
use crate::tls::Server;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How long the head of a request may take to arrive, and a connection may be idle.
pub const HEAD_PATIENCE: Duration = Duration::from_secs(15);

/// Connections of one listener at the same time; more wait in the kernel's queue until one ends.
const MOST_CONNECTIONS: usize = 2_048;

/// After a connection could not be accepted, usually for lack of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// Serves until it is dropped; then every connection ends too. `patience` is for the head of each request.
pub async fn serve(listener: TcpListener, router: Router, patience: Duration) {
    serve_by(listener, None, router, patience).await;
}

/// The same over TLS, if there is a certificate; the handshake has as much patience as a head.
pub async fn serve_by(listener: TcpListener, tls: Option<Server>, router: Router, patience: Duration) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(welcome(stream, tls.clone(), router.clone(), patience));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an HTTP connection");
                    clock::sleep(BREATH).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn welcome(stream: TcpStream, tls: Option<Server>, router: Router, patience: Duration) {
    // Answers are small and wanted at once.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return converse(stream, router, patience).await };
    let handshake = TlsAcceptor::from(tls.current()).accept(stream);
    match tokio::time::timeout(patience, handshake).await {
        Ok(Ok(stream)) => converse(stream, router, patience).await,
        Ok(Err(error)) => tracing::debug!(why = crate::tls::failure::of(&error).words, "no TLS handshake of HTTP"),
        Err(_) => tracing::debug!("a TLS handshake of HTTP took too long"),
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router, patience: Duration) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection broke off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn connected(patience: Duration) -> (JoinSet<()>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", axum::routing::get(|| async { "here" }));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, router, patience));
        (serving, TcpStream::connect(address).await.unwrap())
    }

    #[tokio::test]
    async fn who_never_ends_the_head_of_a_request_or_says_nothing_is_disconnected() {
        for said in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\n"] {
            let (_serving, mut stream) = connected(Duration::from_millis(20)).await;
            stream.write_all(said.as_bytes()).await.unwrap();
            let mut answer = vec![];
            // Ends only because the other side closes.
            let _ = stream.read_to_end(&mut answer).await;
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{said}");
        }
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed_after_its_answer() {
        let (_serving, mut stream) = connected(Duration::from_millis(200)).await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
    }

    #[tokio::test]
    async fn a_listener_that_is_dropped_takes_its_connections_along() {
        let (mut serving, mut stream) = connected(Duration::from_secs(3_600)).await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        serving.shutdown().await;
        let mut rest = vec![];
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
}
