//! One address of a header as a party: number, context and name. It stands apart from the choice between parties, so
//! that what a value holds and whether it is believed are never mixed.

use super::{ANONYMOUS, clean};
use crate::sip::header::{NameAddr, decode};
use crate::sip::uri::{Scheme, Uri, unescape};

/// Someone that a header names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The user part, escapes undone, user parameters (`;phone-context=`, `;npdi`, `;ext=`) cut.
    pub user: String,
    /// Its `phone-context` (RFC 3966 §5.1.5).
    pub context: Option<String>,
    /// The display name.
    pub name: Option<String>,
    /// The address says that the caller must not be known (RFC 3323 §4.1.1.3, RFC 3325 §7).
    pub is_anonymous: bool,
}

// === impl Party ===

impl Party {
    /// From one element of From, To, P-Asserted-Identity and their kin.
    ///
    /// # Errors
    /// Why it names nobody, as a verdict reads it.
    pub fn from_element(element: &[u8]) -> Result<Self, String> {
        let address = NameAddr::parse(element).map_err(|error| format!("cannot be read: {error}"))?;
        let uri = address.uri().map_err(|error| format!("cannot be read: {error}"))?;
        let mut party = Self::from_uri(&uri)?;
        // RFC 3261 §20.10: of an address without brackets, `;phone-context` seems to belong to the header.
        if party.context.is_none() && uri.scheme == Scheme::Tel {
            party.context = address.param("phone-context").map(text);
        }
        party.name = address.display.map(|name| clean(&name)).filter(|name| !name.is_empty());
        Ok(party)
    }

    /// From a URI alone.
    ///
    /// # Errors
    /// Why it names nobody, as a verdict reads it.
    pub fn from_uri(uri: &Uri<'_>) -> Result<Self, String> {
        if uri.scheme == Scheme::Other {
            return Err("is neither a sip: nor a tel: URI".to_owned());
        }
        let user = uri.subscriber().map(|user| clean(&decode(&user))).filter(|user| !user.is_empty());
        let is_anonymous = uri.host.eq_ignore_ascii_case(b"anonymous.invalid")
            || user.as_deref().is_some_and(|user| user.eq_ignore_ascii_case(ANONYMOUS));
        let Some(user) = user.or_else(|| is_anonymous.then(|| ANONYMOUS.to_owned())) else {
            return Err("has no user part".to_owned());
        };
        let in_user = uri.user.and_then(|user| user_param(user, b"phone-context"));
        let context = in_user.or_else(|| uri.params.get("phone-context")).map(text);
        Ok(Self { user, context, name: None, is_anonymous })
    }

    /// Whether the user part looks like a number: then it is preferred where one header names several parties.
    #[must_use]
    pub fn is_number(&self) -> bool {
        let digits = self.user.strip_prefix('+').unwrap_or(&self.user);
        digits.starts_with(|first: char| first.is_ascii_digit() || first == '(')
            && digits.chars().all(|character| character.is_ascii_digit() || "-.() ".contains(character))
    }
}

fn text(value: &[u8]) -> String {
    clean(&decode(&unescape(value)))
}

/// A parameter inside the user part: `5201;phone-context=cdp.udp`.
fn user_param<'u>(user: &'u [u8], name: &[u8]) -> Option<&'u [u8]> {
    user.split(|byte| *byte == b';').skip(1).find_map(|param| {
        let at = param.iter().position(|byte| *byte == b'=')?;
        let (known, value) = param.split_at_checked(at)?;
        if known.eq_ignore_ascii_case(name) { value.get(1..) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(element: &str) -> Result<(String, Option<String>, Option<String>), String> {
        Party::from_element(element.as_bytes()).map(|party| (party.user, party.context, party.name))
    }

    #[test]
    fn the_number_is_found_whatever_surrounds_it() {
        for (element, user, context, name) in [
            (r#""Example, Alice" <sip:3427@192.0.2.1>"#, "3427", None, Some("Example, Alice")),
            (r#""A \"B\" <C>" <sip:1@192.0.2.1>;tag=9"#, "1", None, Some(r#"A "B" <C>"#)),
            (r#""Glued"<sip:+15550100@192.0.2.1;user=phone>"#, "+15550100", None, Some("Glued")),
            ("Example, Alice <sip:3427@192.0.2.1>", "3427", None, Some("Example, Alice")),
            ("<sip:5201;phone-context=cdp.udp@example.com;user=phone>", "5201", Some("cdp.udp"), None),
            ("<sip:+15550100;npdi;rn=+15550199@192.0.2.1>", "+15550100", None, None),
            ("<sip:%2B1555%30100;ext=12@192.0.2.1>", "+15550100", None, None),
            ("<tel:+1-555-0100;tgrp=1;trunk-context=example.com>", "+1-555-0100", None, None),
            ("<tel:5550100;phone-context=+1>", "5550100", Some("+1"), None),
            ("tel:5550100;phone-context=%2B1", "5550100", Some("+1"), None),
            ("sip:alice@example.com", "alice", None, None),
            ("<sip:*67%2331@192.0.2.1>", "*67#31", None, None),
            ("<sip:a%0d%0aX%3A%20y@192.0.2.1>", "a  X: y", None, None),
        ] {
            let expected = (user.to_owned(), context.map(str::to_owned), name.map(str::to_owned));
            assert_eq!(party(element), Ok(expected), "{element}");
        }
    }

    #[test]
    fn what_names_nobody_says_why() {
        for (element, why) in [
            ("<sip:192.0.2.1>", "has no user part"),
            ("<sip:@192.0.2.1>", "has no user part"),
            ("<urn:service:sos>", "is neither a sip: nor a tel: URI"),
            ("\"open <sip:1@192.0.2.1>", "cannot be read: has no closing quote"),
            ("", "cannot be read: is empty"),
        ] {
            assert_eq!(party(element).unwrap_err(), why, "{element}");
        }
    }

    #[test]
    fn anonymous_is_known_by_user_or_host() {
        for (element, anonymous) in [
            ("\"anonymous\" <sip:anonymous@anonymous.invalid>", true),
            ("<sip:Anonymous@192.0.2.1>", true),
            ("<sip:anonymous.invalid>", true),
            ("\"Anonymous\" <sip:1001@192.0.2.1>", false),
        ] {
            assert_eq!(Party::from_element(element.as_bytes()).unwrap().is_anonymous, anonymous, "{element}");
        }
    }
}
