//! The User-to-User header (RFC 7433) and the UCID that Avaya carries in it. It stands apart because its content is a
//! coding of its own: hexadecimal, and inside it tag, length, value.

use super::clean;
use crate::sip::header::decode;
use crate::sip::{HeaderName, Message};

/// The first User-to-User value as received, parameters included.
#[must_use]
pub fn raw(request: &Message) -> Option<String> {
    request.value(HeaderName::UserToUser).map(|value| clean(&decode(value))).filter(|value| !value.is_empty())
}

/// Avaya's universal call id as its own tools print it: node, sequence and time, 20 digits.
#[must_use]
pub fn ucid(request: &Message) -> Option<String> {
    let value = request.value(HeaderName::UserToUser)?;
    let digits = value.split(|byte| *byte == b';').next()?.trim_ascii();
    let bytes = unhex(digits)?;
    // One byte of protocol discriminator, then tag, length, value; 0xFA is the UCID. Unknown tags are passed over.
    let mut rest = bytes.get(1..)?;
    while let [tag, length, after @ ..] = rest {
        let value = after.get(..usize::from(*length))?;
        if let (0xfa, [n1, n2, s1, s2, t1, t2, t3, t4]) = (*tag, value) {
            let node = u16::from_be_bytes([*n1, *n2]);
            let sequence = u16::from_be_bytes([*s1, *s2]);
            let time = u32::from_be_bytes([*t1, *t2, *t3, *t4]);
            return Some(format!("{node:05}{sequence:05}{time:010}"));
        }
        rest = after.get(value.len()..)?;
    }
    None
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let nibble = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    digits
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(nibble(high)? << 4 | nibble(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn of(value: &str) -> Option<String> {
        let text = format!("INVITE sip:1@192.0.2.1 SIP/2.0\r\nUser-to-User: {value}\r\nContent-Length: 0\r\n\r\n");
        ucid(&Message::parse(Bytes::from(text)).unwrap())
    }

    #[test]
    fn a_ucid_is_found_behind_other_tags_and_nothing_odd_breaks_it() {
        for (value, expected) in [
            ("00FA080001247C5E46F6E6;encoding=hex", Some("00001093401581709030")),
            ("00fa080001247c5e46f6e6", Some("00001093401581709030")),
            ("04C8024142FA080001247C5E46F6E6;encoding=hex", Some("00001093401581709030")),
            ("04C8024142;encoding=hex", None),
            ("00FA04000124", None),
            ("00FA", None),
            ("00F", None),
            ("hello", None),
            ("", None),
        ] {
            assert_eq!(of(value).as_deref(), expected, "{value}");
        }
    }
}
