//! A simulator's SIP socket: datagrams are read once, reported, and handed to the call they belong to.
//! It stands apart because the PBX and Daily differ in what they do with a call, not in how they hear of it.

use super::leg::Leg;
use super::message::{self, Datagram, Incoming, Start};
use super::observation::{Observation, Observer, Violations, locked};
use super::task::Task;
use crate::record::moment::Lane;
use rsip::{Header, Method};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

type Inboxes = Arc<Mutex<HashMap<String, mpsc::UnboundedSender<Incoming>>>>;

/// The socket. Cheap to clone; closes when the last clone is gone.
#[derive(Debug, Clone)]
pub(super) struct Line {
    socket: Arc<UdpSocket>,
    address: SocketAddr,
    inboxes: Inboxes,
    observer: Observer,
    own: Lane,
    _task: Arc<Task>,
}

/// Who the line reports to and as whom.
#[derive(Debug, Clone)]
pub(super) struct Reporting {
    pub(super) observer: Observer,
    pub(super) violations: Violations,
    pub(super) own: Lane,
}

/// What arrives for one call, for as long as this lives.
#[derive(Debug)]
pub(super) struct Inbox {
    call_id: String,
    inboxes: Inboxes,
    messages: mpsc::UnboundedReceiver<Incoming>,
}

// === impl Line ===

impl Line {
    /// Opens the socket; INVITEs of unknown calls come out of the stream.
    pub(super) async fn open(
        listen: SocketAddr,
        reporting: Reporting,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<(Incoming, Inbox)>)> {
        let socket = Arc::new(UdpSocket::bind(listen).await?);
        let address = socket.local_addr()?;
        let inboxes = Inboxes::default();
        let (new, calls) = mpsc::unbounded_channel();
        let (observer, own) = (reporting.observer.clone(), reporting.own);
        let reader = Reader { socket: Arc::clone(&socket), inboxes: Arc::clone(&inboxes), reporting, new };
        let task = Arc::new(Task::spawn(reader.run()));
        Ok((Self { socket, address, inboxes, observer, own, _task: task }, calls))
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on messages with this Call-ID come out of the inbox.
    pub(super) fn subscribe(&self, call_id: &str) -> Inbox {
        Inbox::open(call_id, &self.inboxes)
    }

    /// Sends what a leg has to say; `detail` goes with its INVITE.
    pub(super) async fn flush(&self, leg: &mut Leg, detail: &str) {
        for Datagram { to, bytes } in leg.transmit() {
            self.observer.saw(self.outgoing(leg.call_id(), &bytes, detail));
            // A peer that is gone answers with ICMP, which the next call may get to see: retransmission deals with it.
            let _ = self.socket.send_to(&bytes, to).await;
        }
    }

    fn outgoing(&self, call_id: &str, bytes: &[u8], detail: &str) -> Observation {
        let text = String::from_utf8_lossy(bytes);
        let first = text.lines().next().unwrap_or_default();
        let method = cseq_method(&text);
        let (what, detail) = match first.strip_prefix("SIP/2.0 ") {
            Some(status) => (status.to_owned(), if method == "INVITE" { "" } else { method }),
            None => (method.to_owned(), if method == "INVITE" { detail } else { "" }),
        };
        let seen = Observation::new(call_id, self.own, Lane::Trunkline, what);
        if detail.is_empty() { seen } else { seen.detail(detail) }
    }
}

fn cseq_method(text: &str) -> &str {
    let line = text.lines().find(|line| line.starts_with("CSeq:")).unwrap_or_default();
    line.rsplit(' ').next().unwrap_or_default()
}

// === impl Inbox ===

impl Inbox {
    fn open(call_id: &str, inboxes: &Inboxes) -> Self {
        let (sink, messages) = mpsc::unbounded_channel();
        locked(inboxes).insert(call_id.to_owned(), sink);
        Self { call_id: call_id.to_owned(), inboxes: Arc::clone(inboxes), messages }
    }

    pub(super) async fn next(&mut self) -> Option<Incoming> {
        self.messages.recv().await
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        locked(&self.inboxes).remove(&self.call_id);
    }
}

/// The reading half.
struct Reader {
    socket: Arc<UdpSocket>,
    inboxes: Inboxes,
    reporting: Reporting,
    new: mpsc::UnboundedSender<(Incoming, Inbox)>,
}

// === impl Reader ===

impl Reader {
    async fn run(self) {
        let mut buffer = vec![0u8; 65_535];
        loop {
            let Ok((length, source)) = self.socket.recv_from(&mut buffer).await else { continue };
            let datagram = buffer.get(..length).unwrap_or_default();
            // RFC 5626 §4.4.1 keep-alives.
            if datagram.iter().all(|byte| b"\r\n\0".contains(byte)) {
                continue;
            }
            match Incoming::read(source, datagram) {
                Ok(message) => self.deliver(message).await,
                Err(problem) => self.reporting.violations.add(format!("unreadable message from {source}: {problem}")),
            }
        }
    }

    async fn deliver(&self, message: Incoming) {
        self.reporting.observer.saw(self.incoming(&message));
        let inbox = locked(&self.inboxes).get(&message.call_id).cloned();
        let unclaimed = match inbox {
            Some(inbox) => match inbox.send(message) {
                Ok(()) => return,
                Err(back) => back.0,
            },
            None => message,
        };
        match (&unclaimed.start, unclaimed.method) {
            (Start::Response(..), _) | (_, Method::Ack) => {}
            (_, Method::Invite) if unclaimed.to.tag.is_none() => {
                // Opened here and not by the call's task: the INVITE's repetition may be the next datagram.
                let inbox = Inbox::open(&unclaimed.call_id, &self.inboxes);
                let _ = self.new.send((unclaimed, inbox));
            }
            (_, method) => {
                let status = if method == Method::Options && unclaimed.to.tag.is_none() { 200 } else { 481 };
                let bytes = stateless(&unclaimed, status);
                let _ = self.socket.send_to(&bytes, unclaimed.source).await;
            }
        }
    }

    fn incoming(&self, message: &Incoming) -> Observation {
        let seen = Observation::new(&message.call_id, Lane::Trunkline, self.reporting.own, message.title());
        let seen = match message.header("x-trunkline-call") {
            Some(name) => seen.also(name),
            None => seen,
        };
        let mut extension = message.extension_headers().map(|(name, value)| format!("{name}={value}"));
        match (&message.start, message.method) {
            (Start::Request(_), Method::Invite) => match extension.next() {
                Some(first) => seen.detail(extension.fold(first, |all, one| format!("{all} {one}"))),
                None => seen,
            },
            (Start::Response(..), method) if method != Method::Invite => seen.detail(method.to_string()),
            _ => match message.header("Reason") {
                Some(reason) => seen.detail(reason),
                None => seen,
            },
        }
    }
}

/// An answer that needs no memory, for requests that belong to no call.
fn stateless(request: &Incoming, status: u16) -> Vec<u8> {
    let mut headers: Vec<Header> = request.all("Via").map(|via| Header::Via(via.into())).collect();
    let to = if request.to.tag.is_some() { request.to.value.clone() } else { format!("{};tag=none", request.to.value) };
    headers.push(Header::From(request.from.value.as_str().into()));
    headers.push(Header::To(to.into()));
    headers.push(Header::CallId(request.call_id.as_str().into()));
    headers.push(Header::CSeq(format!("{} {}", request.cseq, request.method).into()));
    message::response(status, message::phrase(status), headers, &[])
}
