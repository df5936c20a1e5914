//! Session timers (RFC 4028): how long a session lives without a refresh, who refreshes it, and when it is given up.
//! Apart from the dialog, because the refresher of a session changes with every request that refreshes it.

use super::super::header::SessionExpires;
use super::super::header::session_expires::Role;
use std::time::{Duration, Instant};

/// No session is refreshed more often: an interval of less than this is not asked for (§5).
pub const SMALLEST: Duration = Duration::from_secs(90);

/// The longest wait for a refresh to succeed before the end of the session (§10).
const MARGIN: Duration = Duration::from_secs(32);

/// How long a refresh that failed for no clear reason waits for the next attempt.
const AGAIN: Duration = Duration::from_secs(10);

/// How often an interval is enlarged for a peer that finds it too small: an honest one says its smallest at once.
const ENLARGEMENTS: u8 = 3;

/// What one end of a leg wants of session timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether there is one.
    pub wish: Wish,
    /// The smallest interval that is accepted.
    pub min_se: Duration,
}

/// Whether a session timer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// None: what the peer says about it is not understood.
    Off,
    /// If the peer asks for one.
    Accept,
    /// One of ours, and refreshed by us if the peer does not know timers.
    Ask {
        /// The interval.
        expires: Duration,
        /// Who is to refresh it.
        refresher: Preference,
    },
}

/// Who is to refresh a session that we ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference {
    /// This end.
    Us,
    /// The other end.
    Peer,
    /// Whoever the other end chooses.
    Any,
}

/// Who refreshes a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresher {
    /// This end.
    Us,
    /// The other end.
    Peer,
}

/// What a request that refreshes the session (INVITE, re-INVITE, UPDATE) says about timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// `Session-Expires`, if it can be read and is not zero.
    pub expires: Option<SessionExpires>,
    /// `Min-SE`, if it can be read.
    pub min_se: Option<Duration>,
    /// `Supported` or `Require` lists `timer`.
    pub knows_timers: bool,
}

/// What our 2xx to such a request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// `Session-Expires`.
    pub expires: SessionExpires,
    /// `Require: timer`: the peer knows timers (§9).
    pub required: bool,
}

/// What such a request of ours says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// `Session-Expires`.
    pub expires: Option<SessionExpires>,
    /// `Min-SE`: once somebody named one above the smallest, every request carries it (§7.1).
    pub min_se: Option<Duration>,
}

/// The interval that the peer asks for is too small: 422 with this `Min-SE` (§6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("session interval too small, {} s at least", min_se.as_secs())]
pub struct TooSmall {
    /// The smallest that is accepted.
    pub min_se: Duration,
}

/// What a timer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// A refresh is to be sent.
    Refresh,
    /// Nobody refreshed the session: it is over, and is ended with BYE (§10).
    Expired,
}

/// What follows from a refresh that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The dialog is gone: the session is over (§7.3, RFC 3261 §12.2.1.2).
    Over,
    /// The next attempt is armed.
    Again,
    /// The peer cannot do it this way: by another method, at once.
    Otherwise,
}

/// The session timer of one leg.
#[derive(Debug)]
pub struct SessionTimer {
    policy: Policy,
    /// The largest `Min-SE` that was heard.
    floor: Duration,
    enlargements: u8,
    running: Option<Running>,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    interval: Duration,
    refresher: Refresher,
    /// When the next refresh of ours is to be sent.
    refresh: Option<Instant>,
    /// When the session is given up.
    end: Instant,
}

// === impl Policy ===

impl Policy {
    /// Timers are not understood.
    pub const OFF: Policy = Policy { wish: Wish::Off, min_se: SMALLEST };

    /// Timers of the peer are accepted.
    pub const ACCEPT: Policy = Policy { wish: Wish::Accept, min_se: SMALLEST };
}

// === impl SessionTimer ===

impl SessionTimer {
    /// At rest.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        // A policy below what the RFC allows is the RFC's.
        let policy = Policy { min_se: policy.min_se.max(SMALLEST), ..policy };
        Self { policy, floor: SMALLEST, enlargements: 0, running: None }
    }

    /// Are timers known to this leg at all?
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.policy.wish != Wish::Off
    }

    /// Who refreshes the session now, and how often; `None` if it lives without.
    #[must_use]
    pub fn running(&self) -> Option<(Refresher, Duration)> {
        self.running.map(|running| (running.refresher, running.interval))
    }

    /// The end of the session, and of its timer.
    pub fn stop(&mut self) {
        self.running = None;
    }

    // --- our requests

    /// What our next request says; `None` if timers are off.
    #[must_use]
    pub fn offer(&self) -> Option<Offer> {
        let expires = match (self.running, self.policy.wish) {
            (_, Wish::Off) => return None,
            // §7.4: a refresh keeps the roles.
            (Some(running), _) => {
                let role = if running.refresher == Refresher::Us { Role::Uac } else { Role::Uas };
                Some(SessionExpires { interval: running.interval.max(self.floor), refresher: Some(role) })
            }
            (None, Wish::Ask { expires, refresher }) => {
                let refresher = match refresher {
                    Preference::Us => Some(Role::Uac),
                    Preference::Peer => Some(Role::Uas),
                    Preference::Any => None,
                };
                Some(SessionExpires { interval: expires.max(self.floor).max(self.policy.min_se), refresher })
            }
            (None, Wish::Accept) => None,
        };
        let min_se = self.floor.max(self.policy.min_se);
        Some(Offer { expires, min_se: (min_se > SMALLEST).then_some(min_se) })
    }

    /// Our request was answered 2xx.
    pub fn answered(&mut self, now: Instant, expires: Option<SessionExpires>) {
        self.enlargements = 0;
        match (self.policy.wish, expires.filter(|expires| !expires.interval.is_zero())) {
            (Wish::Off, _) => {}
            (_, Some(expires)) => {
                // §7.2 demands the parameter; without it the safe reading is that nobody else will.
                let refresher = if expires.refresher == Some(Role::Uas) { Refresher::Peer } else { Refresher::Us };
                self.run(now, expires.interval, refresher);
            }
            // §7.2: the peer knows no timers. Refreshes of ours find out all the same that it is gone.
            (Wish::Ask { .. }, None) => {
                let asked = self.offer().and_then(|offer| offer.expires);
                if let Some(asked) = asked {
                    self.run(now, asked.interval, Refresher::Us);
                }
            }
            (Wish::Accept, None) => self.running = None,
        }
    }

    /// Our request was answered 422: the next one asks for more. `false` if there is no sense in it (§7.3).
    pub fn enlarge(&mut self, min_se: Option<Duration>) -> bool {
        let asked = self.offer().and_then(|offer| offer.expires).map(|expires| expires.interval);
        let (Some(min_se), Some(asked)) = (min_se, asked) else { return false };
        if min_se <= asked || self.enlargements >= ENLARGEMENTS {
            return false;
        }
        self.enlargements += 1;
        self.floor = self.floor.max(min_se);
        true
    }

    /// Our refresh failed. `glare` is the time that RFC 3261 §14.1 wants between two attempts that met.
    pub fn refresh_failed(
        &mut self,
        now: Instant,
        status: u16,
        retry_after: Option<Duration>,
        glare: Duration,
    ) -> After {
        let wait = match status {
            408 | 481 => return After::Over,
            405 | 501 => return After::Otherwise,
            491 => glare,
            _ => retry_after.unwrap_or(AGAIN),
        };
        if let Some(running) = &mut self.running {
            // What comes after the end comes at the end: then the session is given up.
            running.refresh = Some((now + wait).min(running.end));
        }
        After::Again
    }

    // --- the peer's requests

    /// Looks at a request of the peer before it is taken.
    ///
    /// # Errors
    /// [`TooSmall`] if it asks for less than is accepted here.
    pub fn judge(&self, asked: &Asked) -> Result<(), TooSmall> {
        let min_se = self.policy.min_se;
        let too_small = asked.expires.is_some_and(|expires| expires.interval < min_se);
        // §9: only who knows timers understands a 422; another one has a proxy that put it in.
        if self.is_known() && asked.knows_timers && too_small { Err(TooSmall { min_se }) } else { Ok(()) }
    }

    /// A request of the peer is answered 2xx: what the answer says; `None` for nothing (§9).
    pub fn grant(&mut self, now: Instant, asked: &Asked) -> Option<Granted> {
        if !self.is_known() {
            return None;
        }
        // `Min-SE: 0` and the like mean no more than the smallest.
        let theirs = asked.min_se.unwrap_or(SMALLEST).max(SMALLEST);
        self.floor = self.floor.max(theirs);
        let Some((interval, role)) = self.choose(asked, theirs) else {
            self.running = None;
            return None;
        };
        // Who does not know timers refreshes nothing.
        let role = if asked.knows_timers { role } else { Role::Uas };
        self.run(now, interval, if role == Role::Uas { Refresher::Us } else { Refresher::Peer });
        let expires = SessionExpires { interval, refresher: Some(role) };
        Some(Granted { expires, required: asked.knows_timers })
    }

    /// The interval and the refresher of a session that the peer began or refreshes.
    fn choose(&self, asked: &Asked, theirs: Duration) -> Option<(Duration, Role)> {
        let preferred = match self.policy.wish {
            Wish::Ask { refresher: Preference::Us, .. } => Role::Uas,
            _ => Role::Uac,
        };
        match (asked.expires, self.running, self.policy.wish) {
            (Some(expires), _, wish) => {
                // §9: it may be reduced, not below what the request or we can bear, and never raised.
                let interval = match wish {
                    Wish::Ask { expires: ours, .. } => expires.interval.min(ours.max(theirs).max(self.policy.min_se)),
                    _ => expires.interval,
                };
                Some((interval, expires.refresher.unwrap_or(preferred)))
            }
            // A refresh that says nothing changes nothing.
            (None, Some(running), _) => {
                let role = if running.refresher == Refresher::Us { Role::Uas } else { Role::Uac };
                Some((running.interval.max(theirs), role))
            }
            (None, None, Wish::Ask { expires, refresher }) => {
                let role = if refresher == Preference::Peer { Role::Uac } else { Role::Uas };
                Some((expires.max(theirs).max(self.policy.min_se), role))
            }
            (None, None, _) => None,
        }
    }

    // --- time

    /// When [`SessionTimer::fired`] is to be called.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let running = self.running?;
        Some(running.refresh.map_or(running.end, |refresh| refresh.min(running.end)))
    }

    /// Time passed.
    pub fn fired(&mut self, now: Instant) -> Due {
        let Some(running) = &mut self.running else { return Due::Nothing };
        if now >= running.end {
            self.running = None;
            return Due::Expired;
        }
        match running.refresh.take_if(|refresh| now >= *refresh) {
            Some(_) => Due::Refresh,
            None => Due::Nothing,
        }
    }

    fn run(&mut self, now: Instant, interval: Duration, refresher: Refresher) {
        // §10: half of the interval, and the end a little before the other side's.
        let refresh = (refresher == Refresher::Us).then(|| now + interval / 2);
        let end = now + (interval - MARGIN.min(interval / 3));
        self.running = Some(Running { interval, refresher, refresh, end });
    }
}

#[cfg(test)]
#[path = "session_timer_tests.rs"]
mod tests;
