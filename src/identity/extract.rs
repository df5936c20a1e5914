//! One address of a header as a party: number, context and name. It stands apart from the choice between parties, so
//! that what a value holds and whether it is believed are never mixed.

use super::elements::{Element, List, Origin, of_line};
use super::{ANONYMOUS, clean, display};
use crate::sip::header::{NameAddr, decode};
use crate::sip::uri::{Scheme, Uri, unescape};

/// Someone that a header names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The user part, escapes undone, user parameters (`;phone-context=`, `;npdi`, `;ext=`) cut.
    pub user: String,
    /// Its `phone-context` (RFC 3966 §5.1.5).
    pub context: Option<String>,
    /// Its extension (`ext`, RFC 3966 §5.3).
    pub extension: Option<String>,
    /// The display name.
    pub name: Option<String>,
    /// What the address says of its owner's wish to be known.
    pub standing: Standing,
    /// How the address was found.
    pub origin: Origin,
}

/// Whether an address names its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Named,
    /// The owner must not be known (RFC 3323 §4.1.1.3, RFC 3325 §7).
    Anonymous,
    /// The network did not know either (3GPP TS 24.229 §5.2.6.3).
    Unknown,
}

/// User parts that stand for a caller who asked not to be shown, whatever the host.
const HIDDEN: [&str; 4] = [ANONYMOUS, "restricted", "private", "withheld"];

/// User parts that stand for nobody.
const NOBODY: [&str; 3] = ["unavailable", "unknown", "null"];

// === impl Party ===

impl Party {
    /// From a value that is one address: From, To.
    ///
    /// # Errors
    /// Why it names nobody, as a verdict reads it.
    pub fn from_value(value: &[u8]) -> Result<Self, String> {
        let element = of_line(value, List::One).into_iter().next();
        element.ok_or_else(|| "cannot be read: is empty".to_owned()).and_then(|element| Self::from_element(&element))
    }

    /// From one element of P-Asserted-Identity and its kin.
    ///
    /// # Errors
    /// Why it names nobody, as a verdict reads it.
    pub fn from_element(element: &Element<'_>) -> Result<Self, String> {
        let address = element.address.as_ref().map_err(Clone::clone)?;
        Ok(Self { origin: element.origin, ..Self::from_address(address)? })
    }

    fn from_address(address: &NameAddr<'_>) -> Result<Self, String> {
        let uri = address.uri().map_err(|error| format!("cannot be read: {error}"))?;
        let mut party = Self::from_uri(&uri)?;
        // RFC 3261 §20.10: of an address without brackets, the parameters seem to belong to the header.
        if uri.scheme == Scheme::Tel {
            party.context = party.context.or_else(|| address.param("phone-context").map(text));
            party.extension = party.extension.or_else(|| address.param("ext").map(text));
        }
        party.name = address.display.as_deref().and_then(display::readable);
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
        let is_one_of = |words: &[&str]| {
            user.as_deref().is_some_and(|user| words.iter().any(|word| user.eq_ignore_ascii_case(word)))
        };
        let standing = if uri.host.eq_ignore_ascii_case(b"anonymous.invalid") || is_one_of(&HIDDEN) {
            Standing::Anonymous
        } else if uri.host.eq_ignore_ascii_case(b"unknown.invalid") || is_one_of(&NOBODY) {
            Standing::Unknown
        } else {
            Standing::Named
        };
        let Some(user) = user.or_else(|| (standing == Standing::Anonymous).then(|| ANONYMOUS.to_owned())) else {
            return Err("has no user part".to_owned());
        };
        let param = |name: &str| {
            let in_user = uri.user.and_then(|user| user_param(user, name.as_bytes()));
            in_user.or_else(|| uri.params.get(name)).map(text).filter(|value| !value.is_empty())
        };
        let (context, extension) = (param("phone-context"), param("ext"));
        Ok(Self { user, context, extension, name: None, standing, origin: Origin::Grammar })
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

/// A parameter inside the user part, where `;user=phone` puts those of a `tel:` (RFC 3261 §19.1.6): `5201;ext=12`.
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

    fn party(value: &str) -> Result<(String, Option<String>, Option<String>), String> {
        Party::from_value(value.as_bytes()).map(|party| (party.user, party.context, party.name))
    }

    #[test]
    fn the_number_is_found_whatever_surrounds_it() {
        for (element, user, context, name) in [
            (r#""Example, Alice" <sip:3427@192.0.2.1>"#, "3427", None, Some("Example, Alice")),
            (r#""A \"B\" <C>" <sip:1@192.0.2.1>;tag=9"#, "1", None, Some(r#"A "B" <C>"#)),
            (r#""A "B" C" <sip:1@192.0.2.1>;tag=9"#, "1", None, Some(r#"A "B" C"#)),
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
    fn an_extension_is_kept_beside_its_number() {
        for (element, user, extension) in [
            ("<tel:+1-202-555-0123;ext=44>", "+1-202-555-0123", Some("44")),
            ("tel:+12025550123;ext=4-4", "+12025550123", Some("4-4")),
            ("<sip:+12025550123;ext=44@192.0.2.1;user=phone>", "+12025550123", Some("44")),
            ("<sip:+12025550123@192.0.2.1;user=phone>", "+12025550123", None),
        ] {
            let party = Party::from_value(element.as_bytes()).unwrap();
            assert_eq!((party.user.as_str(), party.extension.as_deref()), (user, extension), "{element}");
        }
    }

    #[test]
    fn what_names_nobody_says_why() {
        for (element, why) in [
            ("<sip:192.0.2.1>", "has no user part"),
            ("<sip:@192.0.2.1>", "has no user part"),
            ("<urn:service:sos>", "is neither a sip: nor a tel: URI"),
            ("\"open sip:1@192.0.2.1", "cannot be read: has no closing quote"),
            ("", "cannot be read: is empty"),
        ] {
            assert_eq!(party(element).unwrap_err(), why, "{element}");
        }
    }

    #[test]
    fn anonymous_and_unknown_are_told_by_user_or_host() {
        for (element, standing) in [
            ("\"anonymous\" <sip:anonymous@anonymous.invalid>", Standing::Anonymous),
            ("<sip:Anonymous@192.0.2.1>", Standing::Anonymous),
            ("<sip:anonymous.invalid>", Standing::Anonymous),
            ("<sip:Restricted@192.0.2.1>", Standing::Anonymous),
            ("<sip:thisis@anonymous.invalid>", Standing::Anonymous),
            ("<sip:unavailable@unknown.invalid>", Standing::Unknown),
            ("<sip:Unknown@192.0.2.1>", Standing::Unknown),
            ("\"Anonymous\" <sip:1001@192.0.2.1>", Standing::Named),
        ] {
            assert_eq!(Party::from_value(element.as_bytes()).unwrap().standing, standing, "{element}");
        }
    }
}
