//! The route set (RFC 3261 §12.1, §12.2.1.1): Record-Route elements, byte for byte as they came, and what they make of
//! the next request. Apart because proxies sign and encode what stands there: it is copied, never rebuilt.

use super::super::header::route::Route;
use super::super::{HeaderName, Message};

use smallvec::SmallVec;

/// The proxies between us and the peer, the nearest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteSet {
    elements: Vec<Box<[u8]>>,
}

/// How a request is to be addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan<'a> {
    /// The Request-URI.
    pub request_uri: SmallVec<[u8; 96]>,
    /// The Route elements, in order.
    pub routes: &'a [Box<[u8]>],
    /// One more Route element, behind the others: the remote target behind a strict router.
    pub last: Option<Vec<u8>>,
    /// The URI that says where the request is sent.
    pub next: &'a [u8],
}

// === impl RouteSet ===

impl RouteSet {
    /// The callee's: in the order of the request (§12.1.1).
    #[must_use]
    pub fn of_request(request: &Message) -> Self {
        Self { elements: request.elements(HeaderName::RecordRoute).map(Box::from).collect() }
    }

    /// The caller's: in the reverse order of the response (§12.1.2).
    #[must_use]
    pub fn of_response(response: &Message) -> Self {
        let mut set = Self::of_request(response);
        set.elements.reverse();
        set
    }

    /// The elements, the nearest proxy first.
    pub fn elements(&self) -> impl Iterator<Item = &[u8]> {
        self.elements.iter().map(AsRef::as_ref)
    }

    /// Addresses a request to `target` through the set.
    #[must_use]
    pub fn plan<'a>(&'a self, target: &'a [u8]) -> Plan<'a> {
        let first = self.elements.first().and_then(|element| Route::parse(element).ok());
        match first {
            None => Plan { request_uri: target.into(), routes: &self.elements, last: None, next: target },
            Some(route) if route.is_loose() => {
                Plan { request_uri: target.into(), routes: &self.elements, last: None, next: route.uri }
            }
            Some(route) => {
                // §12.2.1.1, a strict router: it becomes the Request-URI, and the target goes last.
                let last = [b"<", target, b">"].concat();
                let routes = self.elements.get(1..).unwrap_or_default();
                Plan { request_uri: request_uri_of(route.uri), routes, last: Some(last), next: route.uri }
            }
        }
    }
}

/// §12.2.1.1: without what no Request-URI may have, the header part and `method`.
fn request_uri_of(uri: &[u8]) -> SmallVec<[u8; 96]> {
    let uri = uri.split(|byte| *byte == b'?').next().unwrap_or_default();
    let mut out = SmallVec::new();
    for (position, part) in uri.split(|byte| *byte == b';').enumerate() {
        let is_method = part.get(..7).is_some_and(|name| name.eq_ignore_ascii_case(b"method="));
        if position > 0 && is_method {
            continue;
        }
        if position > 0 {
            out.push(b';');
        }
        out.extend_from_slice(part);
    }
    out
}
