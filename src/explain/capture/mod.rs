//! INVITEs in a capture: pcap or pcapng, by UDP or in TCP streams. It stands apart from text because here the network says
//! where a message came from, when, and where it ends.

mod file;
mod network;
mod stream;

use crate::sip::{Message, Protocol};
use bytes::Bytes;
use network::{Network, Segment};
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::time::SystemTime;
use stream::Streams;

/// INVITEs taken of one capture.
const MOST: usize = 1000;

/// One INVITE of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// The message.
    pub message: Bytes,
    /// Who sent it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// UDP or TCP.
    pub protocol: Protocol,
    /// When, if the capture tells.
    pub at: Option<SystemTime>,
}

/// What a capture holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capture {
    /// The INVITEs that begin calls, each once.
    pub invites: Vec<Captured>,
    /// What was left out, and why.
    pub remarks: Vec<String>,
}

/// Why a capture gives no INVITE.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// The file is damaged at its start.
    #[error(
        "the capture cannot be read: {0}; write it with `tcpdump -w FILE` or save it in Wireshark as pcap or pcapng"
    )]
    File(String),
    /// There is none.
    #[error("the capture has no INVITE that begins a call in {packets} packets{}; capture the SIP port of the PBX's side",
        remarks.iter().map(|remark| format!("; {remark}")).collect::<String>())]
    NoInvite {
        /// Packets that were read.
        packets: usize,
        /// What was left out.
        remarks: Vec<String>,
    },
}

/// What was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LeftOut {
    Retransmission,
    InDialog,
    TooMany,
    OtherLink,
    Damaged,
    Fragment,
    Encrypted,
    Gap,
}

/// Collects what belongs to the answer.
#[derive(Default)]
struct Collector {
    capture: Capture,
    seen: HashSet<(Vec<u8>, Vec<u8>, u32, SocketAddr)>,
    left_out: BTreeMap<LeftOut, usize>,
}

/// Does it start like a capture file?
#[must_use]
pub fn is_capture(input: &[u8]) -> bool {
    const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
    const PCAP: [[u8; 4]; 2] = [[0xa1, 0xb2, 0xc3, 0xd4], [0xa1, 0xb2, 0x3c, 0x4d]];
    let Some(magic) = input.first_chunk::<4>() else { return false };
    let mut swapped = *magic;
    swapped.reverse();
    *magic == PCAPNG || PCAP.contains(magic) || PCAP.contains(&swapped)
}

/// Every INVITE of the capture that begins a call.
///
/// # Errors
/// A file that is none, or one without an INVITE.
pub fn read(input: &[u8]) -> Result<Capture, CaptureError> {
    let mut collector = Collector::default();
    let mut network = Network::default();
    let mut streams = Streams::default();
    let mut packets = 0;
    let rest = file::packets(input, |packet| {
        packets += 1;
        match network.segment(&packet) {
            Ok(Some(segment)) => collector.segment(segment, &mut streams),
            Ok(None) => {}
            Err(why) => collector.leave_out(why),
        }
    })?;
    for _ in 0..network.unfinished() {
        collector.leave_out(LeftOut::Fragment);
    }
    collector.finish(packets, rest)
}

// === impl Collector ===

impl Collector {
    fn segment(&mut self, segment: Segment, streams: &mut Streams) {
        match segment.protocol {
            Protocol::Udp => {
                let Segment { source, destination, protocol, at, payload, .. } = segment;
                self.take(Captured { message: payload, source, destination, protocol, at });
            }
            _ => {
                let taken = streams.take(segment);
                for message in taken.messages {
                    self.take(message);
                }
                for why in taken.left_out {
                    self.leave_out(why);
                }
            }
        }
    }

    fn take(&mut self, captured: Captured) {
        let text = captured.message.trim_ascii_start();
        if !text.starts_with(b"INVITE ") {
            return;
        }
        if let Ok(message) = Message::parse(captured.message.clone()) {
            if message.to_tag().is_some() {
                return self.leave_out(LeftOut::InDialog);
            }
            let branch = message.top_via().and_then(|via| via.branch).unwrap_or_default().to_vec();
            let number = message.cseq().map_or(0, |cseq| cseq.number);
            if !self.seen.insert((message.call_id().to_vec(), branch, number, captured.source)) {
                return self.leave_out(LeftOut::Retransmission);
            }
        }
        if self.capture.invites.len() >= MOST {
            return self.leave_out(LeftOut::TooMany);
        }
        self.capture.invites.push(captured);
    }

    fn leave_out(&mut self, why: LeftOut) {
        *self.left_out.entry(why).or_default() += 1;
    }

    fn finish(mut self, packets: usize, rest: Option<String>) -> Result<Capture, CaptureError> {
        let said = self.left_out.iter().map(|(why, count)| format!("{count} {}", why.words()));
        self.capture.remarks = said.chain(rest).collect();
        if self.capture.invites.is_empty() {
            return Err(CaptureError::NoInvite { packets, remarks: self.capture.remarks });
        }
        Ok(self.capture)
    }
}

// === impl LeftOut ===

impl LeftOut {
    fn words(self) -> &'static str {
        match self {
            Self::Retransmission => "repeated INVITE(s)",
            Self::InDialog => "re-INVITE(s), which change a call and begin none",
            Self::TooMany => "INVITE(s) beyond the first thousand",
            Self::OtherLink => "packet(s) of a link type that is not read",
            Self::Damaged => "packet(s) that are damaged, or were cut off by the capture's snap length",
            Self::Fragment => "datagram(s) of which a fragment is missing",
            Self::Encrypted => "TCP stream(s) with TLS, which cannot be read",
            Self::Gap => "TCP stream(s) with a gap",
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
