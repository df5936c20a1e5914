//! One stream: its reading, its writing and its end, in one task. Apart from the hub, because here nothing is known of
//! other connections: bytes come and go, messages come out, and the end says why.

use super::{OnInput, Settings, TcpInput, Waiting};
use crate::clock;
use crate::sip::wire::frame::{Frame, Framer};
use crate::sip::{Source, Transmit};
use bytes::{Buf as _, Bytes};
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc};

/// Answers to pings waiting to be written; a peer that sends more without reading gets no more.
const PONGS: u8 = 4;
/// Read at once.
const CHUNK: usize = 8 * 1024;

/// A message on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) transmit: Transmit,
    /// It lost one connection already.
    second: bool,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The peer closed it, it broke, it made no sense, or nothing moved for too long: what is queued was never tried.
    Lost,
    /// It could not be opened, or we gave it up: what is queued has failed.
    Refused,
    /// The hub closes, everything queued is written.
    Flushed,
}

/// How a connection ended, and what it had in hand.
pub(super) struct Outcome {
    pub(super) end: End,
    /// The message whose turn it was, if the peer has nothing of it.
    pub(super) untouched: Option<Outgoing>,
    /// The message that the peer has a part of.
    pub(super) partial: Option<Outgoing>,
}

/// One thing that happened to a stream; no bytes means it is gone.
enum Step {
    Read(usize),
    Wrote(usize),
    Flushed(bool),
    Next(Outgoing),
    /// The message that had to wait is taken.
    Taken,
    End(End),
}

/// The state of one stream.
pub(super) struct Conversation<'a> {
    source: Source,
    idle: Duration,
    on_input: &'a OnInput,
    framer: Framer,
    pongs: u8,
    /// A message that has to wait until it is taken; nothing is read meanwhile.
    waiting: Option<Waiting>,
    /// What is being written, and the rest of its bytes; no message for a pong.
    writing: Option<(Bytes, Option<Outgoing>)>,
    /// TLS may hold back the end of what was written.
    unflushed: bool,
}

/// Writes, or sees to it that what is written leaves.
async fn forward(writer: &mut (impl AsyncWrite + Unpin), rest: Option<&[u8]>) -> Step {
    match rest {
        Some(rest) => Step::Wrote(writer.write(rest).await.unwrap_or(0)),
        None => Step::Flushed(writer.flush().await.is_ok()),
    }
}

// === impl Outgoing ===

impl Outgoing {
    pub(super) fn new(transmit: Transmit) -> Self {
        Self { transmit, second: false }
    }

    /// May it try a second connection? Once.
    pub(super) fn again(&mut self) -> bool {
        self.transmit.hop.connection = None;
        !std::mem::replace(&mut self.second, true)
    }
}

// === impl Conversation ===

impl<'a> Conversation<'a> {
    pub(super) fn new(source: Source, settings: &Settings, on_input: &'a OnInput) -> Self {
        let framer = Framer::new(settings.frame);
        let (pongs, waiting, writing) = (0, None, None);
        Self { source, idle: settings.idle, on_input, framer, pongs, waiting, writing, unflushed: false }
    }

    /// Until the end.
    pub(super) async fn run(
        mut self,
        (mut reader, mut writer): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
        queue: &mut mpsc::Receiver<Outgoing>,
        stop: &Notify,
    ) -> Outcome {
        let mut chunk = vec![0; CHUNK];
        let mut idle = pin!(clock::sleep(self.idle));
        let end = loop {
            self.pick_pong();
            let rest = self.writing.as_ref().map(|(rest, _)| rest.clone());
            let (free, unflushed) = (rest.is_none(), self.unflushed);
            // Reading and writing take turns by chance, so that neither starves the other. Every branch is cancel safe:
            // what is not finished has taken nothing.
            let step = async {
                tokio::select! {
                    read = reader.read(&mut chunk), if self.waiting.is_none() => Step::Read(read.unwrap_or(0)),
                    () = taken(self.waiting.as_mut()) => Step::Taken,
                    moved = forward(&mut writer, rest.as_deref()), if !free || unflushed => moved,
                    next = queue.recv(), if free => next.map_or(Step::End(End::Flushed), Step::Next),
                    () = &mut idle => Step::End(End::Lost),
                }
            };
            let step = tokio::select! {
                biased;
                () = stop.notified() => Step::End(End::Refused),
                step = step => step,
            };
            match step {
                Step::Read(count) if count > 0 && self.take_in(chunk.get(..count).unwrap_or_default()) => {}
                Step::Taken if self.go_on() => {}
                Step::Wrote(count) if count > 0 => self.wrote(count),
                Step::Flushed(true) => self.unflushed = false,
                Step::Read(_) | Step::Wrote(_) | Step::Flushed(false) | Step::Taken => break End::Lost,
                Step::Next(outgoing) if outgoing.transmit.payload.is_empty() => {}
                Step::Next(outgoing) => self.writing = Some((outgoing.transmit.payload.clone(), Some(outgoing))),
                Step::End(end) => break end,
            }
            idle.set(clock::sleep(self.idle));
        };
        if end == End::Flushed {
            let _ = writer.shutdown().await; // a FIN rather than whatever dropping does; it is over either way
        }
        let (untouched, partial) = match self.writing {
            Some((rest, Some(outgoing))) if rest.len() == outgoing.transmit.payload.len() => (Some(outgoing), None),
            Some((_, outgoing)) => (None, outgoing),
            None => (None, None),
        };
        Outcome { end, untouched, partial }
    }

    /// Hands on what a piece of the stream completes; false if the stream has lost its frame.
    fn take_in(&mut self, piece: &[u8]) -> bool {
        self.framer.feed(piece);
        self.hand_on()
    }

    /// There is room again.
    fn go_on(&mut self) -> bool {
        self.waiting = None;
        self.hand_on()
    }

    fn hand_on(&mut self) -> bool {
        while self.waiting.is_none() {
            match self.framer.next() {
                Ok(Some(Frame::Message(bytes))) => {
                    self.waiting = (self.on_input)(TcpInput::Message { source: self.source, bytes });
                }
                // RFC 5626 §4.4.1: a double CRLF wants a single one back.
                Ok(Some(Frame::Ping)) => self.pongs = PONGS.min(self.pongs.saturating_add(1)),
                Ok(Some(Frame::Pong)) => {}
                Ok(None) => return true,
                Err(problem) => {
                    tracing::debug!(peer = %self.source.peer, %problem, "TCP connection closed");
                    return false;
                }
            }
        }
        true
    }

    fn pick_pong(&mut self) {
        if self.writing.is_none() && self.pongs > 0 {
            self.pongs -= 1;
            self.writing = Some((Bytes::from_static(b"\r\n"), None));
        }
    }

    fn wrote(&mut self, count: usize) {
        self.unflushed = true;
        if let Some((rest, _)) = &mut self.writing {
            rest.advance(count.min(rest.len()));
            if rest.is_empty() {
                self.writing = None;
            }
        }
    }
}

/// Until the message is taken; for ever if none waits.
async fn taken(waiting: Option<&mut Waiting>) {
    match waiting {
        Some(waiting) => waiting.await,
        None => std::future::pending().await,
    }
}
