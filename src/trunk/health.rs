//! Whether a trunk or a target is up, from what its answers and its silence showed: probes by OPTIONS and live calls
//! alike. Shared by all shards like its admission, and read for every call without a lock.
//!
//! Up and down are slow to change each other's mind (so many in a row), with two exceptions: 503 is the peer's own word
//! (RFC 3261 §21.5.4), and whoever is never probed can only be found up again by trying it with a call.

use crate::config::keepalive::Keepalive;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a peer's behaviour showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A response, whatever its status: somebody is there. 405, 404 and 403 to OPTIONS are such.
    Alive,
    /// 503, with its `Retry-After`.
    Unavailable(Option<Duration>),
    /// Nothing in time.
    Silent,
    /// It could not be sent.
    Unreachable,
}

/// Where a sign was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// In answer to OPTIONS of ours.
    Probe,
    /// In answer to a call of ours.
    Call,
    /// In a call of its own. Says that it lives, not that it can be reached where we look for it: whoever is probed is
    /// not judged by it.
    Caller,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It was neither asked nor called yet; calls go to it.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// It does not, or says that it cannot.
    Down,
}

/// What is known of one, for those who look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Where it stands.
    pub standing: Standing,
    /// Since when; `None` if it was never known.
    pub since: Option<Instant>,
    /// When somebody there was last heard.
    pub heard: Option<Instant>,
    /// The last bad sign and when it was.
    pub trouble: Option<(Sign, Instant)>,
    /// Until when it asked to be left alone.
    pub rests_until: Option<Instant>,
}

/// The health of one trunk or target.
#[derive(Debug, Default)]
pub struct Health {
    /// [`CALM`], [`DOUBTED`] or [`DOWN`]: all that a call asks when nothing is wrong.
    glance: AtomicU8,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rule: Rule,
    standing: Standing,
    since: Option<Instant>,
    heard: Option<Instant>,
    trouble: Option<(Sign, Instant)>,
    /// Bad signs in a row while it is up, good ones while it is down.
    against: u32,
    /// While it is down: not to be tried before.
    rests_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Rule {
    probed: bool,
    down_after: u32,
    up_after: u32,
}

/// Not known to be down, and something may still be learnt.
const DOUBTED: u8 = 0;
/// Up, and nothing speaks against it.
const CALM: u8 = 1;
const DOWN: u8 = 2;

/// How long one that is not probed is left alone before a call tries it again.
const TRIAL: Duration = Duration::from_secs(30);
/// A `Retry-After` is honoured up to here: no typing error takes a target away for a day.
const LONGEST_REST: Duration = Duration::from_secs(300);

// === impl Health ===

impl Health {
    /// By which rule it is judged from now on.
    pub fn set_rule(&self, keepalive: Option<&Keepalive>) {
        let mut state = self.lock();
        state.rule = keepalive.map_or_else(Rule::default, |keepalive| Rule {
            probed: true,
            down_after: keepalive.down_after.max(1),
            up_after: keepalive.up_after.max(1),
        });
    }

    /// Takes a sign into account; gives back what it stands at if that changed.
    pub fn note(&self, now: Instant, witness: Witness, sign: Sign) -> Option<Standing> {
        if sign == Sign::Alive && witness != Witness::Probe && self.glance.load(Ordering::Relaxed) == CALM {
            return None; // nothing new, and the usual case of every call
        }
        let mut state = self.lock();
        if witness == Witness::Caller && state.rule.probed {
            return None;
        }
        let before = state.standing;
        state.take(now, witness, sign);
        let glance = match state.standing {
            Standing::Down => DOWN,
            Standing::Up if state.against == 0 => CALM,
            _ => DOUBTED,
        };
        self.glance.store(glance, Ordering::Relaxed);
        (state.standing != before).then_some(state.standing)
    }

    /// Is it down? Costs one load.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.glance.load(Ordering::Relaxed) == DOWN
    }

    /// Is it better not called? One that is down, unless nobody probes it and its time has come to be tried by a call:
    /// then this one is the trial, and the next is not before another rest.
    #[must_use]
    pub fn turns_away(&self, now: Instant) -> bool {
        if !self.is_down() {
            return false;
        }
        let mut state = self.lock();
        let trial = !state.rule.probed && state.rests_until.is_none_or(|until| until <= now);
        if trial {
            state.rests_until = Some(now + TRIAL);
        }
        !trial
    }

    /// When it may be probed next: sooner than usual while an opinion is being formed, and not while it rests.
    #[must_use]
    pub fn next_probe(&self, now: Instant, keepalive: &Keepalive) -> Duration {
        let state = self.lock();
        let (interval, soon) = (keepalive.interval.get(), keepalive.interval.get().min(keepalive.timeout.get()));
        let usual = if state.against > 0 { soon } else { interval };
        let rest = state.rests_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        usual.max(rest)
    }

    /// What is known.
    #[must_use]
    pub fn report(&self) -> Report {
        let state = self.lock();
        let rests_until = state.rests_until.filter(|_| state.standing == Standing::Down);
        Report { standing: state.standing, since: state.since, heard: state.heard, trouble: state.trouble, rests_until }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn take(&mut self, now: Instant, witness: Witness, sign: Sign) {
        match sign {
            Sign::Alive => self.good(now),
            // A call is refused for more reasons than the peer's own state; with a time it speaks of itself.
            Sign::Unavailable(None) if witness != Witness::Probe => self.good(now),
            Sign::Unavailable(rest) => {
                self.heard = Some(now);
                self.trouble = Some((sign, now));
                self.change(now, Standing::Down);
                let rest = if self.rule.probed { rest.unwrap_or_default() } else { rest.unwrap_or(TRIAL) };
                self.rests_until = Some(now + rest.min(LONGEST_REST));
            }
            Sign::Silent | Sign::Unreachable => self.bad(now, sign),
        }
    }

    fn good(&mut self, now: Instant) {
        self.heard = Some(now);
        match self.standing {
            Standing::Unknown => self.change(now, Standing::Up),
            Standing::Up => self.against = 0,
            Standing::Down => {
                self.against += 1;
                if self.against >= self.rule.up_after {
                    self.change(now, Standing::Up);
                }
            }
        }
    }

    fn bad(&mut self, now: Instant, sign: Sign) {
        self.trouble = Some((sign, now));
        match self.standing {
            Standing::Unknown | Standing::Up => {
                self.against += 1;
                if self.against >= self.rule.down_after {
                    self.change(now, Standing::Down);
                }
            }
            Standing::Down => self.against = 0,
        }
        if self.standing == Standing::Down && !self.rule.probed {
            self.rests_until = Some(now + TRIAL);
        }
    }

    fn change(&mut self, now: Instant, standing: Standing) {
        self.against = 0;
        self.rests_until = None;
        if self.standing != standing {
            self.standing = standing;
            self.since = Some(now);
        }
    }
}

// === impl Rule, Sign, Standing ===

impl Default for Rule {
    /// Of one that is not probed: a call that it answers says enough.
    fn default() -> Self {
        Self { probed: false, down_after: Keepalive::DOWN_AFTER, up_after: 1 }
    }
}

impl Sign {
    /// What a final status says of whoever sent it. To OPTIONS, 408 is the word of a proxy that got no answer itself.
    #[must_use]
    pub const fn of_status(witness: Witness, status: u16, retry_after: Option<Duration>) -> Self {
        match (status, witness) {
            (503, _) => Self::Unavailable(retry_after),
            (408, Witness::Probe) => Self::Silent,
            _ => Self::Alive,
        }
    }

    /// A bad one in words; `None` for a good one.
    #[must_use]
    pub fn text(self) -> Option<String> {
        match self {
            Self::Alive => None,
            Self::Unavailable(None) => Some("503: it says that it is unavailable".to_owned()),
            Self::Unavailable(Some(rest)) => {
                Some(format!("503: it says that it is unavailable for {} s", rest.as_secs()))
            }
            Self::Silent => Some("no answer in time".to_owned()),
            Self::Unreachable => Some("nothing could be sent to it".to_owned()),
        }
    }

    /// What to do about a bad one.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Alive => "none needed",
            Self::Unavailable(_) => "look there: it drains, is overloaded, or has lost what is behind it",
            Self::Silent => {
                "check its address and port, the firewall between, and whether it takes this gateway's address"
            }
            Self::Unreachable => "check its name in DNS, its transport, and the route to it",
        }
    }
}

#[cfg(test)]
mod tests;
