//! How our messages look: every request and response that the endpoint sends is written here, mandatory header fields
//! first. Apart from when they are sent, so that the form can be read without the state.

use super::super::dialog::state::tagged;
use super::super::header::via;
use super::super::uri;
use super::super::{HeaderName, Hop, HopAddress, LocalAddress, Message, Method, Protocol, Source, StatusCode, Writer};
use super::{ALLOW, Body, Headers, SUPPORTED, Settings};

use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};

/// `Max-Forwards` of the requests that we start ourselves (RFC 3261 §8.1.1.6).
pub(super) const MAX_FORWARDS: u8 = 70;

/// A request to be written.
#[derive(Debug)]
pub(super) struct Outline<'a> {
    pub(super) method: Method,
    pub(super) request_uri: &'a [u8],
    pub(super) hop: &'a Hop,
    pub(super) branch: &'a str,
    pub(super) routes: &'a [Box<[u8]>],
    pub(super) last_route: Option<&'a [u8]>,
    pub(super) from: &'a [u8],
    pub(super) to: &'a [u8],
    pub(super) call_id: &'a [u8],
    pub(super) number: u32,
    pub(super) max_forwards: u8,
    pub(super) contact: Option<&'a str>,
    pub(super) headers: &'a Headers,
    pub(super) body: Option<&'a Body>,
}

/// A response to be written.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    pub(super) status: StatusCode,
    pub(super) reason: Option<&'a str>,
    pub(super) headers: &'a Headers,
    pub(super) body: Option<&'a Body>,
}

// === impl Outline ===

impl Outline<'_> {
    pub(super) fn write(&self, settings: &Settings) -> Bytes {
        let mut writer = Writer::request(&self.method, self.request_uri);
        writer.header("Via", via_of(settings, self.hop, self.branch));
        for route in self.routes {
            writer.header("Route", route);
        }
        if let Some(route) = self.last_route {
            writer.header("Route", route);
        }
        writer.header("Max-Forwards", self.max_forwards.to_string());
        writer.header("From", self.from).header("To", self.to).header("Call-ID", self.call_id);
        writer.header("CSeq", format!("{} {}", self.number, self.method.as_str()));
        if let Some(contact) = self.contact {
            writer.header("Contact", contact);
        }
        if matches!(self.method, Method::Invite | Method::Update) {
            writer.header("Allow", ALLOW).header("Supported", SUPPORTED);
        }
        writer.header("User-Agent", &settings.user_agent);
        add(&mut writer, self.headers, self.body);
        writer.finish()
    }
}

// === impl Reply ===

impl<'a> Reply<'a> {
    pub(super) fn bare(status: StatusCode) -> Reply<'static> {
        const NONE: &Headers = &Headers::new();
        Reply { status, reason: None, headers: NONE, body: None }
    }

    pub(super) fn with(status: StatusCode, headers: &'a Headers) -> Reply<'a> {
        Reply { status, reason: None, headers, body: None }
    }

    /// RFC 3261 §8.2.6: the addresses come from the request, verbatim; `tag` is added to a To that has none, and the
    /// topmost Via shows where the request came from.
    pub(super) fn write(
        &self,
        settings: &Settings,
        request: &Message,
        peer: SocketAddr,
        tag: &str,
        contact: Option<&str>,
    ) -> Bytes {
        let method = request.method();
        let is_invite = method == Method::Invite;
        let mut writer = Writer::response(self.status, self.reason);
        for (position, element) in request.elements(HeaderName::Via).enumerate() {
            if position == 0 {
                writer.header("Via", via::stamped(element, peer));
            } else {
                writer.header("Via", element);
            }
        }
        let forms_dialog = is_invite && (101..300).contains(&self.status.get());
        if forms_dialog {
            writer.copy(request, HeaderName::RecordRoute);
        }
        writer.copy(request, HeaderName::From);
        match request.value(HeaderName::To) {
            Some(to) if request.to_tag().is_none() => writer.header("To", tagged(to, tag)),
            _ => writer.copy(request, HeaderName::To),
        };
        writer.copy(request, HeaderName::CallId).copy(request, HeaderName::CSeq);
        if self.status == StatusCode::TRYING {
            // RFC 3261 §8.2.6.1.
            writer.copy(request, HeaderName::Timestamp);
        }
        // RFC 3311 §5.2: a 2xx to UPDATE may move the target as one to INVITE does.
        let refreshes = method == Method::Update && self.status.is_success();
        if let Some(contact) = contact.filter(|_| forms_dialog || refreshes) {
            writer.header("Contact", contact);
        }
        let is_options = method == Method::Options;
        if self.status.get() == 405 || self.status.is_success() && (is_invite || is_options || method == Method::Update)
        {
            writer.header("Allow", ALLOW);
        }
        if self.status.is_success() && (is_invite || is_options) {
            writer.header("Supported", SUPPORTED);
        }
        if is_options && self.status.is_success() {
            writer.header("Accept", "application/sdp, multipart/mixed");
        }
        writer.header("Server", &settings.user_agent);
        add(&mut writer, self.headers, self.body);
        writer.finish()
    }
}

fn add(writer: &mut Writer, headers: &Headers, body: Option<&Body>) {
    for (name, value) in headers {
        writer.header(name.as_ref(), value);
    }
    if let Some(body) = body {
        writer.body(body.content_type, &body.bytes);
    }
}

pub(super) fn via_of(settings: &Settings, hop: &Hop, branch: &str) -> String {
    let transport = match hop.protocol {
        Protocol::Udp => "UDP",
        Protocol::Tcp => "TCP",
        Protocol::Tls => "TLS",
    };
    format!("SIP/2.0/{transport} {};branch={branch};rport", advertised(settings, hop.protocol, address_of(hop)))
}

fn address_of(hop: &Hop) -> Option<IpAddr> {
    match &hop.address {
        HopAddress::Socket(address) => Some(address.ip()),
        HopAddress::Name { .. } => None,
    }
}

/// The address that peers of this protocol and family see; the next best one if none fits.
fn advertised(settings: &Settings, protocol: Protocol, peer: Option<IpAddr>) -> &str {
    let serves = |local: &&LocalAddress| {
        local.protocol == protocol && peer.is_none_or(|peer| peer.to_canonical().is_ipv4() == local.bind.is_ipv4())
    };
    let locals = &settings.locals;
    let best = locals.iter().find(serves).or_else(|| locals.iter().find(|local| local.protocol == protocol));
    best.or(locals.first()).map_or("0.0.0.0", |local| &local.advertised)
}

/// Our Contact towards the destination of a request, without display name: some peers copy one into the Request-URI.
pub(super) fn contact_towards(settings: &Settings, hop: &Hop, user: &[u8]) -> String {
    contact(advertised(settings, hop.protocol, address_of(hop)), hop.protocol, user)
}

/// Our Contact towards the source of a request.
pub(super) fn contact_back(settings: &Settings, source: &Source, user: &[u8]) -> String {
    let exact = settings.locals.iter().find(|local| local.protocol == source.protocol && local.bind == source.local);
    let host = match exact {
        Some(local) => &local.advertised,
        None => advertised(settings, source.protocol, Some(source.peer.ip())),
    };
    contact(host, source.protocol, user)
}

fn contact(host: &str, protocol: Protocol, user: &[u8]) -> String {
    let transport = match protocol {
        Protocol::Udp => "",
        Protocol::Tcp => ";transport=tcp",
        Protocol::Tls => ";transport=tls",
    };
    if user.is_empty() {
        return format!("<sip:{host}{transport}>");
    }
    // Written as text only where it is text: a user part that is not UTF-8 is escaped byte by byte.
    match std::str::from_utf8(user) {
        Ok(user) => format!("<sip:{user}@{host}{transport}>"),
        Err(_) => format!("<sip:{}@{host}{transport}>", uri::escape_user(&String::from_utf8_lossy(user))),
    }
}
