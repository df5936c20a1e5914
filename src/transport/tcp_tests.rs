//! The hub over real loopback sockets on ports of the system's choice. Waiting is for events only; the one clock is the
//! patience after which a test that hangs fails.

use super::*;
use crate::sip::{ConnectionId, Hop, HopAddress};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

const MESSAGE: &[u8] = b"OPTIONS sip:gw.example.com SIP/2.0\r\nContent-Length: 4\r\n\r\nbody";

struct Rig {
    hub: HubHandle,
    address: SocketAddr,
    inputs: mpsc::UnboundedReceiver<TcpInput>,
}

async fn patiently<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("nothing happened")
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    listener().await.local_addr().unwrap()
}

async fn rig(settings: Settings) -> Rig {
    rig_on(settings, listener().await)
}

fn rig_on(settings: Settings, listener: TcpListener) -> Rig {
    let address = listener.local_addr().unwrap();
    let (sender, inputs) = mpsc::unbounded_channel();
    let on_input: OnInput = Arc::new(move |input| {
        let _ = sender.send(input);
        None
    });
    let listener = Listener { protocol: Protocol::Tcp, socket: listener };
    Rig { hub: Hub::spawn_with(settings, vec![listener], on_input), address, inputs }
}

fn client(number: u64) -> ClientId {
    ClientId(number)
}

fn to(address: HopAddress, connection: Option<ConnectionId>, payload: &[u8], transaction: Option<u64>) -> Transmit {
    let hop = Hop { protocol: Protocol::Tcp, address, connection };
    Transmit { hop, from: None, payload: Bytes::copy_from_slice(payload), transaction: transaction.map(client) }
}

fn request(address: SocketAddr, payload: &[u8], transaction: u64) -> Transmit {
    to(HopAddress::Socket(address), None, payload, Some(transaction))
}

impl Rig {
    async fn input(&mut self) -> TcpInput {
        patiently(self.inputs.recv()).await.unwrap()
    }

    async fn message(&mut self) -> (Source, Bytes) {
        match self.input().await {
            TcpInput::Message { source, bytes } => (source, bytes),
            other => panic!("{other:?}"),
        }
    }

    async fn failure(&mut self) -> ClientId {
        match self.input().await {
            TcpInput::SendFailed { transaction, .. } => transaction,
            other => panic!("{other:?}"),
        }
    }

    async fn connect(&self) -> TcpStream {
        patiently(TcpStream::connect(self.address)).await.unwrap()
    }

    async fn until(&self, holds: impl Fn(Census) -> bool) {
        patiently(async {
            while !holds(self.hub.census()) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

async fn receive(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    patiently(stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

/// Until the other side closes, by FIN or by reset.
async fn drained(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = patiently(stream.read_to_end(&mut bytes)).await;
    bytes
}

async fn accepted(peer: &TcpListener) -> TcpStream {
    patiently(peer.accept()).await.unwrap().0
}

#[tokio::test]
async fn a_message_in_pieces_comes_in_whole_with_its_source_and_is_answered_on_its_connection() {
    let mut rig = rig(Settings::default()).await;
    let mut peer = rig.connect().await;
    let (head, tail) = MESSAGE.split_at(20);
    peer.write_all(head).await.unwrap();
    peer.write_all(&[tail, MESSAGE].concat()).await.unwrap();
    let (source, bytes) = rig.message().await;
    assert_eq!(bytes.as_ref(), MESSAGE);
    assert_eq!((source.protocol, source.peer, source.local), (Protocol::Tcp, peer.local_addr().unwrap(), rig.address));
    assert_eq!(rig.message().await.0, source);
    // The address is another one's; the connection that the hop names comes first.
    rig.hub.send(to(HopAddress::Socket(nobody().await), source.connection, b"an answer", None));
    assert_eq!(receive(&mut peer, 9).await, b"an answer");
    assert_eq!(rig.hub.census(), Census { inbound: 1, outbound: 0, refused: 0 });
}

#[tokio::test]
async fn a_ping_gets_its_pong_and_junk_closes_only_its_own_connection() {
    let mut rig = rig(Settings::default()).await;
    let mut peer = rig.connect().await;
    peer.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(receive(&mut peer, 2).await, b"\r\n");
    let mut stranger = rig.connect().await;
    stranger.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    drained(&mut stranger).await;
    peer.write_all(MESSAGE).await.unwrap();
    assert_eq!(rig.message().await.1.as_ref(), MESSAGE);
}

#[tokio::test]
async fn a_new_address_is_connected_to_once_and_both_ways_use_that_connection() {
    let mut rig = rig(Settings::default()).await;
    let peer = listener().await;
    let address = peer.local_addr().unwrap();
    rig.hub.send(request(address, b"first ", 1));
    rig.hub.send(request(address, b"second", 2));
    let mut stream = accepted(&peer).await;
    assert_eq!(receive(&mut stream, 12).await, b"first second");
    stream.write_all(MESSAGE).await.unwrap();
    let (source, _) = rig.message().await;
    assert_eq!(source.peer, address);
    rig.hub.send(to(HopAddress::Socket(address), source.connection, b"third", None));
    assert_eq!(receive(&mut stream, 5).await, b"third");
    assert_eq!(rig.hub.census().outbound, 1);
}

#[tokio::test]
async fn a_refused_connection_is_blamed_on_the_transaction_and_only_there() {
    let mut rig = rig(Settings::default()).await;
    let nobody = nobody().await;
    rig.hub.send(to(HopAddress::Socket(nobody), None, b"a response", None));
    rig.until(|census| census.outbound == 0).await;
    rig.hub.send(request(nobody, b"a request", 7));
    assert_eq!(rig.failure().await, client(7));
    assert!(rig.inputs.is_empty());
}

#[tokio::test]
async fn a_handshake_without_an_end_fails_in_time() {
    // A full accept queue: Linux drops further handshakes without a word.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let _first = patiently(TcpStream::connect(address)).await.unwrap();
    let mut rig = rig(Settings { connect: Duration::from_millis(1), ..Settings::default() }).await;
    rig.hub.send(request(address, b"a request", 7));
    assert_eq!(rig.failure().await, client(7));
}

#[tokio::test]
async fn after_a_close_the_next_message_opens_a_new_connection() {
    let mut rig = rig(Settings::default()).await;
    let peer = listener().await;
    let address = peer.local_addr().unwrap();
    rig.hub.send(request(address, MESSAGE, 1));
    let mut stream = accepted(&peer).await;
    receive(&mut stream, MESSAGE.len()).await;
    stream.write_all(MESSAGE).await.unwrap();
    let (source, _) = rig.message().await;
    drop(stream);
    rig.until(|census| census.outbound == 0).await;
    // A response for the connection that is gone goes to the address instead, under a new identity.
    rig.hub.send(to(HopAddress::Socket(address), source.connection, b"again", Some(2)));
    let mut stream = accepted(&peer).await;
    assert_eq!(receive(&mut stream, 5).await, b"again");
    stream.write_all(MESSAGE).await.unwrap();
    assert_ne!(rig.message().await.0.connection, source.connection);
    assert!(rig.inputs.is_empty());
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_given_up_and_every_message_is_blamed() {
    let mut rig = rig(Settings { queue: 2, ..Settings::default() }).await;
    let peer = listener().await;
    let address = peer.local_addr().unwrap();
    rig.hub.send(request(address, b"x", 0));
    let mut deaf = accepted(&peer).await;
    let large = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while rig.inputs.is_empty() {
        sent += 1;
        rig.hub.send(request(address, &large, sent));
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.failure().await, client(sent), "the one that found the queue full");
    let mut failed = [rig.failure().await, rig.failure().await, rig.failure().await];
    failed.sort_by_key(|failed| failed.0);
    assert_eq!(failed, [client(sent - 3), client(sent - 2), client(sent - 1)], "the one in writing and the two queued");
    drained(&mut deaf).await;
    rig.hub.send(request(address, b"afresh", 99));
    assert_eq!(receive(&mut accepted(&peer).await, 6).await, b"afresh");
}

#[tokio::test]
async fn one_source_and_all_together_may_have_only_so_many_connections() {
    for settings in
        [Settings { inbound_per_source: 1, ..Settings::default() }, Settings { inbound: 1, ..Settings::default() }]
    {
        let mut rig = rig(settings).await;
        let mut first = rig.connect().await;
        first.write_all(MESSAGE).await.unwrap();
        rig.message().await;
        let mut second = rig.connect().await;
        assert_eq!(drained(&mut second).await, b"");
        assert!(matches!(rig.input().await, TcpInput::TurnedAway));
        assert_eq!(rig.hub.census(), Census { inbound: 1, outbound: 0, refused: 1 });
        drop(first);
        rig.until(|census| census.inbound == 0).await;
        let mut third = rig.connect().await;
        third.write_all(MESSAGE).await.unwrap();
        rig.message().await;
    }
}

#[tokio::test]
async fn strangers_have_fewer_connections_leave_half_of_all_to_peers_and_the_banned_have_none() {
    let stranger = |at_once| Gate::new(move |_| Welcome::Stranger { at_once });
    for settings in [
        Settings { gate: Some(stranger(1)), ..Settings::default() },
        Settings { gate: Some(stranger(9)), inbound: 2, ..Settings::default() },
    ] {
        let mut rig = rig(settings).await;
        let mut first = rig.connect().await;
        first.write_all(MESSAGE).await.unwrap();
        rig.message().await;
        let mut second = rig.connect().await;
        assert_eq!(drained(&mut second).await, b"");
        assert!(matches!(rig.input().await, TcpInput::TurnedAway));
    }
    let rig = rig(Settings { gate: Some(Gate::new(|_| Welcome::Nobody)), ..Settings::default() }).await;
    let mut banned = rig.connect().await;
    assert_eq!(drained(&mut banned).await, b"");
}

#[tokio::test]
async fn a_connection_without_traffic_is_closed() {
    let rig = rig(Settings { idle: Duration::from_millis(1), ..Settings::default() }).await;
    let mut peer = rig.connect().await;
    assert_eq!(drained(&mut peer).await, b"");
    rig.until(|census| census.inbound == 0).await;
}

#[tokio::test]
async fn an_address_is_one_whether_it_was_found_by_a_name_or_not_and_the_order_of_messages_is_kept() {
    let mut rig = rig(Settings::default()).await;
    let peer = listener().await;
    let address = peer.local_addr().unwrap();
    let server = HopAddress::Server { host: "pbx.example.com".to_owned(), address };
    rig.hub.send(to(server.clone(), None, b"first ", Some(1)));
    rig.hub.send(to(server, None, MESSAGE, Some(2)));
    let mut stream = accepted(&peer).await;
    assert_eq!(receive(&mut stream, 6 + MESSAGE.len()).await, [b"first ", MESSAGE].concat());
    rig.hub.send(request(address, b"third", 3));
    assert_eq!(receive(&mut stream, 5).await, b"third");
    assert!(rig.inputs.try_recv().is_err());
}

#[tokio::test]
async fn a_name_that_nobody_resolved_and_a_datagram_are_not_sent() {
    let mut rig = rig(Settings::default()).await;
    let peer = listener().await;
    rig.hub.send(to(HopAddress::Name { host: "pbx.example.com".to_owned(), port: None }, None, b"x", Some(4)));
    assert_eq!(rig.failure().await, client(4));
    let mut transmit = request(peer.local_addr().unwrap(), b"x", 5);
    transmit.hop.protocol = Protocol::Udp;
    rig.hub.send(transmit);
    assert_eq!(rig.failure().await, client(5));
    assert_eq!(rig.hub.census(), Census::default());
}

#[tokio::test]
async fn any_thread_may_send() {
    let rig = rig(Settings::default()).await;
    let peer = listener().await;
    let (hub, address) = (rig.hub.clone(), peer.local_addr().unwrap());
    std::thread::spawn(move || hub.send(request(address, b"hello", 1))).join().unwrap();
    assert_eq!(receive(&mut accepted(&peer).await, 5).await, b"hello");
}

#[tokio::test]
async fn shutdown_writes_what_is_queued_and_closes_everything() {
    let mut rig = rig(Settings { flush: Duration::from_secs(20), ..Settings::default() }).await;
    let mut caller = rig.connect().await;
    caller.write_all(MESSAGE).await.unwrap();
    rig.message().await;
    let peer = listener().await;
    let address = peer.local_addr().unwrap();
    rig.hub.send(request(address, b"goodbye", 1));
    let (mut stream, ()) = tokio::join!(accepted(&peer), patiently(rig.hub.shutdown()));
    assert_eq!(drained(&mut stream).await, b"goodbye");
    assert_eq!(drained(&mut caller).await, b"");
    assert_eq!(rig.hub.census(), Census::default());
    assert!(TcpStream::connect(rig.address).await.is_err());
    rig.hub.send(request(address, b"too late", 2));
    assert_eq!(rig.failure().await, client(2));
}

#[tokio::test]
async fn dropping_the_last_handle_closes_everything() {
    let mut rig = rig(Settings::default()).await;
    let mut caller = rig.connect().await;
    caller.write_all(MESSAGE).await.unwrap();
    rig.message().await;
    drop(rig.hub);
    assert_eq!(drained(&mut caller).await, b"");
    assert!(patiently(rig.inputs.recv()).await.is_none(), "no task holds the sink any more");
}

#[tokio::test]
async fn ipv6_works_both_ways() {
    let (Ok(ours), Ok(peer)) = (TcpListener::bind("[::1]:0").await, TcpListener::bind("[::1]:0").await) else {
        eprintln!("no IPv6 loopback here");
        return;
    };
    let mut rig = rig_on(Settings::default(), ours);
    let mut caller = rig.connect().await;
    caller.write_all(MESSAGE).await.unwrap();
    assert_eq!(rig.message().await.0.peer, caller.local_addr().unwrap());
    rig.hub.send(request(peer.local_addr().unwrap(), b"hello", 1));
    assert_eq!(receive(&mut accepted(&peer).await, 5).await, b"hello");
}

#[tokio::test]
async fn the_two_families_can_listen_on_one_port() {
    let four = super::bind("0.0.0.0:0".parse().unwrap()).unwrap();
    let port = four.local_addr().unwrap().port();
    let six = super::bind(SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), port));
    assert!(six.is_ok(), "{six:?}");
}

#[tokio::test]
async fn a_stream_waits_while_there_is_no_room_for_its_message_and_loses_none() {
    let room = Arc::new(Notify::new());
    let (sender, mut taken) = mpsc::unbounded_channel();
    let gate = Arc::clone(&room);
    let on_input: OnInput = Arc::new(move |input| {
        let (gate, sender) = (Arc::clone(&gate), sender.clone());
        Some(Box::pin(async move {
            gate.notified().await;
            let _ = sender.send(input);
        }))
    });
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    let _hub =
        Hub::spawn_with(Settings::default(), vec![Listener { protocol: Protocol::Tcp, socket: listener }], on_input);
    let mut peer = patiently(TcpStream::connect(address)).await.unwrap();
    let messages: Vec<Vec<u8>> = (0..3)
        .map(|number| format!("OPTIONS sip:{number}.example.com SIP/2.0\r\nContent-Length: 0\r\n\r\n").into_bytes())
        .collect();
    peer.write_all(&messages.concat()).await.unwrap();
    for message in &messages {
        room.notify_one();
        let TcpInput::Message { bytes, .. } = patiently(taken.recv()).await.unwrap() else { panic!("a failure") };
        assert_eq!(bytes.as_ref(), message);
        assert!(taken.try_recv().is_err(), "the next one waits for its own room");
    }
}
