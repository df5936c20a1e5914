//! One simulated phone's audio: an RTP socket that speaks with a voice every 20 ms and counts what it hears.
//! It stands apart from the calls so that both kinds of caller and all of Daily's stages use the same ear.

use super::audio::{FRAME, Law, Tone, Voice};
use super::task::Task;
use crate::clock::{self, Entropy};
use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};
use serde::Serialize;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::watch;

/// Packets sent and heard by one phone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Heard {
    /// RTP packets sent.
    pub sent: u64,
    /// RTP packets received.
    pub received: u64,
    /// Of these: the caller's voice.
    pub caller: u64,
    /// Of these: hold music.
    pub hold_music: u64,
    /// Of these: the bot's speech.
    pub bot: u64,
    /// Of these: the voice of the person at the PBX.
    pub human: u64,
    /// Of these: nobody's voice, or a payload type that was not agreed.
    pub other: u64,
    /// Sequence numbers that never came (gaps within one SSRC).
    pub lost: u64,
    /// Changes of SSRC or jumps in the sequence: a listener hears these as a click at best.
    pub restarts: u64,
    /// Datagrams that are no RTP.
    pub unreadable: u64,
    /// Milliseconds from the phone's opening to the first packet of the bot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_bot_ms: Option<u64>,
}

/// What a phone does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Talk {
    /// Where its packets go.
    pub to: SocketAddr,
    /// Payload type of the negotiated codec.
    pub payload_type: u8,
    /// Its law.
    pub law: Law,
    /// The voice; `None` is a phone that sends nothing.
    pub voice: Option<Voice>,
}

/// A phone. Ends when dropped.
#[derive(Debug)]
pub struct Phone {
    address: SocketAddr,
    talk: watch::Sender<Option<Talk>>,
    heard: watch::Receiver<Heard>,
    _task: Task,
}

/// The loop's own state.
struct Line {
    socket: UdpSocket,
    /// Held so that nobody else's audio gets our RTCP port; what arrives there is not looked at.
    _rtcp: UdpSocket,
    opened: Instant,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    tone: Option<Tone>,
    last: Option<(u32, u16)>,
    heard: Heard,
}

// === impl Phone ===

impl Phone {
    /// Opens an even port with its RTCP neighbour on `ip`.
    ///
    /// # Errors
    /// When no pair of ports is free.
    pub async fn open(ip: IpAddr, entropy: &mut Entropy) -> io::Result<Self> {
        let (socket, rtcp) = bind_pair(ip).await?;
        let address = socket.local_addr()?;
        let (talk, orders) = watch::channel(None);
        let (report, heard) = watch::channel(Heard::default());
        let line = Line {
            socket,
            _rtcp: rtcp,
            opened: clock::now(),
            ssrc: entropy.next_u64() as u32,
            sequence: entropy.below(60_000) as u16,
            timestamp: entropy.next_u64() as u32,
            tone: None,
            last: None,
            heard: Heard::default(),
        };
        Ok(Self { address, talk, heard, _task: Task::spawn(line.run(orders, report)) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells it what to do from the next packet on; `None` is silence.
    pub fn talk(&self, talk: Option<Talk>) {
        self.talk.send_replace(talk);
    }

    /// What it heard and sent so far.
    #[must_use]
    pub fn heard(&self) -> Heard {
        *self.heard.borrow()
    }

    /// To wait for changes of [`Self::heard`].
    #[must_use]
    pub fn listen(&self) -> watch::Receiver<Heard> {
        self.heard.clone()
    }
}

/// RFC 3550 §11: RTP on an even port, RTCP on the next.
async fn bind_pair(ip: IpAddr) -> io::Result<(UdpSocket, UdpSocket)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..64 {
        let one = UdpSocket::bind((ip, 0)).await?;
        let port = one.local_addr()?.port();
        match UdpSocket::bind((ip, port ^ 1)).await {
            Ok(other) if port % 2 == 0 => return Ok((one, other)),
            Ok(other) => return Ok((other, one)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

// === impl Line ===

impl Line {
    async fn run(mut self, mut orders: watch::Receiver<Option<Talk>>, report: watch::Sender<Heard>) {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        let mut buffer = [0u8; 2048];
        loop {
            tokio::select! {
                _ = pace.tick() => {
                    let talk = *orders.borrow_and_update();
                    if let Some(talk) = talk {
                        self.speak(talk).await;
                    }
                }
                arrived = self.socket.recv_from(&mut buffer) => {
                    // An ICMP error of an earlier send surfaces here; the far port may only be gone already.
                    if let Ok((length, _)) = arrived {
                        let law = orders.borrow().map(|talk| (talk.payload_type, talk.law));
                        self.hear(law, buffer.get(..length).unwrap_or_default());
                    }
                }
            }
            report.send_replace(self.heard);
        }
    }

    async fn speak(&mut self, talk: Talk) {
        let Some(voice) = talk.voice else { return };
        let tone = self.tone.get_or_insert_with(|| Tone::new(voice, talk.law));
        tone.say(voice);
        let payload = tone.frame();
        let packet = RtpPacketBuilder::new()
            .payload_type(talk.payload_type)
            .ssrc(self.ssrc)
            .sequence(Seq::from(self.sequence))
            .timestamp(self.timestamp)
            .marked(self.heard.sent == 0)
            .payload(&payload)
            .build();
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        if let Ok(packet) = packet
            && self.socket.send_to(&packet, talk.to).await.is_ok()
        {
            self.heard.sent += 1;
        }
    }

    fn hear(&mut self, law: Option<(u8, Law)>, datagram: &[u8]) {
        let Ok(packet) = RtpReader::new(datagram) else {
            self.heard.unreadable += 1;
            return;
        };
        let heard = &mut self.heard;
        heard.received += 1;
        let sequence = u16::from(packet.sequence_number());
        match self.last {
            Some((ssrc, last)) if ssrc == packet.ssrc() => match sequence.wrapping_sub(last) {
                1 => {}
                gap @ 2..=1_000 => heard.lost += u64::from(gap) - 1,
                0 | 0xff00.. => heard.lost = heard.lost.saturating_sub(1),
                _ => heard.restarts += 1,
            },
            Some(_) => heard.restarts += 1,
            None => {}
        }
        self.last = Some((packet.ssrc(), sequence));
        let law = law.or(match packet.payload_type() {
            0 => Some((0, Law::Mu)),
            8 => Some((8, Law::A)),
            _ => None,
        });
        let voice = law.filter(|(agreed, _)| *agreed == packet.payload_type());
        match voice.and_then(|(_, law)| Voice::recognise(law, packet.payload())) {
            Some(Voice::Caller) => heard.caller += 1,
            Some(Voice::HoldMusic) => heard.hold_music += 1,
            Some(Voice::Human) => heard.human += 1,
            Some(Voice::Bot) => {
                heard.bot += 1;
                let since = clock::now().saturating_duration_since(self.opened);
                heard.first_bot_ms.get_or_insert(since.as_millis() as u64);
            }
            None => heard.other += 1,
        }
    }
}
