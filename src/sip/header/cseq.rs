//! `CSeq` (RFC 3261 §20.16). It stands apart because it is mandatory, bounded, and decides to which request a response
//! belongs.

use super::{HeaderError, is_token, number};
use crate::sip::Method;

/// The largest sequence number: below 2**31 (RFC 3261 §8.1.1.5).
const MOST: u64 = (1 << 31) - 1;

/// Sequence number and method.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CSeq {
    /// 0 to 2**31 - 1.
    pub number: u32,
    /// The method of the request.
    pub method: Method,
}

// === impl CSeq ===

impl CSeq {
    /// Reads a value such as `0009 INVITE`.
    pub fn parse(value: &[u8]) -> Result<CSeq, HeaderError> {
        let (number, method) = split(value)?;
        Ok(CSeq { number, method: Method::parse(method) })
    }
}

/// The two parts, without building a [`Method`].
pub(crate) fn split(value: &[u8]) -> Result<(u32, &[u8]), HeaderError> {
    let value = value.trim_ascii();
    let blank = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
    let (digits, rest) = value.split_at_checked(blank).ok_or(HeaderError::Empty)?;
    let found = number(digits, MOST).and_then(|found| u32::try_from(found).ok());
    let method = rest.trim_ascii();
    if !is_token(method) {
        return Err(HeaderError::Missing("method"));
    }
    Ok((found.ok_or(HeaderError::Bad("sequence number"))?, method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_leading_zeros_do_not_matter() {
        let cseq = CSeq::parse(b"0009\t INVITE ").unwrap();
        assert_eq!((cseq.number, cseq.method), (9, Method::Invite));
    }

    #[test]
    fn the_number_stays_below_two_to_the_thirty_first() {
        assert_eq!(CSeq::parse(b"2147483647 BYE").unwrap().number, 2_147_483_647);
        assert_eq!(CSeq::parse(b"2147483648 BYE"), Err(HeaderError::Bad("sequence number")));
        assert_eq!(CSeq::parse(b"-1 BYE"), Err(HeaderError::Bad("sequence number")));
        assert_eq!(CSeq::parse(b"1"), Err(HeaderError::Missing("method")));
        assert!(CSeq::parse(b"").is_err());
    }
}
