//! `Refer-To` and `Replaces` (RFC 3515 §2.1, RFC 3891 §3): whom to call instead, and which dialog to take the place of.
//! Apart from other addresses because here the header part of a URI means something.

use super::{HeaderError, NameAddr, Params, decode};
use crate::sip::uri::{Uri, UriError};

use std::fmt;

/// Headers of a `Refer-To` URI that are kept, at most.
const MOST_HEADERS: usize = 32;

/// A `Refer-To` with its URI taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferTo {
    /// The URI without its header part and without `method`.
    pub uri: String,
    /// The dialog that the new call is to replace.
    pub replaces: Option<Replaces>,
    /// The other headers of the URI, escapes undone, for the new INVITE; unchecked.
    pub headers: Vec<(String, String)>,
}

/// A `Replaces` value. The tags are named as the one who receives the INVITE sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaces {
    /// Call-ID of the dialog.
    pub call_id: String,
    /// Tag of the receiver's own end.
    pub to_tag: String,
    /// Tag of the other end.
    pub from_tag: String,
    /// Only a dialog that is not answered yet may be replaced.
    pub early_only: bool,
}

/// Why a `Refer-To` cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferToError {
    /// It is no address.
    #[error("Refer-To {0}")]
    Header(#[from] HeaderError),
    /// Its URI cannot be read.
    #[error("Refer-To: {0}")]
    Uri(#[from] UriError),
    /// It asks for another method than INVITE.
    #[error("Refer-To asks for {0}, but only INVITE is sent")]
    Method(String),
    /// Its `Replaces` cannot be read.
    #[error("Refer-To: Replaces {0}")]
    Replaces(HeaderError),
}

// === impl ReferTo ===

impl ReferTo {
    /// Reads the value of the header.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(value: &[u8]) -> Result<Self, ReferToError> {
        let address = NameAddr::parse(value)?;
        let uri = address.uri()?;
        if let Some(method) = uri.params.get("method").filter(|method| !method.eq_ignore_ascii_case(b"INVITE")) {
            return Err(ReferToError::Method(decode(method).into_owned()));
        }
        let mut found = Self { uri: plain(&address, &uri), replaces: None, headers: vec![] };
        for (name, value) in uri.header_pairs().take(MOST_HEADERS) {
            if name.eq_ignore_ascii_case(b"Replaces") {
                found.replaces = Some(Replaces::parse(&value).map_err(ReferToError::Replaces)?);
            } else {
                found.headers.push((decode(&name).into_owned(), decode(&value).into_owned()));
            }
        }
        Ok(found)
    }
}

/// The URI as a Request-URI may show it (RFC 3261 §19.1.1).
fn plain(address: &NameAddr<'_>, uri: &Uri<'_>) -> String {
    // A user part may hold question marks too (§25.1): the parser knows where the headers begin.
    let end = address.uri.len() - uri.headers.len();
    let text = decode(address.uri.get(..end).unwrap_or(address.uri).trim_ascii_end());
    let without_headers = text.strip_suffix('?').unwrap_or(&text);
    let is_method = |part: &&str| !part.get(..7).is_some_and(|name| name.eq_ignore_ascii_case("method="));
    without_headers.split(';').filter(is_method).collect::<Vec<_>>().join(";")
}

// === impl Replaces ===

impl Replaces {
    /// Reads the value of the header.
    ///
    /// # Errors
    /// What it lacks.
    pub fn parse(value: &[u8]) -> Result<Self, HeaderError> {
        let value = value.trim_ascii();
        let end = memchr::memchr(b';', value).ok_or(HeaderError::Missing("tags"))?;
        let (call_id, params) = value.split_at_checked(end).ok_or(HeaderError::Missing("Call-ID"))?;
        let call_id = call_id.trim_ascii();
        if call_id.is_empty() {
            return Err(HeaderError::Missing("Call-ID"));
        }
        let params = Params::new(params);
        let tag = |name| params.get(name).filter(|tag| !tag.is_empty()).map(|tag| decode(tag).into_owned());
        Ok(Self {
            call_id: decode(call_id).into_owned(),
            to_tag: tag("to-tag").ok_or(HeaderError::Missing("to-tag"))?,
            from_tag: tag("from-tag").ok_or(HeaderError::Missing("from-tag"))?,
            early_only: params.has("early-only"),
        })
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call_id, to_tag, from_tag, early_only } = self;
        write!(f, "{call_id};to-tag={to_tag};from-tag={from_tag}")?;
        if *early_only { f.write_str(";early-only") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attended_transfer_names_the_dialog_to_replace() {
        let value = b"\"Help\" <sip:7001@pbx.example.com;user=phone?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2%3Bearly-only&X-Case=42>";
        let refer = ReferTo::parse(value).unwrap();
        assert_eq!(refer.uri, "sip:7001@pbx.example.com;user=phone");
        assert_eq!(refer.headers, [("X-Case".to_owned(), "42".to_owned())]);
        let replaces = refer.replaces.unwrap();
        assert_eq!(replaces.to_string(), "a@b;to-tag=1;from-tag=2;early-only");
    }

    #[test]
    fn a_blind_transfer_may_name_a_number_or_a_bare_uri() {
        assert_eq!(ReferTo::parse(b"<tel:+15550100>").unwrap().uri, "tel:+15550100");
        assert_eq!(ReferTo::parse(b"sip:7001@pbx.example.com").unwrap().uri, "sip:7001@pbx.example.com");
        let method = ReferTo::parse(b"<sip:7001@pbx.example.com;method=INVITE;x=1>").unwrap();
        assert_eq!(method.uri, "sip:7001@pbx.example.com;x=1");
    }

    #[test]
    fn what_cannot_be_followed_says_why() {
        for (value, why) in [
            ("", "is empty"),
            ("<sip:a@b;method=BYE>", "asks for BYE"),
            ("<sip:a@b?Replaces=x>", "has no tags"),
            ("<sip:a@b?Replaces=x%3Bto-tag%3D1>", "has no from-tag"),
        ] {
            let error = ReferTo::parse(value.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{value}: {error}");
        }
    }
}
