//! The hub over TLS, between itself and rustls as the other side: names, authorities, client certificates, reload.

use super::*;
use crate::sip::{ConnectionId, HopAddress};
use crate::tls::{Identity, MinVersion, Profile, Trust};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const MESSAGE: &[u8] = b"OPTIONS sip:gw.example.com SIP/2.0\r\nContent-Length: 4\r\n\r\nbody";

/// An authority, and the PEM of its certificate.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

struct Rig {
    hub: HubHandle,
    address: SocketAddr,
    inputs: mpsc::UnboundedReceiver<TcpInput>,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Authorities of one name would look like one whose signature is wrong.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("Authority {number}"));
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { issuer: Issuer::new(params, key), pem }
}

fn no_files(_: &Path) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

impl Authority {
    fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        Identity::load(&certificate.pem(), &key.serialize_pem(), &no_files).unwrap()
    }

    fn server(&self, name: &str, client_ca: Option<&Authority>) -> Server {
        let ca = client_ca.map(|authority| authority.pem.as_str());
        Server::new(&self.identity(name), ca, MinVersion::V12, &no_files).unwrap()
    }

    fn clients(&self, shown: Option<&Identity>) -> Clients {
        Clients::new(&Trust::Authority(self.pem.clone()), &[], shown, MinVersion::V12, &no_files).unwrap()
    }
}

async fn patiently<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("nothing happened")
}

fn rig(security: Security) -> Rig {
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let (sender, inputs) = mpsc::unbounded_channel();
    let on_input: OnInput = Arc::new(move |input| {
        let _ = sender.send(input);
        None
    });
    let settings = Settings { security, ..Settings::default() };
    Rig {
        hub: Hub::spawn_with(settings, vec![Listener { protocol: Protocol::Tls, socket }], on_input),
        address,
        inputs,
    }
}

fn to(host: &str, address: SocketAddr, connection: Option<ConnectionId>, payload: &[u8], number: u64) -> Transmit {
    let address = HopAddress::Server { host: host.to_owned(), address };
    let hop = Hop { protocol: Protocol::Tls, address, connection };
    Transmit { hop, from: None, payload: Bytes::copy_from_slice(payload), transaction: Some(ClientId(number)) }
}

impl Rig {
    async fn input(&mut self) -> TcpInput {
        patiently(self.inputs.recv()).await.unwrap()
    }

    async fn handshake(&mut self) -> (Initiator, &'static str) {
        match self.input().await {
            TcpInput::Handshake { by, result } => (by, result),
            other => panic!("{other:?}"),
        }
    }

    async fn message(&mut self) -> (Source, Bytes) {
        match self.input().await {
            TcpInput::Message { source, bytes } => (source, bytes),
            other => panic!("{other:?}"),
        }
    }

    /// Why our message was not sent.
    async fn failure(&mut self) -> String {
        match self.input().await {
            TcpInput::SendFailed { why, .. } => why.to_string(),
            other => panic!("{other:?}"),
        }
    }
}

/// Connects to the rig as a client of its own and says the message; what came back until the other side closed, or why
/// nothing did.
async fn call(clients: &Clients, address: SocketAddr) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let (config, name) = clients.towards("gw.example.com").unwrap();
    let stream = TcpStream::connect(address).await?;
    let mut stream = TlsConnector::from(config).connect(name, stream).await?;
    stream.write_all(MESSAGE).await?;
    stream.flush().await?;
    Ok(stream)
}

#[tokio::test]
async fn a_call_by_tls_is_taken_and_answered_by_its_own_connection() {
    let authority = authority();
    let mut rig = rig(Security { server: Some(authority.server("gw.example.com", None)), clients: None });
    let mut caller = patiently(call(&authority.clients(None), rig.address)).await.unwrap();
    assert_eq!(rig.handshake().await, (Initiator::Peer, "ok"));
    let (source, bytes) = rig.message().await;
    assert_eq!((source.protocol, bytes.as_ref()), (Protocol::Tls, MESSAGE));
    let large = vec![b'a'; 100_000];
    rig.hub.send(to("nowhere.example.com", "127.0.0.1:9".parse().unwrap(), source.connection, &large, 1));
    let mut answer = vec![0; large.len()];
    patiently(caller.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, large);
}

#[tokio::test]
async fn a_peer_is_called_by_its_name_and_the_connection_is_used_again_for_that_name_only() {
    let authority = authority();
    let mut rig = rig(Security { server: None, clients: Some(authority.clients(None)) });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(authority.server("sbc.example.com", None).current());
    rig.hub.send(to("sbc.example.com", address, None, MESSAGE, 1));
    let mut stream = patiently(acceptor.accept(listener.accept().await.unwrap().0)).await.unwrap();
    assert_eq!(rig.handshake().await, (Initiator::Gateway, "ok"));
    assert_eq!(stream.get_ref().1.server_name(), Some("sbc.example.com"), "SNI");
    let mut first = vec![0; MESSAGE.len()];
    patiently(stream.read_exact(&mut first)).await.unwrap();
    rig.hub.send(to("sbc.example.com", address, None, b"again", 2));
    let mut second = [0; 5];
    patiently(stream.read_exact(&mut second)).await.unwrap();
    // Another name at the same address is another peer: its certificate is looked at, and refused.
    rig.hub.send(to("bank.example.com", address, None, MESSAGE, 3));
    let _ = patiently(acceptor.accept(listener.accept().await.unwrap().0)).await;
    assert_eq!(rig.handshake().await, (Initiator::Gateway, "wrong_name"));
    let why = rig.failure().await;
    assert!(why.contains("for another name") && why.contains("sbc.example.com"), "{why}");
}

#[tokio::test]
async fn a_stranger_is_not_called_and_the_reason_is_told_in_words() {
    let (ours, theirs) = (authority(), authority());
    let mut rig = rig(Security { server: None, clients: Some(ours.clients(None)) });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(theirs.server("sbc.example.com", None).current());
    rig.hub.send(to("sbc.example.com", address, None, MESSAGE, 1));
    let refused = patiently(acceptor.accept(listener.accept().await.unwrap().0)).await.unwrap_err();
    assert!(refused.to_string().contains("UnknownCA"), "{refused}");
    assert_eq!(rig.handshake().await, (Initiator::Gateway, "unknown_authority"));
    assert!(rig.failure().await.contains("signed by nobody we trust"));
    // Who has no TLS at all says something that is none.
    rig.hub.send(to("sbc.example.com", address, None, MESSAGE, 2));
    let (mut plain, _) = listener.accept().await.unwrap();
    plain.write_all(b"SIP/2.0 400 Bad Request\r\n\r\n").await.unwrap();
    assert_eq!(rig.handshake().await, (Initiator::Gateway, "not_tls"));
    assert!(rig.failure().await.contains("does not speak TLS"));
}

#[tokio::test]
async fn without_verification_anybody_is_called_but_only_where_that_is_configured() {
    let (ours, theirs) = (authority(), authority());
    let blind = ("blind.example.com".to_owned(), Profile { trust: Trust::Anybody, server_name: None });
    let trust = Trust::Authority(ours.pem.clone());
    let clients = Clients::new(&trust, &[blind], None, MinVersion::V12, &no_files).unwrap();
    let mut rig = rig(Security { server: None, clients: Some(clients) });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(theirs.server("whoever.example.com", None).current());
    for (host, result) in [("blind.example.com", "ok"), ("other.example.com", "unknown_authority")] {
        rig.hub.send(to(host, address, None, MESSAGE, 1));
        let kept = patiently(acceptor.accept(listener.accept().await.unwrap().0)).await;
        assert_eq!(rig.handshake().await, (Initiator::Gateway, result));
        drop(kept);
    }
}

#[tokio::test]
async fn mutual_tls_lets_in_whom_the_authority_knows_and_nobody_else() {
    let (ours, peers) = (authority(), authority());
    let mut rig = rig(Security { server: Some(ours.server("gw.example.com", Some(&peers))), clients: None });
    let known = ours.clients(Some(&peers.identity("pbx.example.com")));
    let _kept = patiently(call(&known, rig.address)).await.unwrap();
    assert_eq!(rig.handshake().await, (Initiator::Peer, "ok"));
    rig.message().await;
    // In TLS 1.3 the caller learns of its refusal only when it reads.
    let stranger = patiently(call(&ours.clients(Some(&ours.identity("x.example.com"))), rig.address)).await;
    assert_eq!(rig.handshake().await, (Initiator::Peer, "unknown_authority"));
    let nobody = patiently(call(&ours.clients(None), rig.address)).await;
    assert_eq!(rig.handshake().await, (Initiator::Peer, "no_certificate"));
    for mut refused in [stranger, nobody].into_iter().flatten() {
        assert!(patiently(refused.read(&mut [0; 8])).await.is_err());
    }
}

#[tokio::test]
async fn a_new_certificate_serves_new_handshakes_and_leaves_the_old_connections_alone() {
    let (old, new) = (authority(), authority());
    let server = old.server("gw.example.com", None);
    let mut rig = rig(Security { server: Some(server.clone()), clients: None });
    let mut kept = patiently(call(&old.clients(None), rig.address)).await.unwrap();
    assert_eq!(rig.handshake().await, (Initiator::Peer, "ok"));
    rig.message().await;
    server.replace(&new.server("gw.example.com", None));
    assert!(patiently(call(&old.clients(None), rig.address)).await.is_err());
    assert_ne!(rig.handshake().await.1, "ok");
    let _fresh = patiently(call(&new.clients(None), rig.address)).await.unwrap();
    assert_eq!(rig.handshake().await, (Initiator::Peer, "ok"));
    rig.message().await;
    kept.write_all(MESSAGE).await.unwrap();
    kept.flush().await.unwrap();
    assert_eq!(rig.message().await.1, MESSAGE);
}

#[tokio::test]
async fn an_old_version_is_refused_where_a_newer_one_is_wanted() {
    let authority = authority();
    let server = Server::new(&authority.identity("gw.example.com"), None, MinVersion::V13, &no_files).unwrap();
    let mut rig = rig(Security { server: Some(server), clients: None });
    let mut roots = rustls::RootCertStore::empty();
    let ca = rustls::pki_types::pem::PemObject::from_pem_slice(authority.pem.as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let old = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(rig.address).await.unwrap();
    let name = "gw.example.com".try_into().unwrap();
    assert!(patiently(TlsConnector::from(Arc::new(old)).connect(name, stream)).await.is_err());
    assert_eq!(rig.handshake().await, (Initiator::Peer, "incompatible"));
}

#[tokio::test]
async fn a_peer_that_never_finishes_its_handshake_is_let_go() {
    let authority = authority();
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let (sender, mut inputs) = mpsc::unbounded_channel();
    let on_input: OnInput = Arc::new(move |input| {
        let _ = sender.send(input);
        None
    });
    let security = Security { server: Some(authority.server("gw.example.com", None)), clients: None };
    let settings = Settings { security, connect: Duration::from_millis(20), ..Settings::default() };
    let hub = Hub::spawn_with(settings, vec![Listener { protocol: Protocol::Tls, socket }], on_input);
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert_eq!(patiently(silent.read(&mut [0; 8])).await.unwrap(), 0);
    let TcpInput::Handshake { result, .. } = patiently(inputs.recv()).await.unwrap() else { panic!() };
    assert_eq!(result, "timeout");
    assert_eq!(hub.census().inbound, 0);
}
