//! When two URIs are the same (RFC 3261 §19.1.4). It stands apart because the rule is long, is no plain comparison, and
//! decides whether a registration is refreshed or doubled.

use super::uri::{Scheme, Uri, unescape};

/// Parameters that make two URIs differ also when only one of them has it.
const WEIGHTY: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

/// Whether they are the same. Parameters that only one has (`rinstance`, `line`) do not count, those of both must agree.
#[must_use]
pub fn same(one: &Uri<'_>, other: &Uri<'_>) -> bool {
    if one.scheme != other.scheme || one.port != other.port {
        return false;
    }
    if !matches!(one.scheme, Scheme::Sip | Scheme::Sips) {
        return one.rest == other.rest;
    }
    let plain = |part: Option<&[u8]>| part.map(|part| unescape(part).into_owned());
    let users = plain(one.user) == plain(other.user) && plain(one.password) == plain(other.password);
    let hosts = match (one.ip(), other.ip()) {
        (Some(one), Some(other)) => one == other,
        _ => one.host.eq_ignore_ascii_case(other.host),
    };
    users && hosts && agrees(one, other) && agrees(other, one) && headers(one) == headers(other)
}

/// Whether every parameter of one that counts is in the other.
fn agrees(one: &Uri<'_>, other: &Uri<'_>) -> bool {
    one.params.iter().all(|(name, value)| {
        let name = String::from_utf8_lossy(name);
        let value = value.unwrap_or_default();
        match other.params.get(&name) {
            Some(theirs) => unescape(theirs).eq_ignore_ascii_case(&unescape(value)),
            None => !WEIGHTY.iter().any(|weighty| name.eq_ignore_ascii_case(weighty)),
        }
    })
}

fn headers(uri: &Uri<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs: Vec<_> =
        uri.header_pairs().map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned())).collect();
    pairs.sort();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(one: &str, other: &str) -> bool {
        let [one, other] = [one, other].map(|text| Uri::parse(text.as_bytes()).unwrap());
        assert_eq!(same(&one, &other), same(&other, &one));
        same(&one, &other)
    }

    #[test]
    fn the_examples_of_the_rfc_hold() {
        for (one, other) in [
            ("sip:%61lice@atlanta.example.com;transport=TCP", "sip:alice@AtLanTa.example.com;Transport=tcp"),
            ("sip:carol@chicago.example.com", "sip:carol@chicago.example.com;newparam=5"),
            ("sip:carol@chicago.example.com;security=on", "sip:carol@chicago.example.com;newparam=5"),
            ("sip:alice@example.com?subject=a&priority=b", "sip:alice@example.com?priority=b&subject=a"),
            ("sip:a@[2001:db8::1]", "sip:a@[2001:0db8:0::1]"),
        ] {
            assert!(equal(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("SIP:ALICE@example.com", "sip:alice@example.com"),
            ("sip:bob@example.com", "sip:bob@example.com:5060"),
            ("sip:bob@example.com", "sip:bob@example.com;transport=udp"),
            ("sip:bob@example.com;maddr=192.0.2.1", "sip:bob@example.com"),
            ("sip:carol@example.com;security=on", "sip:carol@example.com;security=off"),
            ("sip:carol@example.com?Subject=next%20meeting", "sip:carol@example.com"),
            ("sip:bob@phone21.example.com", "sip:bob@192.0.2.4"),
            ("sips:bob@example.com", "sip:bob@example.com"),
        ] {
            assert!(!equal(one, other), "{one} {other}");
        }
    }

    #[test]
    fn two_lines_of_one_pbx_differ() {
        assert!(!equal("sip:pbx@192.0.2.1;rinstance=a", "sip:pbx@192.0.2.1;rinstance=b"));
        assert!(!equal("sip:pbx@192.0.2.1;line=a", "sip:pbx@192.0.2.1;line=b"));
        assert!(equal("sip:pbx@192.0.2.1;ob", "sip:pbx@192.0.2.1;ob"));
    }
}
