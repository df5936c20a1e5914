//! Who may send on a stream (RFC 3264 §5.1, §6.1, §8.4). Apart because hold is this one small value turned around at
//! every leg, and turning it wrongly is how calls come back from hold silent.

/// A direction attribute, seen by whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Sends and receives: the default when nothing is said.
    #[default]
    SendRecv,
    /// Sends only: it put the other side on hold.
    SendOnly,
    /// Receives only.
    RecvOnly,
    /// Neither.
    Inactive,
}

// === impl Direction ===

impl Direction {
    /// All four, for tables and tests.
    pub const ALL: [Self; 4] = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];

    /// From the name of an attribute, in any case.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|direction| name.eq_ignore_ascii_case(direction.as_str().as_bytes()))
    }

    /// The name of the attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// Does whoever wrote it send?
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Does whoever wrote it receive?
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same stream seen from its other end.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            same => same,
        }
    }

    /// What is left when its writer no longer receives, as `c=0.0.0.0` says (RFC 3264 §8.4, the hold of RFC 2543).
    #[must_use]
    pub const fn without_receiving(self) -> Self {
        match self {
            Self::SendRecv | Self::SendOnly => Self::SendOnly,
            Self::RecvOnly | Self::Inactive => Self::Inactive,
        }
    }

    /// The direction with exactly these two abilities.
    pub(super) const fn from_parts(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_around_twice_changes_nothing() {
        for direction in Direction::ALL {
            assert_eq!(direction.reversed().reversed(), direction);
            assert_eq!(direction.reversed().sends(), direction.receives());
            assert_eq!(Direction::from_parts(direction.sends(), direction.receives()), direction);
            assert_eq!(Direction::parse(direction.as_str().to_uppercase().as_bytes()), Some(direction));
        }
        assert_eq!(Direction::parse(b"sendrec"), None);
    }

    #[test]
    fn a_zero_address_takes_only_receiving_away() {
        for direction in Direction::ALL {
            assert_eq!(direction.without_receiving().sends(), direction.sends());
            assert!(!direction.without_receiving().receives());
        }
    }
}
