//! The words that labels are made of. They are types, so that nobody can pass a number, a Call-ID or an address.

use crate::error::Cause;
use crate::record::CallRecord;

/// Which way something went, as seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Received.
    In,
    /// Sent.
    Out,
}

/// A leg of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leg {
    /// Who called.
    A,
    /// Whom we called.
    B,
}

/// A kind of SIP message, bounded: all unknown methods are one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageKind(usize);

/// How a call went, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallResult {
    /// It was answered.
    Answered,
    /// The caller gave up before the answer.
    Cancelled,
    /// It was refused before a target was called.
    Refused,
    /// A target was called and did not answer.
    Failed,
}

/// Whether a registration holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// It does.
    Yes,
    /// It does not, or not yet.
    No,
}

/// Whether a trunk or target is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Calls go to it.
    Up,
    /// They go elsewhere if they can.
    Down,
}

/// The label values of [`MessageKind`], by its index. The methods are those that the stack knows; a test of the assembly
/// compares the two lists, because this module and the stack know nothing of each other.
const KINDS: [&str; MessageKind::COUNT] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "PRACK",
    "UPDATE",
    "INFO",
    "REFER",
    "NOTIFY",
    "SUBSCRIBE",
    "MESSAGE",
    "PUBLISH",
    "other",
    "1xx",
    "2xx",
    "3xx",
    "4xx",
    "5xx",
    "6xx",
];

/// The class of a status, with the statuses of registrations that mean something of their own.
pub(super) const fn of_status(status: u16) -> &'static str {
    match status {
        0..200 => "1xx",
        200..300 => "ok",
        300..400 => "redirected",
        401 | 407 => "challenged",
        403 => "forbidden",
        404 => "unknown",
        408 => "silent",
        423 => "too_short",
        400..500 => "4xx",
        503 => "unavailable",
        500..600 => "5xx",
        _ => "6xx",
    }
}

// === impl Direction ===

impl Direction {
    /// Both, in the order of their indices.
    pub const ALL: [Self; 2] = [Self::In, Self::Out];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

// === impl Leg ===

impl Leg {
    /// Both, in the order of their indices.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

// === impl MessageKind ===

impl MessageKind {
    /// How many kinds there are.
    pub const COUNT: usize = 21;
    /// The index of `other`, the kind of every unknown method.
    const OTHER: usize = 14;

    /// A request, by its method (case-sensitive, RFC 3261 §7.1).
    #[must_use]
    pub fn request(method: &str) -> Self {
        let known = KINDS.iter().take(Self::OTHER).position(|kind| *kind == method);
        Self(known.unwrap_or(Self::OTHER))
    }

    /// A response, by its status code; only the class counts.
    #[must_use]
    pub const fn response(status: u16) -> Self {
        match status / 100 {
            class @ 1..=6 => Self(Self::OTHER + class as usize),
            _ => Self(Self::OTHER),
        }
    }

    /// What the bytes of a message start like; `None` if nothing is there (a keep-alive).
    #[must_use]
    pub fn of(message: &[u8]) -> Option<Self> {
        let message = message.trim_ascii_start();
        let word = message.split(|byte| *byte == b' ').next().filter(|word| !word.is_empty())?;
        if word != b"SIP/2.0" {
            return Some(Self::request(std::str::from_utf8(word).unwrap_or_default()));
        }
        let status = message.get(word.len() + 1..word.len() + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        Some(Self::response(status.and_then(|digits| digits.parse().ok()).unwrap_or_default()))
    }

    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        KINDS.get(self.0).copied().unwrap_or("other")
    }

    /// Its place in an array of [`MessageKind::COUNT`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }

    /// All kinds, in the order of their indices.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }
}

// === impl CallResult ===

impl CallResult {
    /// How the call of a record went.
    #[must_use]
    pub fn of(record: &CallRecord) -> Self {
        let cancelled = record.termination.as_ref().is_some_and(|end| end.cause == Cause::CallerCancelled);
        match (&record.answered_ms, cancelled, &record.target) {
            (Some(_), _, _) => Self::Answered,
            (None, true, _) => Self::Cancelled,
            (None, false, None) => Self::Refused,
            (None, false, Some(_)) => Self::Failed,
        }
    }

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

// === impl Reach ===

impl Reach {
    /// The value of the gauge.
    #[must_use]
    pub const fn gauge(self) -> i64 {
        match self {
            Self::Up => 1,
            Self::Down => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_kind_and_the_unknown_share_one() {
        assert_eq!(MessageKind::request("INVITE").as_str(), "INVITE");
        assert_eq!(MessageKind::request("PUBLISH").as_str(), "PUBLISH");
        assert_eq!(MessageKind::request("FROB").as_str(), "other");
        assert_eq!(MessageKind::request("invite").as_str(), "other");
        assert_eq!(MessageKind::request("4xx").as_str(), "other");
    }

    #[test]
    fn the_first_bytes_of_a_message_tell_its_kind() {
        let kind = |bytes: &[u8]| MessageKind::of(bytes).map(MessageKind::as_str);
        assert_eq!(kind(b"INVITE sip:a@192.0.2.1 SIP/2.0\r\n"), Some("INVITE"));
        assert_eq!(kind(b"\r\nSIP/2.0 486 Busy Here\r\n"), Some("4xx"));
        assert_eq!(kind(b"SIP/2.0 "), Some("other"));
        assert_eq!(kind(b"\xff\xfe\x00"), Some("other"));
        assert_eq!(kind(b"\r\n\r\n"), None);
    }

    #[test]
    fn a_response_counts_by_its_class_alone() {
        let classes =
            [(100, "1xx"), (200, "2xx"), (302, "3xx"), (486, "4xx"), (503, "5xx"), (699, "6xx"), (799, "other")];
        for (status, class) in classes {
            assert_eq!(MessageKind::response(status).as_str(), class);
        }
    }
}
