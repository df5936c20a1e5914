//! One registered contact: what the PBX wrote, kept byte for byte, and where it was heard. It stands apart from the
//! registrar, whose rules it obeys.

use crate::sip::header::{NameAddr, Params, number};
use crate::sip::uri::{self, Uri};
use crate::sip::{Hop, HopAddress, Message, Protocol, Source};
use std::time::{Duration, Instant};

/// A contact of a trunk.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The trunk that it belongs to.
    pub trunk: String,
    /// The address-of-record: the user part of `To`, escapes undone.
    pub aor: Vec<u8>,
    /// The URI, as written: `rinstance`, `line` and whatever else the PBX knows its line by.
    pub uri: String,
    /// What stood before the parameters: display name and angle brackets too.
    head: String,
    /// The parameters without `expires`, as written.
    params: String,
    /// `q` in thousandths; 1000 without.
    pub preference: u16,
    /// When it ends.
    pub until: Instant,
    /// The proxies before it (RFC 3327), as written, outermost first.
    pub path: Vec<String>,
    /// Where the REGISTER came from: the NAT's address, if there is one.
    pub source: Source,
    /// Who wrote it last, to tell a later request from one that was overtaken.
    pub(super) call_id: Vec<u8>,
    pub(super) number: u32,
}

/// A contact as a REGISTER asks for it.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) uri: String,
    head: String,
    params: String,
    preference: u16,
    /// Its own `expires`, if it can be read.
    pub(super) expires: Option<u32>,
}

// === impl Wanted ===

impl Wanted {
    /// Reads one element of Contact; `None` if it is no SIP address, or no text.
    pub(super) fn parse(element: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(element).ok()?.trim();
        let contact = NameAddr::parse(text.as_bytes()).ok()?;
        uri::hop(&contact.uri().ok()?)?;
        let raw = std::str::from_utf8(contact.params.raw()).ok()?;
        let head = text.strip_suffix(raw).unwrap_or(text).trim_end();
        let expires = contact.param("expires").map(seconds);
        Some(Self {
            uri: String::from_utf8_lossy(contact.uri).into_owned(),
            head: head.to_owned(),
            params: without_expires(raw),
            preference: preference(&contact.params),
            expires,
        })
    }

    /// The binding that it makes.
    pub(super) fn bound(self, until: Instant, request: &Message, made: Made<'_>) -> Binding {
        Binding {
            trunk: made.trunk.to_owned(),
            aor: made.aor.to_vec(),
            uri: self.uri,
            head: self.head,
            params: self.params,
            preference: self.preference,
            until,
            path: made.path.to_vec(),
            source: made.source,
            call_id: request.call_id().to_vec(),
            number: request.cseq().map_or(0, |cseq| cseq.number),
        }
    }
}

/// What all contacts of one REGISTER have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made<'a> {
    pub(super) trunk: &'a str,
    pub(super) aor: &'a [u8],
    pub(super) path: &'a [String],
    pub(super) source: Source,
}

// === impl Binding ===

impl Binding {
    /// The Contact of a response: as it was written, with what is left of its time.
    #[must_use]
    pub fn shown(&self, now: Instant) -> String {
        // Rounded up: a client that refreshes at the end must not come late.
        let left = self.until.saturating_duration_since(now) + Duration::from_millis(999);
        format!("{}{};expires={}", self.head, self.params, left.as_secs())
    }

    /// Where a request to it goes: the first proxy of its path, the stream it registered by, or the address that its
    /// REGISTER came from. Only a Contact at that very address may name another port.
    #[must_use]
    pub fn hop(&self) -> Hop {
        let first = self.path.first().and_then(|path| hop_of_route(path));
        if let Some(hop) = first {
            return hop;
        }
        let heard = Hop {
            protocol: self.source.protocol,
            address: HopAddress::Socket(self.source.peer),
            connection: self.source.connection,
        };
        if self.source.protocol != Protocol::Udp {
            return heard;
        }
        let written = Uri::parse(self.uri.as_bytes()).ok().and_then(|uri| uri::hop(&uri));
        let peer = self.source.peer.ip().to_canonical();
        let there = |hop: &Hop| hop.address.socket().is_some_and(|address| address.ip().to_canonical() == peer);
        written.filter(there).unwrap_or(heard)
    }

    /// Whether this URI is its own.
    pub(super) fn is_at(&self, uri: &Uri<'_>) -> bool {
        Uri::parse(self.uri.as_bytes()).is_ok_and(|own| crate::sip::equality::same(&own, uri))
    }
}

fn hop_of_route(element: &str) -> Option<Hop> {
    let address = NameAddr::parse(element.as_bytes()).ok()?;
    uri::hop(&address.uri().ok()?)
}

/// RFC 3261 §10.2.1.1: what cannot be read means an hour.
pub(super) fn seconds(text: &[u8]) -> u32 {
    number(text.trim_ascii(), u64::from(u32::MAX)).and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(3600)
}

fn preference(params: &Params<'_>) -> u16 {
    let text = params.get("q").and_then(|q| std::str::from_utf8(q).ok());
    let q = text.and_then(|q| q.parse::<f32>().ok()).filter(|q| (0.0..=1.0).contains(q)).unwrap_or(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
    let thousandths = (q * 1000.0).round() as u16;
    thousandths
}

/// The parameters as they were written, one taken out.
fn without_expires(raw: &str) -> String {
    let mut kept = Vec::with_capacity(raw.len());
    for (name, value) in Params::new(raw.as_bytes()).iter().filter(|(name, _)| !name.eq_ignore_ascii_case(b"expires")) {
        kept.push(b';');
        kept.extend_from_slice(name);
        if let Some(value) = value {
            kept.push(b'=');
            kept.extend_from_slice(value);
        }
    }
    String::from_utf8(kept).unwrap_or_default()
}
