//! The timers of RFC 3261 Table 4 and RFC 6026 §8: their names and values, and how a state machine asks for them. Apart
//! from the machines because all four share them, and because the values are worth reading in one place.

use super::super::Protocol;
use std::time::Duration;

/// A timer of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timer {
    /// INVITE request retransmission, unreliable transports only (§17.1.1.2).
    A,
    /// INVITE transaction timeout (§17.1.1.2).
    B,
    /// Wait for response retransmissions of a failed INVITE (§17.1.1.2).
    D,
    /// Non-INVITE request retransmission, unreliable transports only (§17.1.2.2).
    E,
    /// Non-INVITE transaction timeout (§17.1.2.2).
    F,
    /// INVITE failure response retransmission (§17.2.1).
    G,
    /// Wait for the ACK to a failure response (§17.2.1).
    H,
    /// Wait for ACK retransmissions (§17.2.1).
    I,
    /// Wait for non-INVITE request retransmissions (§17.2.2).
    J,
    /// Wait for response retransmissions of a non-INVITE request (§17.1.2.2).
    K,
    /// Wait for INVITE retransmissions after our 2xx (RFC 6026 §8.7).
    L,
    /// Wait for 2xx retransmissions and forks (RFC 6026 §8.4).
    M,
    /// 2xx retransmission until the ACK (§13.3.1.4); the RFC gives it no letter.
    Success,
    /// Repetition of a provisional response every minute, so that proxies keep the call (§13.3.1.1); no letter.
    Extension,
    /// End of the wait for a final response after CANCEL (§9.1); no letter.
    Patience,
    /// End of the wait for our own final response to a non-INVITE request: the client's Timer F has passed.
    Overdue,
}

/// The base values that all others follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// Round-trip estimate [500 ms].
    pub t1: Duration,
    /// Cap of non-INVITE request and INVITE response retransmission [4 s].
    pub t2: Duration,
    /// Longest life of a message in the network [5 s].
    pub t4: Duration,
}

/// Whether the transport retransmits by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reliability {
    /// TCP and TLS: retransmission timers are not set and absorbing states last no time.
    Reliable,
    /// UDP.
    Unreliable,
}

/// What to do with one of the two timers that a transaction can have at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Change {
    /// Leave it as it is.
    #[default]
    Keep,
    /// Disarm it.
    Stop,
    /// Arm it anew.
    Arm(Timer, Duration),
}

/// What a state machine wants done after an input. The machine itself has changed already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<S, R> {
    /// What to send, if anything.
    pub send: Option<S>,
    /// What the transaction user learns, if anything.
    pub report: Option<R>,
    /// The timer that repeats something (A, E, G, Success, Extension).
    pub repeat: Change,
    /// The timer that ends something (B, D, F, H, I, J, K, L, M, Patience, Overdue).
    pub limit: Change,
    /// The transaction is terminated: both timers go, and so does the transaction.
    pub over: bool,
}

// === impl Timers ===

impl Default for Timers {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Timers {
    /// 64*T1: timers B, F, H, J, L, M.
    #[must_use]
    pub fn long(&self) -> Duration {
        self.t1 * 64
    }

    /// Timer D: more than 32 s on unreliable transports.
    #[must_use]
    pub fn d(&self) -> Duration {
        // RFC 3261 §17.1.1.2: at least 32 s, since the server's Timer H is 64*T1 with the server's own T1; with a
        // configured (shorter) T1 both ends are ours to tune.
        self.long()
    }

    /// How often a provisional response is repeated to keep a call alive (§13.3.1.1).
    #[must_use]
    pub fn extension(&self) -> Duration {
        Duration::from_secs(60)
    }
}

// === impl Reliability ===

impl From<Protocol> for Reliability {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Udp => Self::Unreliable,
            Protocol::Tcp | Protocol::Tls => Self::Reliable,
        }
    }
}

// === impl Step ===

impl<S, R> Step<S, R> {
    /// Nothing to do.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { send: None, report: None, repeat: Change::Keep, limit: Change::Keep, over: false }
    }

    /// The end, without a word.
    #[must_use]
    pub const fn end() -> Self {
        Self { send: None, report: None, repeat: Change::Stop, limit: Change::Stop, over: true }
    }

    pub(super) fn sending(mut self, what: S) -> Self {
        self.send = Some(what);
        self
    }

    pub(super) fn reporting(mut self, what: R) -> Self {
        self.report = Some(what);
        self
    }

    pub(super) const fn repeat(mut self, change: Change) -> Self {
        self.repeat = change;
        self
    }

    pub(super) const fn limit(mut self, change: Change) -> Self {
        self.limit = change;
        self
    }
}
