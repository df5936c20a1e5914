//! `Reason` (RFC 3326): why a call was cancelled, refused or ended, in Q.850 or SIP terms. It stands apart because it is
//! both read from one leg and written to the other.

use super::{Elements, HeaderError, Params, decode, number};

use std::borrow::Cow;
use std::fmt;

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason<'a> {
    /// `Q.850`, `SIP` ... as written.
    pub protocol: Cow<'a, str>,
    /// `cause`: a Q.850 cause or a SIP status.
    pub cause: Option<u16>,
    /// `text`, without quotes.
    pub text: Option<Cow<'a, str>>,
}

// === impl Reason ===

impl<'a> Reason<'a> {
    /// A Q.850 cause to send, for example 16 for a normal end.
    pub fn q850(cause: u16, text: &'a str) -> Reason<'a> {
        Reason { protocol: Cow::Borrowed("Q.850"), cause: Some(cause), text: Some(Cow::Borrowed(text)) }
    }

    /// A SIP status to send, for example 200 `Call completed elsewhere`.
    pub fn sip(cause: u16, text: &'a str) -> Reason<'a> {
        Reason { protocol: Cow::Borrowed("SIP"), cause: Some(cause), text: Some(Cow::Borrowed(text)) }
    }

    /// Reads one element of the header.
    pub fn parse(element: &'a [u8]) -> Result<Reason<'a>, HeaderError> {
        let element = element.trim_ascii();
        let semicolon = memchr::memchr(b';', element).unwrap_or(element.len());
        let (protocol, params) = element.split_at_checked(semicolon).ok_or(HeaderError::Empty)?;
        let protocol = protocol.trim_ascii();
        if protocol.is_empty() {
            return Err(HeaderError::Missing("protocol"));
        }
        let params = Params::new(params);
        let cause = params.unquoted("cause");
        let cause = cause.and_then(|cause| number(&cause, 65_535)).and_then(|cause| u16::try_from(cause).ok());
        let text = params.unquoted("text").map(|text| match text {
            Cow::Borrowed(text) => decode(text),
            Cow::Owned(text) => Cow::Owned(decode(&text).into_owned()),
        });
        Ok(Reason { protocol: decode(protocol), cause, text })
    }

    /// The Q.850 cause among all reasons of a header line, whatever else stands beside it.
    pub fn q850_cause(value: &[u8]) -> Option<u16> {
        let mut reasons = Elements::new(value).filter_map(|element| Reason::parse(element).ok());
        reasons.find(|reason| reason.protocol.eq_ignore_ascii_case("Q.850"))?.cause
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.protocol)?;
        if let Some(cause) = self.cause {
            write!(f, ";cause={cause}")?;
        }
        if let Some(text) = &self.text {
            f.write_str(";text=\"")?;
            for letter in text.chars().filter(|letter| !letter.is_control()) {
                if matches!(letter, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{letter}")?;
            }
            f.write_str("\"")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let reason = Reason::q850(16, "Normal \"call\" clearing\\");
        let text = reason.to_string();
        assert_eq!(text, r#"Q.850;cause=16;text="Normal \"call\" clearing\\""#);
        assert_eq!(Reason::parse(text.as_bytes()).unwrap(), reason);
    }

    #[test]
    fn the_q850_cause_is_found_beside_a_sip_reason() {
        let value = br#"SIP ;cause=486;text="Busy, sorry" , q.850;cause="17";text="User busy""#;
        assert_eq!(Reason::q850_cause(value), Some(17));
        assert_eq!(Reason::q850_cause(b"SIP;cause=200"), None);
        assert_eq!(Reason::q850_cause(b"Q.850;cause=99999"), None);
    }
}
