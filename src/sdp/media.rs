//! What the lines of a description mean: its media sections, and the one audio stream that a call can use. Apart from
//! the line model, because meaning may be missing or odd where the lines are still perfectly well kept.

use super::direction::Direction;
use super::format::Format;
use super::line::{Line, number, text, words};
use std::net::{IpAddr, SocketAddr};

/// One `m=` line, whatever it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Position among the `m=` lines, from 0.
    pub index: usize,
    /// Line number of the `m=` line, from 1.
    pub line: usize,
    /// `audio`, `video`, `image` ..., as written.
    pub kind: String,
    /// Transport port; 0 for a stream that is refused or off, or that could not be read.
    pub port: u16,
    /// Transport and profile as written: `RTP/AVP`, `udptl` ...
    pub protocol: String,
    /// The formats as written: payload types of RTP, other words elsewhere.
    pub formats: Vec<String>,
    /// Why this stream cannot carry the call; `None` if it can.
    pub unusable: Option<Unusable>,
}

/// The audio stream that a call uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// Position of its `m=` line, from 0.
    pub index: usize,
    /// Where it wants its packets. `None` for a name, for an address that says hold (0.0.0.0, ::), for a group or
    /// broadcast address (never sent to: one INVITE must not aim RTP at a whole network), and if there is none at all.
    pub address: Option<IpAddr>,
    /// The connection address as written, without TTL; empty if there is none.
    pub host: String,
    /// The RTP port, never 0.
    pub port: u16,
    /// Where it wants its RTCP, if it says so (RFC 3605) and not by a name; else it is `port` + 1.
    pub rtcp: Option<SocketAddr>,
    /// The formats that we can name, in order, each payload type once.
    pub formats: Vec<Format>,
    /// The direction, `sendrecv` if nothing is said; a zero address has taken receiving away.
    pub direction: Direction,
    /// Packet time in ms.
    pub ptime: Option<u32>,
    /// Longest packet time in ms.
    pub maxptime: Option<u32>,
}

/// Why a description, or one stream of it, cannot carry the call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// No `m=` line at all.
    #[error("the description has no media (no m= line)")]
    NoMedia,
    /// Streams, but no audio; names the first.
    #[error("the description has no audio, only {0}")]
    NoAudio(String),
    /// Audio with port 0 (RFC 3264 §5.1, §6, §8.2).
    #[error("the audio stream is switched off (port 0)")]
    Disabled,
    /// Audio over something that is not plain RTP over UDP.
    #[error(
        "audio is offered only as {0}; this version takes RTP/AVP and RTP/AVPF: switch media encryption off or to optional for this peer"
    )]
    Profile(String),
    /// An `m=` line that cannot be read.
    #[error("line {line}: \"{text}\" is no m= line: expected m=audio PORT RTP/AVP FORMATS")]
    Malformed {
        /// Line number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
}

/// What the lines of the session part, or of one media section, say.
#[derive(Debug, Default)]
pub(super) struct Section<'a> {
    connection: Option<&'a [u8]>,
    direction: Option<Direction>,
    ptime: Option<u32>,
    maxptime: Option<u32>,
    rtcp: Option<&'a [u8]>,
    rtpmaps: Vec<(u8, &'a [u8])>,
    fmtps: Vec<(u8, &'a [u8])>,
}

// === impl Media ===

impl Media {
    /// Reads an `m=` line; what cannot be read is left empty and said in `unusable`.
    pub(super) fn parse(index: usize, line: &Line<'_>) -> Self {
        let mut words = words(line.value());
        let kind = words.next().map(text).unwrap_or_default();
        let port = words.next().and_then(|word| number::<u16>(word.split(|byte| *byte == b'/').next()?));
        let protocol = words.next().map(text).unwrap_or_default();
        let formats: Vec<String> = words.map(text).collect();
        let unusable = match port {
            _ if !kind.eq_ignore_ascii_case("audio") => Some(Unusable::NoAudio(kind.clone())),
            Some(0) => Some(Unusable::Disabled),
            Some(_) if !protocol.is_empty() && !formats.is_empty() => {
                let plain = ["RTP/AVP", "RTP/AVPF"].iter().any(|profile| protocol.eq_ignore_ascii_case(profile));
                (!plain).then(|| Unusable::Profile(protocol.clone()))
            }
            _ => Some(Unusable::Malformed { line: line.number, text: text(line.text) }),
        };
        Self { index, line: line.number, kind, port: port.unwrap_or(0), protocol, formats, unusable }
    }
}

// === impl Section ===

impl<'a> Section<'a> {
    /// Takes in one line.
    pub(super) fn read(&mut self, line: &Line<'a>) {
        if line.kind() == Some(b'c') {
            // Several c= lines are the layers of a multicast session (RFC 8866 §5.7): the first is the base.
            self.connection = self.connection.or(Some(line.value()));
            return;
        }
        match line.attribute() {
            Some((name, None)) => self.direction = Direction::parse(name).or(self.direction),
            Some((name, Some(value))) => self.read_attribute(name, value),
            None => {}
        }
    }

    fn read_attribute(&mut self, name: &[u8], value: &'a [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("rtpmap") {
            self.rtpmaps.extend(numbered(value));
        } else if is("fmtp") {
            self.fmtps.extend(numbered(value));
        } else if is("ptime") {
            self.ptime = milliseconds(value).or(self.ptime);
        } else if is("maxptime") {
            self.maxptime = milliseconds(value).or(self.maxptime);
        } else if is("rtcp") {
            self.rtcp = self.rtcp.or(Some(value));
        }
    }

    fn format(&self, payload_type: u8) -> Option<Format> {
        let mapped = |entries: &[(u8, &'a [u8])]| {
            entries.iter().find(|(number, _)| *number == payload_type).map(|(_, value)| *value)
        };
        let known = Format::of_static(payload_type);
        let mut format = match mapped(&self.rtpmaps).and_then(|value| rtpmap(payload_type, value, known.as_ref())) {
            Some(format) => format,
            None => known?,
        };
        format.fmtp = mapped(&self.fmtps).filter(|value| !value.is_empty()).map(text);
        Some(format)
    }
}

// === impl Audio ===

impl Audio {
    /// The stream of a usable `m=` line. A `c=` line is looked for in its own section, then in the session part; if both
    /// lack it, the address of the `o=` line has to do: a description without any is better answered than refused.
    pub(super) fn build(media: &Media, own: &Section<'_>, session: &Section<'_>, origin: Option<&[u8]>) -> Self {
        let connection = own.connection.or(session.connection).and_then(|value| words(value).nth(2));
        let word = connection.or_else(|| words(origin?).last());
        let host = word.map(connection_host).unwrap_or_default();
        let literal = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let address = literal.filter(is_single_host);
        let said = own.direction.or(session.direction).unwrap_or_default();
        let direction = match literal {
            Some(literal) if literal.is_unspecified() => said.without_receiving(),
            _ => said,
        };
        let mut formats: Vec<Format> = Vec::new();
        for word in &media.formats {
            let Some(payload_type) = word.parse::<u8>().ok().filter(|number| *number < 128) else { continue };
            if !formats.iter().any(|format| format.payload_type == payload_type) {
                formats.extend(own.format(payload_type));
            }
        }
        Self {
            index: media.index,
            address,
            host,
            port: media.port,
            rtcp: own.rtcp.and_then(|value| rtcp(value, address)),
            formats,
            direction,
            ptime: own.ptime.or(session.ptime),
            maxptime: own.maxptime.or(session.maxptime),
        }
    }
}

/// `99 anything` → 99 and the rest.
fn numbered(value: &[u8]) -> Option<(u8, &[u8])> {
    let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
    let (digits, rest) = value.split_at_checked(end)?;
    Some((number::<u8>(digits).filter(|number| *number < 128)?, rest.trim_ascii()))
}

/// `PCMU/8000`, `opus/48000/2`; a missing clock is that of the static type, or 8000.
fn rtpmap(payload_type: u8, value: &[u8], known: Option<&Format>) -> Option<Format> {
    let mut parts = words(value).next()?.split(|byte| *byte == b'/');
    let encoding = parts.next().filter(|name| !name.is_empty())?;
    let clock = parts.next().and_then(number::<u32>).filter(|clock| *clock > 0);
    let channels = parts.next().and_then(number::<u8>).filter(|channels| *channels > 0);
    let clock = clock.or_else(|| known.map(|format| format.clock)).unwrap_or(8000);
    Some(Format { channels: channels.unwrap_or(1), ..Format::new(payload_type, &text(encoding), clock) })
}

/// Whole milliseconds of `20`, `20.0`, `20 ms`; `None` for what cannot be a packet time, such as `0.125`.
fn milliseconds(value: &[u8]) -> Option<u32> {
    let word = words(value).next()?;
    let whole = word.split(|byte| matches!(byte, b'.' | b',')).next()?;
    number::<u32>(whole).filter(|value| (1..=1000).contains(value))
}

/// The address of `IN IP4 224.2.36.42/127` without TTL and brackets.
pub(super) fn connection_host(word: &[u8]) -> String {
    let host = word.split(|byte| *byte == b'/').next().unwrap_or_default();
    let host = host.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")).unwrap_or(host);
    text(host)
}

/// RFC 3605 §2.1: `53020`, or `53020 IN IP6 2001:db8::1`. Without an address, or with a name, it is the stream's own.
fn rtcp(value: &[u8], stream: Option<IpAddr>) -> Option<SocketAddr> {
    let mut words = words(value);
    let port = number::<u16>(words.next()?).filter(|port| *port > 0)?;
    let address = match words.last().map(connection_host).and_then(|host| host.parse::<IpAddr>().ok()) {
        Some(own) => Some(own.to_canonical()).filter(is_single_host),
        None => stream,
    };
    Some(SocketAddr::new(address?, port))
}

pub(super) fn is_single_host(address: &IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && *address != IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
}
