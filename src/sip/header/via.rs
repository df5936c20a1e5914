//! `Via` (RFC 3261 §20.42): the way back of a response. It stands apart because responses are sent by what stands in it
//! and by nothing else, `received` and `rport` (RFC 3581) included.

use super::{HeaderError, Params, number};
use crate::sip::uri;

use memchr::memchr;
use std::net::{IpAddr, SocketAddr};

/// One Via element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, `TLS` ... as written.
    pub transport: &'a [u8],
    /// Host of sent-by, without the brackets of an IPv6 address.
    pub host: &'a [u8],
    /// Port of sent-by.
    pub port: Option<u16>,
    /// `branch`; starts with `z9hG4bK` unless the peer speaks RFC 2543.
    pub branch: Option<&'a [u8]>,
    /// `received`, without brackets.
    pub received: Option<&'a [u8]>,
    /// `rport`: absent, asked for without value, or filled in.
    pub rport: Option<Option<u16>>,
    /// Everything behind sent-by.
    pub params: Params<'a>,
}

// === impl Via ===

impl<'a> Via<'a> {
    /// The prefix of every RFC 3261 branch.
    pub const COOKIE: &'static [u8] = b"z9hG4bK";

    /// Reads one element. Blanks around `/`, `:`, `;` and `=` are allowed as the grammar allows them.
    pub fn parse(element: &'a [u8]) -> Result<Via<'a>, HeaderError> {
        let element = element.trim_ascii();
        if element.is_empty() {
            return Err(HeaderError::Empty);
        }
        let (_name, rest) = cut(element, b'/').ok_or(HeaderError::Missing("protocol"))?;
        let (_version, rest) = cut(rest, b'/').ok_or(HeaderError::Missing("protocol"))?;
        let rest = rest.trim_ascii_start();
        let blank = rest.iter().position(u8::is_ascii_whitespace).ok_or(HeaderError::Missing("sent-by"))?;
        let (transport, rest) = rest.split_at_checked(blank).ok_or(HeaderError::Missing("sent-by"))?;
        if !super::is_token(transport) {
            return Err(HeaderError::Bad("transport"));
        }
        let semicolon = memchr(b';', rest).unwrap_or(rest.len());
        let (sent_by, params) = rest.split_at_checked(semicolon).ok_or(HeaderError::Missing("sent-by"))?;
        let (host, port) = uri::host_port(sent_by.trim_ascii())?;
        let params = Params::new(params);
        let mut via = Via { transport, host, port, branch: None, received: None, rport: None, params };
        // One pass: this runs for every message, and the first of each name counts.
        for (name, value) in params.iter() {
            let value = value.unwrap_or_default();
            if name.eq_ignore_ascii_case(b"branch") {
                via.branch = via.branch.or(Some(value).filter(|branch| !branch.is_empty()));
            } else if name.eq_ignore_ascii_case(b"received") {
                via.received = via.received.or(Some(unbracketed(value)));
            } else if name.eq_ignore_ascii_case(b"rport") {
                let port = number(value, 65_535).and_then(|port| u16::try_from(port).ok());
                via.rport = via.rport.or(Some(port));
            }
        }
        Ok(via)
    }

    /// `maddr`, without brackets.
    pub fn maddr(&self) -> Option<&'a [u8]> {
        self.params.get("maddr").map(unbracketed)
    }

    /// The address of sent-by, if it is one and not a name.
    pub fn ip(&self) -> Option<IpAddr> {
        uri::ip(self.host)
    }
}

/// The element as it goes back in a response: RFC 3261 §18.2.1 `received` when sent-by is not where the message came
/// from, RFC 3581 §4 `rport` filled in (then with `received`) when the peer asked for it.
pub fn stamped(element: &[u8], peer: SocketAddr) -> Vec<u8> {
    let element = element.trim_ascii();
    let Ok(via) = Via::parse(element) else { return element.to_vec() };
    let head = element.len() - via.params.raw().len().min(element.len());
    let mut out = Vec::with_capacity(element.len() + 48);
    out.extend_from_slice(element.get(..head).unwrap_or_default().trim_ascii_end());
    for (name, value) in via.params.iter() {
        if name.eq_ignore_ascii_case(b"received") {
            continue;
        }
        out.push(b';');
        out.extend_from_slice(name);
        if name.eq_ignore_ascii_case(b"rport") {
            out.extend_from_slice(format!("={}", peer.port()).as_bytes());
        } else if let Some(value) = value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    let address = peer.ip().to_canonical();
    if via.rport.is_some() || via.ip() != Some(address) {
        out.extend_from_slice(format!(";received={address}").as_bytes());
    }
    out
}

fn unbracketed(host: &[u8]) -> &[u8] {
    host.strip_prefix(b"[").and_then(|inside| inside.strip_suffix(b"]")).unwrap_or(host)
}

fn cut(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let (before, after) = text.split_at_checked(memchr(at, text)?)?;
    Some((before, after.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_may_stand_nearly_everywhere() {
        let via = Via::parse(b"SIP / 2.0\t/ UDP first.example.com: 4000;ttl=16 ;branch = z9hG4bKa.1 ; rport").unwrap();
        assert_eq!((via.transport, via.host, via.port), (&b"UDP"[..], &b"first.example.com"[..], Some(4000)));
        assert_eq!(via.branch, Some(&b"z9hG4bKa.1"[..]));
        assert_eq!(via.rport, Some(None));
        assert_eq!(via.params.get("ttl"), Some(&b"16"[..]));
    }

    #[test]
    fn brackets_are_taken_off_addresses() {
        let via = Via::parse(b"SIP/2.0/TCP [2001:db8::9:1]:5061;received=[2001:db8::9:255];branch=z9hG4bKa").unwrap();
        assert_eq!((via.host, via.port), (&b"2001:db8::9:1"[..], Some(5061)));
        assert_eq!(via.received, Some(&b"2001:db8::9:255"[..]));
        assert_eq!(via.ip(), Some("2001:db8::9:1".parse().unwrap()));
    }

    #[test]
    fn what_gives_no_way_back_is_refused() {
        for element in ["", ";", "SIP/2.0/UDP", "SIP/2.0/UDP ;branch=a", "SIP/2.0/UDP h:99999", "SIP/2.0/UDP [::1", "h"]
        {
            assert!(Via::parse(element.as_bytes()).is_err(), "{element}");
        }
    }

    #[test]
    fn the_response_shows_where_the_request_came_from() {
        let peer: SocketAddr = "192.0.2.9:40000".parse().unwrap();
        let text = |element: &str| String::from_utf8(stamped(element.as_bytes(), peer)).unwrap();
        assert_eq!(
            text("SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bKa"),
            "SIP/2.0/UDP 10.0.0.1:5060;rport=40000;branch=z9hG4bKa;received=192.0.2.9"
        );
        assert_eq!(text(" SIP/2.0/UDP 192.0.2.9 ;ttl = 1 "), "SIP/2.0/UDP 192.0.2.9;ttl=1");
        assert_eq!(text("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa"), "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa");
        assert_eq!(
            text("SIP/2.0/UDP pbx.example.com;received=203.0.113.1;branch=z9hG4bKa"),
            "SIP/2.0/UDP pbx.example.com;branch=z9hG4bKa;received=192.0.2.9"
        );
    }
}
