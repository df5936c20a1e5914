//! The address of a target: what goes into the Request-URI, where it is sent, and which headers its URI carries. It
//! stands apart because the check of the file must read it exactly as the calls do.

use crate::sip::Hop;
use crate::sip::uri::Uri;
use crate::trunk::address::{configured_hop, with_scheme};

/// A target's `uri` and `outbound_proxy`, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetAddress {
    /// The Request-URI: with `sip:`, without header part.
    pub request_uri: String,
    /// Where to send: the proxy if there is one, else where the URI leads.
    pub hop: Hop,
    /// Name and value of each header of the URI's `?name=value` part, escapes undone.
    pub uri_headers: Vec<(String, String)>,
}

/// Why a target's address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AddressError {
    /// Whether the fault is in `outbound_proxy`.
    pub in_proxy: bool,
    /// The fault in words.
    pub message: String,
}

// === impl TargetAddress ===

impl TargetAddress {
    /// Reads both.
    ///
    /// # Errors
    /// Which of them is wrong, and how.
    pub fn parse(uri: &str, outbound_proxy: Option<&str>) -> Result<Self, AddressError> {
        let wrong = |message: String| AddressError { in_proxy: false, message };
        let text = with_scheme(uri);
        let uri = Uri::parse(text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
        let mut uri_headers = vec![];
        for (name, value) in uri.header_pairs() {
            let (name, value) = (String::from_utf8_lossy(&name), String::from_utf8_lossy(&value));
            if name.is_empty() || value.chars().any(char::is_control) {
                return Err(wrong(format!("the header `{name}` of the URI cannot be sent")));
            }
            uri_headers.push((name.into_owned(), value.into_owned()));
        }
        // RFC 3261 §19.1.1: a Request-URI has no header part.
        let end = text.len() - uri.headers.len();
        let request_uri = text.get(..end).unwrap_or(&text).trim_end_matches('?').to_owned();
        let own = configured_hop(&uri);
        let hop = match outbound_proxy {
            None => own.map_err(wrong)?,
            Some(proxy) => proxy_hop(proxy).map_err(|message| AddressError { in_proxy: true, message })?,
        };
        Ok(Self { request_uri, hop, uri_headers })
    }
}

fn proxy_hop(proxy: &str) -> Result<Hop, String> {
    let text = with_scheme(proxy);
    let uri = Uri::parse(text.as_bytes()).map_err(|error| error.to_string())?;
    configured_hop(&uri)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{HopAddress, Protocol};

    fn named(host: &str, port: Option<u16>, protocol: Protocol) -> Hop {
        Hop { protocol, address: HopAddress::Name { host: host.to_owned(), port }, connection: None }
    }

    fn domain(host: &str) -> Hop {
        Hop { protocol: Protocol::Udp, address: HopAddress::Domain { host: host.to_owned() }, connection: None }
    }

    #[test]
    fn the_header_part_becomes_headers_and_never_stays_in_the_request_uri() {
        let address =
            TargetAddress::parse("static--1@example.sip.daily.co?x-tenant=Caf%C3%A9%20one&x-empty=", None).unwrap();
        assert_eq!(address.request_uri, "sip:static--1@example.sip.daily.co");
        assert_eq!(address.hop, domain("example.sip.daily.co"));
        let expected = [("x-tenant", "Café one"), ("x-empty", "")];
        assert_eq!(address.uri_headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn the_transport_parameter_stays_and_decides_the_hop() {
        let address = TargetAddress::parse("sip:bot@sip.example.com:5080;transport=tcp", None).unwrap();
        assert_eq!(address.request_uri, "sip:bot@sip.example.com:5080;transport=tcp");
        assert_eq!(address.hop, named("sip.example.com", Some(5080), Protocol::Tcp));
    }

    #[test]
    fn an_outbound_proxy_takes_the_message_but_not_the_request_uri() {
        let address = TargetAddress::parse("sip:bot@sip.example.com", Some("192.0.2.5:5070;transport=tcp")).unwrap();
        assert_eq!(address.request_uri, "sip:bot@sip.example.com");
        let socket = HopAddress::Socket("192.0.2.5:5070".parse().unwrap());
        assert_eq!(address.hop, Hop { protocol: Protocol::Tcp, address: socket, connection: None });
    }

    #[test]
    fn a_broken_address_says_which_key_is_wrong() {
        for (uri, proxy, in_proxy) in [
            ("sip:bot@sip.example.com;transport=sctp", None, false),
            ("sip:bot@", None, false),
            ("bot @example.com", None, false),
            ("tel:+15550100", None, false),
            ("sip:a@b?x=%0d%0aVia:%20y", None, false),
            ("sip:bot@sip.example.com", Some("sip:"), true),
            ("sip:bot@sip.example.com", Some("sip:p;transport=ws"), true),
        ] {
            assert_eq!(TargetAddress::parse(uri, proxy).unwrap_err().in_proxy, in_proxy, "{uri}");
        }
    }
}
