//! The address of a trunk for calls towards it. It stands apart because the same reading of configured SIP addresses
//! serves the check of the file, the trunks and the targets.

use crate::sip::Hop;
use crate::sip::uri::{Scheme, Uri, escape_user, hop};
use std::borrow::Cow;

/// Where calls towards a trunk go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkAddress {
    /// Where to send.
    pub hop: Hop,
    /// What stands behind the `@`: host, port and URI parameters, as configured.
    authority: String,
    /// `sip` or `sips`.
    scheme: &'static str,
}

// === impl TrunkAddress ===

impl TrunkAddress {
    /// Reads `sip:host[:port][;params]`, with or without `sip:`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = with_scheme(text);
        let uri = Uri::parse(text.as_bytes()).map_err(|error| error.to_string())?;
        if uri.user.is_some() {
            return Err("has a user part, but the number that is called stands there".to_owned());
        }
        if !uri.headers.is_empty() {
            return Err("has a header part, which a trunk's address cannot have".to_owned());
        }
        let authority = String::from_utf8_lossy(uri.rest).trim_end_matches('?').to_owned();
        let scheme = if uri.scheme == Scheme::Sips { "sips" } else { "sip" };
        Ok(Self { hop: configured_hop(&uri)?, authority, scheme })
    }

    /// Its own URI, as OPTIONS asks for it.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("sip:{}", self.authority)
    }

    /// The Request-URI of a call to `number`.
    #[must_use]
    pub fn request_uri(&self, number: &str) -> String {
        format!("{}:{}@{}", self.scheme, escape_user(number), self.authority)
    }
}

/// Daily and many PBX manuals write addresses without `sip:`.
pub(crate) fn with_scheme(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    let lower = text.get(..5).unwrap_or(text).to_ascii_lowercase();
    if lower.starts_with("sip:") || lower.starts_with("sips:") || lower.starts_with("tel:") {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("sip:{text}"))
    }
}

/// Where a configured URI leads, or why it leads nowhere in this version.
pub(crate) fn configured_hop(uri: &Uri<'_>) -> Result<Hop, String> {
    if uri.scheme == Scheme::Tel {
        return Err("a tel: URI has no host".to_owned());
    }
    hop(uri).ok_or_else(|| "transport is not udp, tcp or tls".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_put_before_the_configured_host() {
        for (address, uri) in [
            ("sip:192.0.2.10", "sip:7000@192.0.2.10"),
            ("192.0.2.10:5070", "sip:7000@192.0.2.10:5070"),
            ("sip:pbx.example.com;transport=tcp", "sip:7000@pbx.example.com;transport=tcp"),
            ("sips:pbx.example.com", "sips:7000@pbx.example.com"),
            ("sip:[2001:db8::1]:5060", "sip:7000@[2001:db8::1]:5060"),
        ] {
            assert_eq!(TrunkAddress::parse(address).unwrap().request_uri("7000"), uri);
        }
        let address = TrunkAddress::parse("sip:192.0.2.10").unwrap();
        assert_eq!(address.request_uri("*67#;x"), "sip:*67%23%3Bx@192.0.2.10");
    }

    #[test]
    fn what_leads_nowhere_is_refused_with_the_reason() {
        for (address, why) in [
            ("sip:100@192.0.2.10", "user part"),
            ("sip:192.0.2.10;transport=sctp", "udp, tcp or tls"),
            ("tel:+15550100", "user part"),
            ("sip:192.0.2.10?x=y", "header part"),
            ("http://192.0.2.10", "bad port"),
        ] {
            let error = TrunkAddress::parse(address).unwrap_err();
            assert!(error.contains(why), "{address}: {error}");
        }
    }
}
