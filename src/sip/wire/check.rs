//! The check of a received message: what makes it unusable, and nothing else. It stands apart because these few rules
//! decide which calls are refused before anyone looked at them; a broken optional header is never among them.

use super::message::{Length, Message};
use super::name::HeaderName;
use crate::sip::StatusCode;
use crate::sip::header::{HeaderError, NameAddr, Via, cseq, number};
use crate::sip::uri::{Scheme, Uri};

use std::fmt;

/// Why a message cannot be used. A request is answered with [`Fault::status`] and [`Fault::reason`] where its Via and
/// CSeq allow that; a response is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The header field at fault; `Request-URI` and `SIP-Version` name the parts of the start line.
    pub header: &'static str,
    /// What is wrong with it, for example `has no host`.
    pub problem: String,
    /// 400, or 505 for another version (RFC 3261 §21.5.6).
    pub status: StatusCode,
}

// === impl Fault ===

impl Fault {
    fn new(header: &'static str, problem: impl fmt::Display) -> Fault {
        Fault { header, problem: problem.to_string(), status: StatusCode::BAD_REQUEST }
    }

    fn missing(header: &'static str) -> Fault {
        Fault::new(header, "is missing")
    }

    fn of(header: &'static str) -> impl FnOnce(HeaderError) -> Fault {
        move |error| Fault::new(header, error)
    }

    /// The reason phrase to answer with: RFC 3261 §21.4.1 wants the problem named, `Missing Call-ID header field`.
    pub fn reason(&self) -> String {
        match (self.header, self.problem.as_str()) {
            ("SIP-Version", _) => self.status.reason().to_owned(),
            ("Request-URI", _) => "Bad Request-URI".to_owned(),
            (header, "is missing") => format!("Missing {header} header field"),
            (header, problem) => format!("Bad {header} header field: it {problem}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.header, self.problem)
    }
}

impl std::error::Error for Fault {}

// === impl Message ===

impl Message {
    /// Judges the message by its mandatory parts: version, Request-URI, Via, From, To, Call-ID, CSeq, Max-Forwards if
    /// it is there, Content-Length if it is there, and the Contact of an INVITE that forms a dialog.
    ///
    /// A missing Max-Forwards, From tag or branch cookie is tolerated: RFC 2543 peers are alive (RFC 4475 §3.4.1).
    pub fn check(&self) -> Result<(), Fault> {
        self.check_version()?;
        self.check_via()?;
        self.check_address(HeaderName::From)?;
        self.check_address(HeaderName::To)?;
        if self.only(HeaderName::CallId)?.is_empty() {
            return Err(Fault::new(HeaderName::CallId.as_str(), HeaderError::Empty));
        }
        self.check_cseq()?;
        self.check_length()?;
        match self.request_uri() {
            None => Ok(()),
            Some(uri) => self.check_request(uri),
        }
    }

    fn check_version(&self) -> Result<(), Fault> {
        if self.version().eq_ignore_ascii_case(b"SIP/2.0") {
            return Ok(());
        }
        let status = StatusCode::VERSION_NOT_SUPPORTED;
        Err(Fault { status, ..Fault::new("SIP-Version", "is not SIP/2.0") })
    }

    /// Every element must be readable: all of them go into the responses.
    fn check_via(&self) -> Result<(), Fault> {
        let name = HeaderName::Via.as_str();
        let mut elements = self.elements(HeaderName::Via);
        let top = Via::parse(elements.next().ok_or_else(|| Fault::missing(name))?).map_err(Fault::of(name))?;
        // RFC 4475 §3.2.1: the cookie alone promises a unique branch and is none. RFC 2543 peers send no cookie.
        if top.branch == Some(Via::COOKIE) {
            return Err(Fault::new(name, "has a branch that is nothing but its cookie"));
        }
        for element in elements {
            Via::parse(element).map_err(Fault::of(name))?;
        }
        Ok(())
    }

    fn check_address(&self, name: HeaderName) -> Result<(), Fault> {
        NameAddr::parse(self.only(name)?).map(drop).map_err(Fault::of(name.as_str()))
    }

    fn check_cseq(&self) -> Result<(), Fault> {
        let name = HeaderName::CSeq.as_str();
        let (_, method) = cseq::split(self.only(HeaderName::CSeq)?).map_err(Fault::of(name))?;
        if method != self.method_bytes() {
            return Err(Fault::new(name, "names another method than the request line"));
        }
        Ok(())
    }

    fn check_length(&self) -> Result<(), Fault> {
        let problem = match self.length() {
            Length::Fits => return Ok(()),
            Length::Short => "announces more bytes than came",
            Length::Bad => "is no number",
            Length::Conflict => "stands twice with different numbers",
        };
        Err(Fault::new(HeaderName::ContentLength.as_str(), problem))
    }

    fn check_request(&self, uri: &[u8]) -> Result<(), Fault> {
        Uri::parse(uri).map_err(|error| Fault::new("Request-URI", error))?;
        if self.value(HeaderName::MaxForwards).is_some() {
            let hops = number(self.only(HeaderName::MaxForwards)?, 255);
            hops.ok_or_else(|| Fault::new(HeaderName::MaxForwards.as_str(), "is no number from 0 to 255"))?;
        }
        let forms_dialog = self.method_bytes() == b"INVITE" && self.to_tag().is_none();
        if forms_dialog { self.check_contact() } else { Ok(()) }
    }

    /// RFC 3261 §12.1.1: without a SIP URI here no request could be sent to the caller in the dialog, BYE included. An
    /// RFC 2543 peer may leave it out and then means its From (RFC 4475 §3.4.1, `inv2543`); a re-INVITE that does keeps
    /// the target that the dialog has.
    fn check_contact(&self) -> Result<(), Fault> {
        let name = HeaderName::Contact.as_str();
        let Some(element) = self.elements(HeaderName::Contact).next() else {
            return if self.remote_target().is_some() { Ok(()) } else { Err(Fault::missing(name)) };
        };
        let contact = NameAddr::parse(element).map_err(Fault::of(name))?;
        match contact.uri() {
            Ok(uri) if matches!(uri.scheme, Scheme::Sip | Scheme::Sips) => Ok(()),
            Ok(_) => Err(Fault::new(name, "is no sip: or sips: URI")),
            Err(error) => Err(Fault::new(name, format_args!("cannot be used: {error}"))),
        }
    }

    /// The value of a header that must stand exactly once (RFC 4475 §3.3.8).
    fn only(&self, name: HeaderName) -> Result<&[u8], Fault> {
        let mut values = self.values(name);
        let value = values.next().ok_or_else(|| Fault::missing(name.as_str()))?;
        match values.next() {
            None => Ok(value),
            Some(_) => Err(Fault::new(name.as_str(), "stands more than once")),
        }
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
