//! One received message: its bytes, its start line and the index of its header fields. It stands apart from the check
//! because a message that is wrong must still be readable: the refusal is built from it.

use super::index::{self, Index, Line, Span};
use super::name::HeaderName;
use crate::sip::header::{CSeq, Elements, NameAddr, Via, decode, is_token, number};
use crate::sip::uri::Scheme;
use crate::sip::{Method, StatusCode};

use bytes::Bytes;
use std::borrow::Cow;

/// Why bytes are no SIP message at all; there is nothing that could be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Nothing but line ends: a keep-alive (RFC 5626 §4.4.1).
    #[error("only line ends, a keep-alive")]
    KeepAlive,
    /// The first line is neither a request line nor a status line.
    #[error("the first line is no SIP start line")]
    NotSip,
    /// The status code is not one of 100 to 699.
    #[error("the status code is not between 100 and 699")]
    StatusCode,
    /// Larger than any transport could deliver.
    #[error("the message is too long")]
    TooLong,
}

/// A received message. Cloning shares the bytes.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Bytes,
    start: Start,
    version: Span,
    index: Index,
    body: Span,
    length: Length,
}

#[derive(Debug, Clone, Copy)]
enum Start {
    Request { method: Span, uri: Span },
    Response { status: StatusCode, reason: Span },
}

/// What `Content-Length` says about the bytes that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// It is absent, or not larger than what came.
    Fits,
    /// More was announced than came.
    Short,
    /// It is no number.
    Bad,
    /// Two lines of it differ.
    Conflict,
}

// === impl Message ===

impl Message {
    /// Splits and indexes a message; nothing is judged but that it is one. Leading line ends are skipped (RFC 3261
    /// §7.5), LF alone ends lines, folding is undone (the only case that copies), any number of header lines is taken.
    /// The body is what Content-Length says, or the rest of the datagram.
    pub fn parse(bytes: Bytes) -> Result<Message, ParseError> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(ParseError::TooLong);
        }
        let skip = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).ok_or(ParseError::KeepAlive)?;
        let bytes = bytes.slice(skip..);
        match Message::index(bytes.clone())? {
            Some(message) => Ok(message),
            // Unfolding leaves no folded line, so the second walk always ends.
            None => Message::index(Bytes::from(index::unfold(&bytes)))?.ok_or(ParseError::NotSip),
        }
    }

    fn index(bytes: Bytes) -> Result<Option<Message>, ParseError> {
        let line = Line::at(&bytes, 0);
        let (start, version) = start_line(line.content)?;
        let Some((index, body_start)) = index::walk(&bytes, line.next) else { return Ok(None) };
        let available = bytes.len().saturating_sub(body_start);
        let (length, taken) = content_length(&bytes, &index, available);
        let body = Span::new(body_start, body_start + taken);
        Ok(Some(Message { start, version, index, body, length, bytes }))
    }

    /// Whether it is a request; otherwise it is a response.
    pub fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// The method of the request line, or of the CSeq of a response (an empty unknown method if that is unreadable).
    pub fn method(&self) -> Method {
        Method::parse(self.method_bytes())
    }

    /// Like [`Message::method`], as written.
    pub fn method_bytes(&self) -> &[u8] {
        match self.start {
            Start::Request { method, .. } => method.of(&self.bytes),
            Start::Response { .. } => {
                let value = self.value(HeaderName::CSeq).unwrap_or_default();
                crate::sip::header::cseq::split(value).map(|(_, method)| method).unwrap_or_default()
            }
        }
    }

    /// The Request-URI as written.
    pub fn request_uri(&self) -> Option<&[u8]> {
        match self.start {
            Start::Request { uri, .. } => Some(uri.of(&self.bytes)),
            Start::Response { .. } => None,
        }
    }

    /// The status of a response.
    pub fn status(&self) -> Option<StatusCode> {
        match self.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(status),
        }
    }

    /// The reason phrase of a response, which may be empty.
    pub fn reason(&self) -> Cow<'_, str> {
        match self.start {
            Start::Request { .. } => Cow::Borrowed(""),
            Start::Response { reason, .. } => decode(reason.of(&self.bytes)),
        }
    }

    /// The SIP version as written, `SIP/2.0`.
    pub fn version(&self) -> &[u8] {
        self.version.of(&self.bytes)
    }

    /// The value of the first line of this header, trimmed.
    pub fn value(&self, name: HeaderName) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// The value of each line of this header, trimmed. For [`HeaderName::Other`], of every header without a name here.
    pub fn values(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.index.iter().filter(move |field| field.name == name).map(|field| field.value_in(&self.bytes))
    }

    /// The elements of the comma list that all lines of this header form. Only for headers that are lists: a Date or a
    /// challenge holds commas of its own.
    pub fn elements(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.values(name).flat_map(Elements::new)
    }

    /// Is this token in the list of this header, in any case? For option tags and methods: `Supported`, `Require`, `Allow`.
    pub fn lists(&self, name: HeaderName, token: &str) -> bool {
        self.elements(name).any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The value of the first line as text; bytes that are not UTF-8 are read as ISO-8859-1.
    pub fn text(&self, name: HeaderName) -> Option<Cow<'_, str>> {
        self.value(name).map(decode)
    }

    /// The value of each line of any header, known or not, in any case; `named("Via")` finds `v:` too.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let known = HeaderName::parse(name.as_bytes());
        let lines = self.headers().filter(move |(spelling, found, _)| {
            *found == known && (known != HeaderName::Other || spelling.eq_ignore_ascii_case(name.as_bytes()))
        });
        lines.map(|(_, _, value)| value)
    }

    /// Every header line in order: spelling, name, value.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], HeaderName, &[u8])> {
        self.index.iter().map(|field| (field.name_in(&self.bytes), field.name, field.value_in(&self.bytes)))
    }

    /// The body; empty if there is none.
    pub fn body(&self) -> &[u8] {
        self.body.of(&self.bytes)
    }

    /// The whole message, without leading line ends and with folding undone.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Call-ID; empty if missing.
    pub fn call_id(&self) -> &[u8] {
        self.value(HeaderName::CallId).unwrap_or_default()
    }

    /// CSeq, if it can be read.
    pub fn cseq(&self) -> Option<CSeq> {
        CSeq::parse(self.value(HeaderName::CSeq)?).ok()
    }

    /// The tag of From.
    pub fn from_tag(&self) -> Option<&[u8]> {
        self.address(HeaderName::From)?.tag()
    }

    /// The tag of To.
    pub fn to_tag(&self) -> Option<&[u8]> {
        self.address(HeaderName::To)?.tag()
    }

    /// The first element of an address header, if it can be read. From and To are no lists: a comma in an unquoted
    /// display name does not end them.
    pub fn address(&self, name: HeaderName) -> Option<NameAddr<'_>> {
        let element = match name {
            HeaderName::From | HeaderName::To => self.value(name)?,
            list => self.elements(list).next()?,
        };
        NameAddr::parse(element).ok()
    }

    /// The topmost Via, if it can be read.
    pub fn top_via(&self) -> Option<Via<'_>> {
        Via::parse(self.elements(HeaderName::Via).next()?).ok()
    }

    /// Where requests to the sender go in a dialog: the URI of its Contact (RFC 3261 §12.1), if it is a SIP URI. For an
    /// INVITE without Contact from an RFC 2543 peer (no branch cookie) it is the URI of its From.
    pub fn remote_target(&self) -> Option<&[u8]> {
        let address = match self.value(HeaderName::Contact) {
            Some(_) => self.address(HeaderName::Contact)?,
            None if self.is_rfc_2543_invite() => self.address(HeaderName::From)?,
            None => return None,
        };
        let uri = address.uri().ok()?;
        matches!(uri.scheme, Scheme::Sip | Scheme::Sips).then_some(address.uri)
    }

    fn is_rfc_2543_invite(&self) -> bool {
        let cookie = |via: Via<'_>| via.branch.is_some_and(|branch| branch.starts_with(Via::COOKIE));
        self.is_request() && self.method_bytes() == b"INVITE" && !self.top_via().is_none_or(cookie)
    }

    /// Max-Forwards, if it is there and a number up to 255.
    pub fn max_forwards(&self) -> Option<u8> {
        number(self.value(HeaderName::MaxForwards)?, 255).and_then(|hops| u8::try_from(hops).ok())
    }

    pub(super) fn length(&self) -> Length {
        self.length
    }
}

/// `Method SP Request-URI SP SIP-Version`, or `SIP-Version SP Status-Code SP Reason-Phrase`. More blanks than one are
/// tolerated (RFC 4475 §3.1.2.9), a missing reason phrase and its blank too. Spans are relative to the line, which is
/// the start of the buffer.
fn start_line(line: &[u8]) -> Result<(Start, Span), ParseError> {
    let blank = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).ok_or(ParseError::NotSip)?;
    let (first, rest) = line.split_at_checked(blank).ok_or(ParseError::NotSip)?;
    if is_version(first) {
        return Ok((status_line(line, rest)?, Span::new(0, first.len())));
    }
    let rest = rest.trim_ascii();
    let last = rest.iter().rposition(|byte| matches!(byte, b' ' | b'\t')).ok_or(ParseError::NotSip)?;
    let (uri, version) = rest.split_at_checked(last).ok_or(ParseError::NotSip)?;
    let (uri, version) = (uri.trim_ascii_end(), version.trim_ascii());
    if !is_token(first) || !is_version(version) || uri.is_empty() {
        return Err(ParseError::NotSip);
    }
    let uri_start = blank + line.get(blank..).map_or(0, |tail| tail.len() - tail.trim_ascii_start().len());
    let version_end = line.trim_ascii_end().len();
    let start = Start::Request { method: Span::new(0, blank), uri: Span::new(uri_start, uri_start + uri.len()) };
    Ok((start, Span::new(version_end - version.len(), version_end)))
}

fn status_line(line: &[u8], rest: &[u8]) -> Result<Start, ParseError> {
    let rest = rest.trim_ascii_start();
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(rest.len());
    let (digits, reason) = rest.split_at_checked(end).ok_or(ParseError::StatusCode)?;
    let code = number(digits, 699).and_then(|code| u16::try_from(code).ok()).and_then(StatusCode::new);
    let reason = reason.trim_ascii();
    let reason_end = line.trim_ascii_end().len();
    let reason = Span::new(reason_end - reason.len().min(reason_end), reason_end);
    Ok(Start::Response { status: code.ok_or(ParseError::StatusCode)?, reason })
}

/// `SIP/` and digits, in any case (RFC 3261 §7.1); another version than 2.0 is for the check to refuse with 505.
fn is_version(text: &[u8]) -> bool {
    text.split_at_checked(4).is_some_and(|(name, number)| {
        name.eq_ignore_ascii_case(b"SIP/")
            && !number.is_empty()
            && number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
    })
}

/// How the announced length fits, and how many of the available bytes are the body.
fn content_length(bytes: &[u8], index: &Index, available: usize) -> (Length, usize) {
    let lines = index.iter().filter(|field| field.name == HeaderName::ContentLength);
    let mut found: Option<u64> = None;
    for line in lines {
        match (number(line.value_in(bytes), u64::MAX), found) {
            (None, _) => return (Length::Bad, available),
            (Some(length), Some(earlier)) if length != earlier => return (Length::Conflict, available),
            (Some(length), _) => found = Some(length),
        }
    }
    match found.map(usize::try_from) {
        None => (Length::Fits, available),
        Some(Ok(length)) if length <= available => (Length::Fits, length),
        Some(_) => (Length::Short, available),
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
