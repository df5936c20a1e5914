//! SIP messages as the simulators see them, read and written through `rsip`: a second opinion on every byte the gateway
//! sends. It is strict on purpose: what another implementation could not read is reported, never passed over.

use rsip::headers::{ToTypedHeader as _, UntypedHeader as _};
use rsip::message::{HasHeaders as _, HeadersExt as _};
use rsip::{Header, SipMessage, StatusCode};
use std::net::SocketAddr;

/// A message that was received and read.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Who sent it.
    pub source: SocketAddr,
    /// What it is.
    pub start: Start,
    /// `Call-ID`.
    pub call_id: String,
    /// Number of `CSeq`.
    pub cseq: u32,
    /// Method of `CSeq`.
    pub method: rsip::Method,
    /// `From`, as a string, and its parts.
    pub from: Party,
    /// `To`.
    pub to: Party,
    /// Branch of the topmost `Via`.
    pub branch: String,
    /// All header fields in order: name, value.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The start line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// A request and its Request-URI as text.
    Request(String),
    /// A response's status and reason phrase as they stood on the line.
    Response(u16, String),
}

/// `From` or `To`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The whole value.
    pub value: String,
    /// The URI.
    pub uri: String,
    /// The tag.
    pub tag: Option<String>,
}

/// A datagram to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// To whom.
    pub to: SocketAddr,
    /// The bytes.
    pub bytes: Vec<u8>,
}

// === impl Incoming ===

impl Incoming {
    /// Reads a datagram.
    ///
    /// # Errors
    /// What `rsip` cannot read, and what RFC 3261 demands and is not there, in words.
    pub fn read(source: SocketAddr, datagram: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(datagram);
        let first = text.lines().next().unwrap_or_default().to_owned();
        Self::interpret(source, datagram, &first).map_err(|problem| format!("`{first}`: {problem}"))
    }

    fn interpret(source: SocketAddr, datagram: &[u8], first: &str) -> Result<Self, String> {
        let message = SipMessage::try_from(datagram).map_err(|error| error.to_string())?;
        let words = |error: rsip::Error| error.to_string();
        let cseq = message.cseq_header().map_err(words)?.typed().map_err(words)?;
        let from = message.from_header().map_err(words)?.typed().map_err(words)?;
        let to = message.to_header().map_err(words)?.typed().map_err(words)?;
        let via = message.via_header().map_err(words)?.typed().map_err(words)?;
        let branch = via.branch().ok_or("topmost Via has no branch")?.to_string();
        let headers = message.headers().iter().map(split).collect::<Vec<_>>();
        let incoming = Self {
            source,
            start: match &message {
                SipMessage::Request(request) => Start::Request(request.uri.to_string()),
                SipMessage::Response(response) => Start::Response(response.status_code.code(), reason_phrase(first)),
            },
            call_id: message.call_id_header().map_err(words)?.value().trim().to_owned(),
            cseq: cseq.seq,
            method: cseq.method,
            from: Party {
                value: message.from_header().map_err(words)?.value().to_owned(),
                uri: from.uri.to_string(),
                tag: from.tag().map(|tag| tag.value().to_owned()),
            },
            to: Party {
                value: message.to_header().map_err(words)?.value().to_owned(),
                uri: to.uri.to_string(),
                tag: to.tag().map(|tag| tag.value().to_owned()),
            },
            branch: branch.trim_start_matches(";branch=").to_owned(),
            headers,
            body: message.body().clone(),
        };
        incoming.demand(&message, first)?;
        Ok(incoming)
    }

    /// RFC 3261 §8.1.1, §12.1 and §20: what has to be there and what has to fit.
    fn demand(&self, message: &SipMessage, first: &str) -> Result<(), String> {
        let length = self.header("Content-Length").ok_or("Content-Length is missing")?;
        if length.trim().parse() != Ok(self.body.len()) {
            return Err(format!("Content-Length is {length}, the body has {} bytes", self.body.len()));
        }
        if !self.branch.starts_with("z9hG4bK") {
            return Err(format!("branch `{}` lacks the magic cookie", self.branch));
        }
        self.from.tag.as_ref().ok_or("From has no tag")?;
        if !self.body.is_empty() && self.header("Content-Type").is_none() {
            return Err("body without Content-Type".to_owned());
        }
        let mut wants_contact = false;
        match message {
            SipMessage::Request(request) => {
                if request.method != self.method {
                    return Err(format!("CSeq names {}", self.method));
                }
                self.header("Max-Forwards")
                    .and_then(|hops| hops.parse::<u8>().ok())
                    .ok_or("Max-Forwards is missing or no number")?;
                if first.contains('?') {
                    return Err("Request-URI has a header part (RFC 3261 §19.1.1)".to_owned());
                }
                wants_contact |= matches!(request.method, rsip::Method::Invite | rsip::Method::Update);
            }
            SipMessage::Response(response) => {
                let code = response.status_code.code();
                if code > 100 && self.to.tag.is_none() {
                    return Err("To of the response has no tag".to_owned());
                }
                wants_contact |= self.method == rsip::Method::Invite && (200..300).contains(&code);
            }
        }
        if wants_contact {
            self.contact()?;
        }
        Ok(())
    }

    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All headers of this name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The headers that Daily hands on: those whose name starts with `x-`.
    pub fn extension_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .filter(|(name, _)| name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-")))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The URI of `Contact`, the remote target.
    ///
    /// # Errors
    /// When it is missing or unreadable.
    pub fn contact(&self) -> Result<String, String> {
        let value = self.header("Contact").ok_or("Contact is missing")?;
        let contact = rsip::headers::Contact::from(value).typed().map_err(|error| error.to_string())?;
        Ok(contact.uri.to_string())
    }

    /// The URIs of a list of routes (`Record-Route`, `Route`), in order, as text without brackets.
    #[must_use]
    pub fn routes(&self, name: &str) -> Vec<String> {
        self.all(name)
            .flat_map(|line| line.split(','))
            .map(|element| element.trim().trim_start_matches('<'))
            .map(|element| element.split('>').next().unwrap_or(element).to_owned())
            .collect()
    }

    /// The status, if this is a response.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match &self.start {
            Start::Response(code, _) => Some(*code),
            Start::Request(_) => None,
        }
    }

    /// The Request-URI, if this is a request.
    #[must_use]
    pub fn request_uri(&self) -> Option<&str> {
        match &self.start {
            Start::Request(uri) => Some(uri),
            Start::Response(..) => None,
        }
    }

    /// `INVITE`, `200 OK`: what the ladder shows.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.start {
            Start::Request(_) => self.method.to_string(),
            Start::Response(code, reason) => format!("{code} {reason}"),
        }
    }
}

fn split(header: &Header) -> (String, String) {
    let line = header.to_string();
    let (name, value) = line.split_once(':').unwrap_or((&line, ""));
    (name.trim().to_owned(), value.trim().to_owned())
}

/// `rsip` replaces the reason of the statuses it knows; the gateway's own words are worth keeping.
fn reason_phrase(first: &str) -> String {
    first.splitn(3, ' ').nth(2).unwrap_or_default().trim().to_owned()
}

/// The user part of a SIP URI: what a switch would call the number.
#[must_use]
pub fn user(uri: &str) -> Option<String> {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let (user, _) = rest.split_once('@')?;
    Some(user.split([';', ':']).next().unwrap_or(user).to_owned())
}

/// Where a SIP URI points, when its host is an IPv4 address as everything in the simulation is.
///
/// # Errors
/// When it is anything else.
pub fn hop(uri: &str) -> Result<SocketAddr, String> {
    let parsed = rsip::Uri::try_from(uri).map_err(|error| format!("`{uri}`: {error}"))?;
    let port = parsed.host_with_port.port.as_ref().map_or(5060, |port| *port.value());
    match parsed.host_with_port.host {
        rsip::Host::IpAddr(ip) => Ok(SocketAddr::new(ip, port)),
        rsip::Host::Domain(name) => Err(format!("`{uri}`: the simulation does not resolve names such as {name}")),
    }
}

/// Writes a request.
///
/// # Errors
/// When `rsip` cannot read the URI.
pub fn request(method: rsip::Method, uri: &str, mut headers: Vec<Header>, body: &[u8]) -> Result<Vec<u8>, String> {
    finish(&mut headers, body);
    let uri = rsip::Uri::try_from(uri).map_err(|error| format!("`{uri}`: {error}"))?;
    let request =
        rsip::Request { method, uri, version: rsip::Version::V2, headers: headers.into(), body: body.to_vec() };
    Ok(request.into())
}

/// Writes a response.
#[must_use]
pub fn response(code: u16, reason: &str, mut headers: Vec<Header>, body: &[u8]) -> Vec<u8> {
    finish(&mut headers, body);
    // `Other` because rsip writes its own names (`BusyHere`) for the statuses it knows.
    let status_code = StatusCode::Other(code, reason.to_owned());
    rsip::Response { status_code, version: rsip::Version::V2, headers: headers.into(), body: body.to_vec() }.into()
}

fn finish(headers: &mut Vec<Header>, body: &[u8]) {
    if !body.is_empty() {
        headers.push(Header::ContentType("application/sdp".into()));
    }
    headers.push(Header::ContentLength(body.len().to_string().into()));
}

/// The standard phrase of a status.
#[must_use]
pub fn phrase(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        302 => "Moved Temporarily",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        600 => "Busy Everywhere",
        603 => "Decline",
        _ => "Refused",
    }
}

/// A header that `rsip` has no name for.
#[must_use]
pub fn other(name: &str, value: impl Into<String>) -> Header {
    Header::Other(name.to_owned(), value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:+15550100@127.0.0.1:5062;user=phone SIP/2.0\r\n\
        Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1;rport\r\n\
        Via: SIP/2.0/TCP 192.0.2.10:5061;branch=z9hG4bK0;received=192.0.2.11\r\n\
        Record-Route: <sip:127.0.0.1:5060;lr;hop=a>, <sip:127.0.0.1:5061;lr>\r\n\
        Max-Forwards: 70\r\nFrom: \"Avaya CM\" <sip:cm@pbx.example.com>;tag=1\r\nTo: <sip:gw@pbx.example.com>\r\n\
        Call-ID: c1\r\nCSeq: 7 INVITE\r\nContact: <sip:127.0.0.1:5060>\r\nX-Caller: +15550101\r\nContent-Length: 0\r\n\r\n";

    fn read(text: &str) -> Result<Incoming, String> {
        Incoming::read("127.0.0.1:5060".parse().unwrap(), text.as_bytes())
    }

    #[test]
    fn a_request_is_read_with_everything_the_simulators_ask_of_it() {
        let invite = read(INVITE).unwrap();
        assert_eq!(invite.title(), "INVITE");
        assert_eq!(invite.request_uri(), Some("sip:+15550100@127.0.0.1:5062;user=phone"));
        assert_eq!(user(invite.request_uri().unwrap()).as_deref(), Some("+15550100"));
        assert_eq!((invite.cseq, invite.branch.as_str()), (7, "z9hG4bK1"));
        assert_eq!(invite.from.tag.as_deref(), Some("1"));
        assert_eq!(invite.to.tag, None);
        assert_eq!(invite.routes("Record-Route"), ["sip:127.0.0.1:5060;lr;hop=a", "sip:127.0.0.1:5061;lr"]);
        assert_eq!(invite.extension_headers().collect::<Vec<_>>(), [("X-Caller", "+15550101")]);
        assert_eq!(invite.all("via").count(), 2);
        assert_eq!(hop(&invite.contact().unwrap()), Ok("127.0.0.1:5060".parse().unwrap()));
    }

    #[test]
    fn a_reason_phrase_of_our_own_survives() {
        let text = "SIP/2.0 400 Missing Call-ID header field\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n\
            From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>;tag=2\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(read(text).unwrap().title(), "400 Missing Call-ID header field");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (cut, instead, complaint) in [
            ("Call-ID: c1\r\n", "", "CallID"),
            ("Content-Length: 0\r\n", "", "Content-Length is missing"),
            ("Content-Length: 0", "Content-Length: 5", "Content-Length is 5, the body has 0 bytes"),
            ("z9hG4bK1", "old", "magic cookie"),
            (";tag=1", "", "From has no tag"),
            ("Max-Forwards: 70", "Max-Forwards: many", "Max-Forwards"),
            ("Contact: <sip:127.0.0.1:5060>\r\n", "", "Contact is missing"),
            ("CSeq: 7 INVITE", "CSeq: 7 BYE", "CSeq names BYE"),
            ("sip:+15550100@127.0.0.1:5062;user=phone", "sip:+15550100@127.0.0.1?x-a=1", "header part"),
        ] {
            let error = read(&INVITE.replace(cut, instead)).unwrap_err();
            assert!(error.contains(complaint), "{cut}: {error}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let headers = read(INVITE).unwrap();
        let copied = |name: &'static str| headers.all(name).map(move |value| other(name, value)).collect::<Vec<_>>();
        let mut lines = copied("Via");
        for name in ["From", "To", "Call-ID", "CSeq"] {
            lines.extend(copied(name));
        }
        let bytes = response(486, phrase(486), lines, b"");
        assert!(bytes.starts_with(b"SIP/2.0 486 Busy Here\r\n"));
        assert!(read(std::str::from_utf8(&bytes).unwrap()).unwrap_err().contains("To of the response has no tag"));
    }
}
