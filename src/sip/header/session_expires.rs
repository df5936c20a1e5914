//! `Session-Expires` and `Min-SE` (RFC 4028 §4, §5). They stand apart because a value that cannot be read must cost the
//! timer and never the call.

use super::{HeaderError, Params, number};
use std::fmt;
use std::time::Duration;

/// Which end of the request refreshes the session, as the request sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Who sent the request.
    Uac,
    /// Who answers it.
    Uas,
}

/// A `Session-Expires`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionExpires {
    /// How long the session lives without a refresh.
    pub interval: Duration,
    /// Who refreshes it, if it says so.
    pub refresher: Option<Role>,
}

// === impl Role ===

impl Role {
    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uac => "uac",
            Self::Uas => "uas",
        }
    }
}

// === impl SessionExpires ===

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.interval.as_secs())?;
        self.refresher.map_or(Ok(()), |role| write!(f, ";refresher={}", role.as_str()))
    }
}

impl SessionExpires {
    /// Reads a value such as `1800;refresher=uas`. An unknown refresher is none.
    ///
    /// # Errors
    /// When there is no number of seconds.
    pub fn parse(value: &[u8]) -> Result<SessionExpires, HeaderError> {
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        let (digits, rest) = value.split_at_checked(end).ok_or(HeaderError::Empty)?;
        let refresher = Params::new(rest).unquoted("refresher").and_then(|role| match role.as_ref() {
            role if role.eq_ignore_ascii_case(b"uac") => Some(Role::Uac),
            role if role.eq_ignore_ascii_case(b"uas") => Some(Role::Uas),
            _ => None,
        });
        Ok(SessionExpires { interval: seconds(digits)?, refresher })
    }
}

/// Reads the value of a `Min-SE`; its parameters say nothing.
///
/// # Errors
/// When there is no number of seconds.
pub fn min_se(value: &[u8]) -> Result<Duration, HeaderError> {
    seconds(value.split(|byte| *byte == b';').next().unwrap_or_default())
}

fn seconds(digits: &[u8]) -> Result<Duration, HeaderError> {
    let found = number(digits.trim_ascii(), u64::from(u32::MAX)).ok_or(HeaderError::Bad("number of seconds"))?;
    Ok(Duration::from_secs(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refresher_is_read_in_any_case_and_with_blanks() {
        let read = |text: &str| SessionExpires::parse(text.as_bytes()).unwrap();
        assert_eq!(read("1800").refresher, None);
        assert_eq!(read("1800 ; Refresher = UAS").refresher, Some(Role::Uas));
        assert_eq!(read("90;x=y;refresher=uac").refresher, Some(Role::Uac));
        assert_eq!(read("90;refresher=proxy").refresher, None);
        assert_eq!(read(" 0720 ").interval, Duration::from_secs(720));
    }

    #[test]
    fn what_is_no_number_is_an_error_and_not_zero() {
        for broken in ["", ";refresher=uac", "soon", "-90", "4294967296", "90s"] {
            assert!(SessionExpires::parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_min_se_of_zero_is_read_as_it_stands() {
        assert_eq!(min_se(b"0"), Ok(Duration::ZERO));
        assert_eq!(min_se(b"90;generic=1"), Ok(Duration::from_secs(90)));
        assert!(min_se(b"").is_err());
    }
}
