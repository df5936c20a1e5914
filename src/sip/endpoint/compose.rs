//! How our messages look: every request and response that the endpoint sends is written here, mandatory header fields
//! first. Apart from when they are sent, so that the form can be read without the state.

use super::super::dialog::state::tagged;
use super::super::header::{NameAddr, via};
use super::super::uri;
use super::super::{HeaderName, Hop, LocalAddress, Message, Method, Protocol, Source, StatusCode, Writer};
use super::methods::BY_TERMS;
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
    pub(super) way: Way<'a>,
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

/// Where a request goes, and what of ours its peer sees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) hop: &'a Hop,
    /// The address it leaves from; `None` for the first that fits.
    pub(super) from: Option<SocketAddr>,
    /// The host that this peer knows us by; `None` for the listener's.
    pub(super) advertised: Option<&'a str>,
}

/// The scheme of our Contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContactScheme {
    Sip,
    /// RFC 3261 §8.1.1.8, §12.1.1: what was asked for by SIPS is gone on with by SIPS.
    Sips,
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
        writer.header("Via", via_of(settings, &self.way, self.branch));
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
            writer.header("Allow", ALLOW);
            if !says_supported(self.headers) {
                writer.header("Supported", SUPPORTED);
            }
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
        if self.status.is_success() && is_invite && !says_supported(self.headers) {
            writer.header("Supported", SUPPORTED);
        }
        if is_options && self.status.is_success() {
            writer.header("Supported", format!("{SUPPORTED}, {BY_TERMS}"));
            writer.header("Accept", "application/sdp, multipart/mixed");
        }
        writer.header("Server", &settings.user_agent);
        add(&mut writer, self.headers, self.body);
        writer.finish()
    }
}

/// The terms of a leg have more to say of what is supported.
fn says_supported(headers: &Headers) -> bool {
    headers.iter().any(|(name, _)| name == "Supported")
}

fn add(writer: &mut Writer, headers: &Headers, body: Option<&Body>) {
    for (name, value) in headers {
        writer.header(name.as_ref(), value);
    }
    if let Some(body) = body {
        writer.body(body.content_type, &body.bytes);
    }
}

pub(super) fn via_of(settings: &Settings, way: &Way<'_>, branch: &str) -> String {
    let transport = match way.hop.protocol {
        Protocol::Udp => "UDP",
        Protocol::Tcp => "TCP",
        Protocol::Tls => "TLS",
    };
    format!("SIP/2.0/{transport} {};branch={branch};rport", way.host(settings))
}

// === impl ContactScheme ===

impl ContactScheme {
    /// Of a Request-URI.
    pub(super) fn of(uri: &[u8]) -> Self {
        if uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"sips:")) { Self::Sips } else { Self::Sip }
    }

    /// Of the request that made a dialog (§12.1.1): its Request-URI, its top Record-Route, or its Contact if it was not
    /// record-routed.
    pub(super) fn of_dialog(request: &Message) -> Self {
        let top = request.elements(HeaderName::RecordRoute).next();
        let decides = top.or_else(|| request.elements(HeaderName::Contact).next());
        let named = decides.and_then(|element| NameAddr::parse(element).ok()).map(|address| Self::of(address.uri));
        match (request.request_uri().map(Self::of), named) {
            (Some(Self::Sips), _) | (_, Some(Self::Sips)) => Self::Sips,
            _ => Self::Sip,
        }
    }
}

// === impl Way ===

impl Way<'_> {
    /// `host[:port]` of our Via and Contact.
    fn host(&self, settings: &Settings) -> String {
        let peer = self.hop.address.socket().map(|address| address.ip());
        let local = local_of(settings, self.hop.protocol, self.from, peer);
        shown(local, self.advertised)
    }
}

/// The address of ours that peers of this protocol see: the one that a message leaves from, else the first that fits the
/// family, else the next best.
fn local_of(
    settings: &Settings,
    protocol: Protocol,
    from: Option<SocketAddr>,
    peer: Option<IpAddr>,
) -> Option<&LocalAddress> {
    let serves = |local: &&LocalAddress| {
        local.protocol == protocol && peer.is_none_or(|peer| peer.to_canonical().is_ipv4() == local.bind.is_ipv4())
    };
    let locals = &settings.locals;
    let exact = locals.iter().find(|local| local.protocol == protocol && Some(local.bind) == from);
    let best = exact.or_else(|| locals.iter().find(serves));
    best.or_else(|| locals.iter().find(|local| local.protocol == protocol)).or(locals.first())
}

/// What a peer sees of a listener: its own word for us, with the listener's port, or the listener's.
fn shown(local: Option<&LocalAddress>, advertised: Option<&str>) -> String {
    match (advertised, local) {
        (Some(host), Some(local)) => match host.parse::<IpAddr>() {
            Ok(address) => SocketAddr::new(address, local.bind.port()).to_string(),
            Err(_) => format!("{host}:{}", local.bind.port()),
        },
        (Some(host), None) => host.to_owned(),
        (None, Some(local)) => local.advertised.clone(),
        (None, None) => "0.0.0.0".to_owned(),
    }
}

/// Our Contact towards the destination of a request, without display name: some peers copy one into the Request-URI.
pub(super) fn contact_towards(settings: &Settings, way: &Way<'_>, user: &[u8], scheme: ContactScheme) -> String {
    contact(&way.host(settings), way.hop.protocol, user, scheme)
}

/// Our Contact towards the source of a request.
pub(super) fn contact_back(
    settings: &Settings,
    source: &Source,
    user: &[u8],
    scheme: ContactScheme,
    advertised: Option<&str>,
) -> String {
    let local = local_of(settings, source.protocol, Some(source.local), Some(source.peer.ip()));
    contact(&shown(local, advertised), source.protocol, user, scheme)
}

fn contact(host: &str, protocol: Protocol, user: &[u8], scheme: ContactScheme) -> String {
    let (scheme, transport) = match (scheme, protocol) {
        // RFC 5630 §3.1.4: with SIPS, the transport is the stream under TLS and need not be said.
        (ContactScheme::Sips, _) => ("sips", ""),
        (ContactScheme::Sip, Protocol::Udp) => ("sip", ""),
        (ContactScheme::Sip, Protocol::Tcp) => ("sip", ";transport=tcp"),
        (ContactScheme::Sip, Protocol::Tls) => ("sip", ";transport=tls"),
    };
    if user.is_empty() {
        return format!("<{scheme}:{host}{transport}>");
    }
    // Written as text only where it is text: a user part that is not UTF-8 is escaped byte by byte.
    match std::str::from_utf8(user) {
        Ok(user) => format!("<{scheme}:{user}@{host}{transport}>"),
        Err(_) => format!("<{scheme}:{}@{host}{transport}>", uri::escape_user(&String::from_utf8_lossy(user))),
    }
}
