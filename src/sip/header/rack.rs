//! `RAck` and `RSeq` (RFC 3262 §7.1, §7.2). They stand apart because they alone tie a PRACK to the provisional response
//! that it acknowledges: by three values, all of which must fit.

use super::{HeaderError, cseq, number};
use crate::sip::Method;

/// The largest `RSeq`: below 2**32 (RFC 3262 §7.1).
const MOST: u64 = u32::MAX as u64;

/// What a PRACK acknowledges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RAck {
    /// `RSeq` of the provisional response.
    pub response: u32,
    /// The number of `CSeq` of the request that was responded to.
    pub number: u32,
    /// Its method: INVITE, or somebody else's.
    pub method: Method,
}

// === impl RAck ===

impl RAck {
    /// Reads a value such as `776656 1 INVITE`.
    ///
    /// # Errors
    /// When one of the three is missing or out of bounds.
    pub fn parse(value: &[u8]) -> Result<RAck, HeaderError> {
        let value = value.trim_ascii();
        let blank = value.iter().position(u8::is_ascii_whitespace).ok_or(HeaderError::Missing("sequence number"))?;
        let (digits, rest) = value.split_at_checked(blank).ok_or(HeaderError::Empty)?;
        let (number, method) = cseq::split(rest)?;
        Ok(RAck { response: rseq(digits)?, number, method: Method::parse(method) })
    }
}

/// Reads the value of an `RSeq`.
///
/// # Errors
/// When it is no number below 2**32, or zero, with which nobody may begin (RFC 3262 §7.1).
pub fn rseq(value: &[u8]) -> Result<u32, HeaderError> {
    let found = number(value.trim_ascii(), MOST).and_then(|found| u32::try_from(found).ok());
    found.filter(|found| *found > 0).ok_or(HeaderError::Bad("response number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rack_names_response_request_and_method() {
        let rack = RAck::parse(b" 776656\t 1  INVITE ").unwrap();
        assert_eq!(rack, RAck { response: 776_656, number: 1, method: Method::Invite });
        assert_eq!(RAck::parse(b"4294967295 2 INVITE").unwrap().response, u32::MAX);
    }

    #[test]
    fn a_rack_without_one_of_the_three_is_none() {
        for broken in [&b""[..], b"1", b"1 2", b"1 INVITE", b"4294967296 1 INVITE", b"0 1 INVITE", b"-1 1 INVITE"] {
            assert!(RAck::parse(broken).is_err(), "{}", String::from_utf8_lossy(broken));
        }
    }
}
