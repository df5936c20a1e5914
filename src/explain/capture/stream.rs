//! TCP streams of a capture put together again, and the messages in them. Apart from our own transport, because a capture
//! may begin within a stream, have gaps, and show segments twice and in any order.

use super::network::Segment;
use super::{Captured, LeftOut};
use crate::sip::wire::{Frame, Framer};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

/// Segments that wait for one before them; more mean that the capture has lost it.
const MOST_WAITING: usize = 64;
/// Directions of streams that are followed at the same time.
const MOST_STREAMS: usize = 4096;

/// Every direction of every stream.
#[derive(Default)]
pub(super) struct Streams {
    streams: HashMap<(SocketAddr, SocketAddr), Stream>,
}

/// What a segment brought to light.
#[derive(Default)]
pub(super) struct Taken {
    pub messages: Vec<Captured>,
    pub left_out: Vec<LeftOut>,
}

#[derive(Default)]
struct Stream {
    /// The number of the byte that comes next; `None` before the first segment.
    next: Option<u32>,
    waiting: BTreeMap<u32, Bytes>,
    framer: Framer,
    /// No message can be found until a segment begins with one.
    lost: bool,
    /// Something of it was read.
    begun: bool,
    encrypted: bool,
    told_of_gap: bool,
}

// === impl Streams ===

impl Streams {
    pub fn take(&mut self, segment: Segment) -> Taken {
        let key = (segment.source, segment.destination);
        if self.streams.len() >= MOST_STREAMS && !self.streams.contains_key(&key) {
            return Taken { left_out: vec![LeftOut::Gap], ..Taken::default() };
        }
        let stream = self.streams.entry(key).or_default();
        if segment.opens {
            *stream = Stream { next: Some(segment.sequence.wrapping_add(1)), ..Stream::default() };
        }
        let mut taken = Taken::default();
        if !segment.payload.is_empty() && !stream.encrypted {
            stream.wait(segment.sequence, segment.payload.clone());
            while let Some(bytes) = stream.ready(&mut taken) {
                stream.feed(&bytes, &segment, &mut taken);
            }
        }
        taken
    }
}

// === impl Stream ===

impl Stream {
    fn wait(&mut self, sequence: u32, payload: Bytes) {
        if self.next.is_none() {
            self.next = Some(sequence);
            self.lost = true; // the capture began within the stream
        }
        let longer = self.waiting.get(&sequence).is_none_or(|known| known.len() < payload.len());
        if longer {
            self.waiting.insert(sequence, payload);
        }
    }

    /// The bytes that come next, once they are there.
    fn ready(&mut self, taken: &mut Taken) -> Option<Bytes> {
        let next = self.next?;
        // Sequence numbers begin again at zero (RFC 9293 §3.4): only distances can be compared.
        let distance = |sequence: u32| sequence.wrapping_sub(next).cast_signed();
        let nearest = *self.waiting.keys().min_by_key(|sequence| distance(**sequence))?;
        if distance(nearest) > 0 {
            if self.waiting.len() <= MOST_WAITING {
                return None;
            }
            self.next = Some(nearest);
            self.lose(taken);
            return self.ready(taken);
        }
        let payload = self.waiting.remove(&nearest)?;
        let known = usize::try_from(next.wrapping_sub(nearest)).ok()?;
        let fresh = if known < payload.len() { payload.slice(known..) } else { Bytes::new() };
        self.next = Some(next.wrapping_add(u32::try_from(fresh.len()).ok()?));
        Some(fresh)
    }

    fn lose(&mut self, taken: &mut Taken) {
        self.framer = Framer::default();
        self.lost = true;
        if !self.told_of_gap {
            self.told_of_gap = true;
            taken.left_out.push(LeftOut::Gap);
        }
    }

    fn feed(&mut self, bytes: &[u8], segment: &Segment, taken: &mut Taken) {
        // RFC 8446 §5.1: a handshake record of any version.
        if !self.begun && matches!(bytes, [0x16, 0x03, ..]) {
            self.encrypted = true;
            self.waiting.clear();
            taken.left_out.push(LeftOut::Encrypted);
            return;
        }
        self.begun = true;
        if self.lost && !begins_message(bytes) {
            return;
        }
        self.lost = false;
        self.framer.feed(bytes);
        loop {
            match self.framer.next() {
                Ok(Some(Frame::Message(message))) => taken.messages.push(Captured {
                    message,
                    source: segment.source,
                    destination: segment.destination,
                    protocol: segment.protocol,
                    at: segment.at,
                }),
                Ok(Some(_)) => {}
                Ok(None) => return,
                // Another protocol on this port, or the frame is lost: the next segment may begin a message.
                Err(_) => {
                    self.framer = Framer::default();
                    self.lost = true;
                    return;
                }
            }
        }
    }
}

fn begins_message(bytes: &[u8]) -> bool {
    let line = bytes.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    line.starts_with(b"SIP/2.0 ") || line.ends_with(b" SIP/2.0")
}
