//! `Route` and `Record-Route` elements (RFC 3261 §20.30, §20.34). They stand apart from plain addresses because the
//! dialog keeps them as written and asks only one question: loose or strict.

use super::{HeaderError, NameAddr, Params};
use crate::sip::uri::{Uri, UriError};

/// One element of a route set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// The whole element as written: what goes into the next request.
    pub element: &'a [u8],
    /// The URI without brackets.
    pub uri: &'a [u8],
    /// Header parameters behind the brackets.
    pub params: Params<'a>,
}

// === impl Route ===

impl<'a> Route<'a> {
    /// Reads one element.
    pub fn parse(element: &'a [u8]) -> Result<Route<'a>, HeaderError> {
        let address = NameAddr::parse(element)?;
        Ok(Route { element: element.trim_ascii(), uri: address.uri, params: address.params })
    }

    /// The parsed URI.
    pub fn uri(&self) -> Result<Uri<'a>, UriError> {
        Uri::parse(self.uri)
    }

    /// Whether the proxy routes loosely (`lr`, §16.12). Some write it behind the brackets, and mean it.
    pub fn is_loose(&self) -> bool {
        self.params.has("lr") || self.uri().is_ok_and(|uri| uri.params.has("lr"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loose_routing_is_a_uri_parameter_with_or_without_value() {
        for (element, loose) in [
            ("<sip:p1.example.com;lr>", true),
            ("<sip:p1.example.com;LR=on;ftag=1>", true),
            ("<sip:p1.example.com>;lr", true),
            ("sip:p1.example.com;lr", true),
            ("<sip:p1.example.com>", false),
            ("<sip:p1.example.com;lrx>", false),
        ] {
            assert_eq!(Route::parse(element.as_bytes()).unwrap().is_loose(), loose, "{element}");
        }
    }
}
