//! Header field values: one type per family, borrowed from the message, parsed when someone asks. They stand apart from
//! the wire because a value that is never asked for is never parsed, and one that is broken fails alone.

pub mod address;
pub mod cseq;
pub mod elements;
pub mod params;
pub mod rack;
pub mod reason;
pub mod refer;
pub mod route;
pub mod session_expires;
pub mod via;

pub use address::NameAddr;
pub use cseq::CSeq;
pub use elements::Elements;
pub use params::Params;
pub use rack::RAck;
pub use reason::Reason;
pub use refer::{ReferTo, Replaces};
pub use route::Route;
pub use session_expires::SessionExpires;
pub use via::Via;

use std::borrow::Cow;

/// Why a header field value cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It has another form; names what was expected.
    #[error("has no {0}")]
    Missing(&'static str),
    /// A number is not a number or too large; names it.
    #[error("has a bad {0}")]
    Bad(&'static str),
}

/// Text of a value for people and numbering plans: UTF-8 as RFC 3261 §7.3.1 demands. Older PBXs send ISO-8859-1, and
/// many cut a display name in the middle of a character; both keep as much as can be read.
pub fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(error) if error.error_len().is_none() => {
            let whole = bytes.get(..error.valid_up_to()).unwrap_or_default();
            Cow::Owned(format!("{}\u{fffd}", String::from_utf8_lossy(whole)))
        }
        Err(_) => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
    }
}

/// Takes the backslashes out of the inside of a quoted string (RFC 3261 §25.1).
pub(crate) fn unquote(inside: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', inside).is_none() {
        return Cow::Borrowed(inside);
    }
    let mut out = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => out.extend(bytes.next()),
            plain => out.push(*plain),
        }
    }
    Cow::Owned(out)
}

/// Splits `"..."` off the front: the inside, and what follows the closing quote.
pub(crate) fn quoted(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = value.strip_prefix(b"\"")?;
    let mut at = 0;
    loop {
        let hit = at + memchr::memchr2(b'"', b'\\', inside.get(at..)?)?;
        if inside.get(hit) == Some(&b'"') {
            return Some((inside.get(..hit)?, inside.get(hit + 1..)?));
        }
        at = hit + 2;
    }
}

/// A decimal number of any length with leading zeros; `None` when it is none or above `most`.
pub(crate) fn number(digits: &[u8], most: u64) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    (value <= most).then_some(value)
}

/// RFC 3261 §25.1 `token`.
pub(crate) fn is_token(text: &[u8]) -> bool {
    let allowed = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
    };
    !text.is_empty() && text.iter().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin_1_is_read_and_a_cut_character_costs_only_itself() {
        assert_eq!(decode(b"J\xfcrgen"), "J\u{fc}rgen");
        assert_eq!(decode("Jürgen".as_bytes()), "Jürgen");
        assert_eq!(decode(b"J\xc3\xbcrgen M\xc3"), "J\u{fc}rgen M\u{fffd}");
    }

    #[test]
    fn a_quoted_string_ends_at_its_own_quote() {
        assert_eq!(quoted(br#""a\"b" rest"#), Some((&br#"a\"b"#[..], &b" rest"[..])));
        assert_eq!(unquote(br#"a\"b\\"#).as_ref(), br#"a"b\"#);
        assert_eq!(quoted(b"\"open"), None);
        assert_eq!(quoted(b"\"open\\"), None);
    }

    #[test]
    fn numbers_are_bounded_and_may_lead_with_zeros() {
        assert_eq!(number(b"0068", 255), Some(68));
        assert_eq!(number(b"256", 255), None);
        assert_eq!(number(b"-1", 255), None);
        assert_eq!(number(b"36893488147419103232", u64::MAX), None);
    }
}
